"""Books work that ended after the call that began it: whose it is, what it weighs, once. It must never hold back an answer for long."""
