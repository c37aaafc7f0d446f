"""Roots and logarithms, lent to a SQLite that was built without them. It must never replace one that is there."""

import math
import sqlite3


def lend_functions(connection: sqlite3.Connection) -> None:
    """What the views and the sums of a ledger need."""
    try:
        connection.execute("SELECT sqrt(1.0), exp(0.0), ln(1.0)")
    except sqlite3.OperationalError:
        connection.create_function("sqrt", 1, math.sqrt, deterministic=True)
        connection.create_function("exp", 1, _exp, deterministic=True)
        connection.create_function("ln", 1, math.log, deterministic=True)


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)
