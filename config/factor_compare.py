"""How two factor sets differ, row by row. It must never judge which of them is right."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from config.factors import Factor

Change = Literal["added", "removed", "changed"]
COMPARED = ("value", "low", "high", "unit", "source", "url", "year", "licence")


class Difference(NamedTuple):
    """How one column of a row differs between two sets; column is empty for a row that only one of them has."""

    factor_id: str
    change: Change
    column: str
    before: str
    after: str


def compare(before: Mapping[str, Factor], after: Mapping[str, Factor]) -> list[Difference]:
    """How `after` differs from `before`: rows removed and changed in the order of `before`, then rows added."""
    found = []
    for factor_id, old in before.items():
        new = after.get(factor_id)
        if new is None:
            found.append(Difference(factor_id, "removed", "", _brief(old), ""))
            continue
        pairs = [(column, str(getattr(old, column)), str(getattr(new, column))) for column in COMPARED]
        found += [Difference(factor_id, "changed", column, was, is_now) for column, was, is_now in pairs if was != is_now]
    added = [factor for factor_id, factor in after.items() if factor_id not in before]
    return [*found, *(Difference(factor.id, "added", "", "", _brief(factor)) for factor in added)]


def _brief(factor: Factor) -> str:
    return f"{factor.value:g} [{factor.low:g} - {factor.high:g}] {factor.unit}"
