"""The schema's history, one file per revision. A revision that was released must never change."""
