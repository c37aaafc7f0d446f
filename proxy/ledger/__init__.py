"""The ledger: calls as facts, estimates as opinions, both append-only. It must never forget an acknowledged call."""
