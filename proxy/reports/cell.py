"""Text for the cells of a spreadsheet, as itself and never as a formula. It must never change a number."""

from typing import Final, TypeVar

Value = TypeVar("Value")

BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  # some programs take the wide ones too
SHOWN_AS_TEXT: Final = "'"
ALONE: Final = "-"
"""A dash by itself, as for a unit of one, computes nothing."""


def harmless(cell: Value) -> Value | str:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers, flags and None stay what they are."""
    return f"{SHOWN_AS_TEXT}{cell}" if isinstance(cell, str) and cell != ALONE and cell.startswith(BEGINS_A_FORMULA) else cell


def on_unix_lines(cell: Value) -> Value | str:
    """For files whose lines end in a line feed: a carriage return in a text becomes one, for Python's writer quotes the other alone.

    Unquoted, what follows it would be a cell of its own, and perhaps a formula.
    """
    return cell.replace("\r\n", "\n").replace("\r", "\n") if isinstance(cell, str) and "\r" in cell else cell
