"""Answers that are kept for identical requests, and calls that wait for the same answer. It must never serve one caller another's."""
