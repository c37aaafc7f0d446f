"""Weighs the proxy itself: how much time, memory and processor a call costs, beside nginx. It must never leave 127.0.0.1."""
