"""One line of the doctor's diagnosis. It must never hold a secret."""

from typing import NamedTuple

PROBLEM, UNREACHABLE = 1, 3


class Finding(NamedTuple):
    """A remedy is given exactly when it is a problem."""

    check: str
    detail: str
    remedy: str = ""
    code: int = PROBLEM
