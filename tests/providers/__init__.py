"""Each provider of config/examples/providers, exercised against a local server that answers in its own wire format."""
