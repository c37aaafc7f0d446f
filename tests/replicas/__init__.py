"""Two replicas, their ledger, their Redis and Prometheus, killed in turn under load: it must add up. It must never be shipped."""
