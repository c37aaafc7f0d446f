"""Meters of our own servers: energy counters asked for beside the calls, and shared out among them. They must never make a call wait."""
