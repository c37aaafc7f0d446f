"""Searches a text for an expression within bounds. It must never let an expression hold up a process."""

from config.pattern import Pattern

MOST_CHARACTERS = 100_000
"""So much of a text is searched."""

MOST_SECONDS = 0.1
"""An expression that takes longer is given up; the engine lets other threads run meanwhile."""


def holds(pattern: Pattern, text: str) -> bool | None:
    """True when the expression is found in the beginning of the text; None when the search was given up."""
    try:
        return pattern.search(text[:MOST_CHARACTERS], timeout=MOST_SECONDS, concurrent=True) is not None
    except TimeoutError:
        return None
