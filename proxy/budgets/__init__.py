"""Carbon budgets: whose calls they count, what is used and reserved, here or for several processes. It must never fail a call by itself."""
