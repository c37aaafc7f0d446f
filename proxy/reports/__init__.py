"""Reports: sums of the ledger with their range and basis. It must never read Prometheus, nor subtract anything from emitted grams."""
