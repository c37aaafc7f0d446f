"""Recorded calls held against policies once more. It must never send anything, nor write to the ledger."""
