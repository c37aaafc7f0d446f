"""Calls are kept as long as the longest budget counts them: a proxy that starts amid a period reads what was used of it from the ledger."""

import pytest

from config.check import find_faults
from config.settings import Settings


def faults(period: str, kept: str | None) -> list[tuple[tuple[str | int, ...], str]]:
    retention = {} if kept is None else {"retention": {"calls": kept}}
    budget = {"name": "b", "limit_kgco2e": 1, "period": period}
    found = find_faults(Settings.model_validate({"budgets": [budget], "ledger": retention}))
    return [(tuple(each.path), each.message) for each in found]


@pytest.mark.parametrize(("period", "kept"), [("quarter", "91d"), ("year", "365d"), ("all", "36600d")])
def test_a_period_that_outlasts_the_calls_is_refused_by_name(period: str, kept: str) -> None:
    ((path, message),) = faults(period, kept)
    assert path == ("budgets", 0, "period")
    assert f"`{period}` lasts" in message
    assert f"ledger.retention.calls is {kept.removesuffix('d')} days" in message


@pytest.mark.parametrize(
    ("period", "kept"), [("quarter", "92d"), ("year", "366d"), ("month", "32d"), ("hour", "32d"), ("all", None), ("year", None)]
)
def test_a_period_whose_calls_are_all_kept_is_taken(period: str, kept: str | None) -> None:
    assert faults(period, kept) == []
