"""What one of several workers knows of the others, and how it is spoken to. It must never be loaded by a proxy that works alone."""
