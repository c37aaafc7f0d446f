"""Sheets for the frameworks that people report in, made of a report. It must never hold a figure that the ledger does not."""
