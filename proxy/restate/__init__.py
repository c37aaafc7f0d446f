"""Weighs recorded calls anew, beside what was said of them, and explains what changed. It must never change a recorded figure."""
