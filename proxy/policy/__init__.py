"""Which deployment serves a call, decided purely from what was configured. It must never send anything."""
