"""Tells a tracing backend of each call. It must never hold back, change or fail one."""
