"""Compares what a provider counted with what the ledger holds. It must never call a gap explained."""
