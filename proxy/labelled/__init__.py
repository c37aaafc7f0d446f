"""Calls whose answers somebody has scored, and what ways of serving them come to. It must never ask a model for anything."""
