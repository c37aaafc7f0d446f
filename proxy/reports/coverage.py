"""How much of what providers counted is in the report. It must never count as covered what nobody compared."""

from collections.abc import Iterable
from typing import Final

from config.providers import SIMULATED
from proxy.ledger.import_queries import Covered
from proxy.ledger.months import Months
from proxy.reports.document import Coverage

UNEXPLAINED: Final = "unexplained"
"""The code of a gap: a part of the provider's tokens was never seen."""

NOT_COMPARED: Final = "not_compared"
"""The code of a month that no count or invoice of the provider was compared with."""


def coverage(compared: Iterable[Covered], months: Months) -> tuple[Coverage, ...]:
    """A line for each provider and month that has calls, or was compared."""
    said = {(each.provider, each.month): each for each in compared}
    keys = {*said, *(key for key in months.attempts if key[0] != SIMULATED)}
    imported = months.imported_calls
    return tuple(
        Coverage(
            provider=provider,
            month=month,
            tokens=found.tokens if (found := said.get((provider, month))) else None,
            money=found.money if found else None,
            gap=_gap(found),
            attempts=months.attempts.get((provider, month), 0),
            imported_calls=None if imported is None else imported.get((provider, month), 0),
        )
        for provider, month in sorted(keys)
    )


def _gap(found: Covered | None) -> str | None:
    if found is None:
        return NOT_COMPARED
    return UNEXPLAINED if found.tokens is not None and found.tokens < 1 else None
