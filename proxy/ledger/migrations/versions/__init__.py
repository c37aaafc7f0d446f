"""Revisions, oldest first by number. Each must never import tables.py: it describes the schema of its own day."""
