"""Fits the energy forms to measured rows. It must never be imported by what weighs calls: it needs scipy and reads files."""
