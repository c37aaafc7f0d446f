"""WebSockets both ways: handshakes, frames that pass as they are, and what they say of usage. It must never change a provider's frame."""
