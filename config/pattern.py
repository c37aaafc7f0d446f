"""Regular expressions that the configuration holds, compiled. It must never search a text: who does bounds how long that takes."""

from functools import lru_cache
from typing import Any, Protocol


class Pattern(Protocol):
    """A compiled expression whose search can be bounded in time."""

    def search(self, string: str, *, timeout: float | None = None, concurrent: bool | None = None) -> Any:
        """The first match, or None. Raises TimeoutError after `timeout` seconds."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Pattern:
    """The expression, compiled once. Raises ValueError with what is wrong and where."""
    import regex  # optional in use: only policies with an expression need it

    try:
        made: Pattern = regex.compile(pattern)
    except regex.error as error:
        raise ValueError(str(error)) from error
    return made
