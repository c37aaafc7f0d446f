"""A simulated month of marketing calls through the policy engine: `python -m tests.month`. Its calls, scores and prices are made up."""
