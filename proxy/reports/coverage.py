"""How much of what providers counted is in the report. It must never count as covered what nobody compared."""

from collections.abc import Iterable
from typing import Final

from proxy.ledger.import_queries import Covered
from proxy.reports.document import Coverage

UNEXPLAINED: Final = "unexplained"
"""The code of a gap: a part of the provider's tokens was never seen."""


def coverage(compared: Iterable[Covered]) -> tuple[Coverage, ...]:
    """A line for each provider and month."""
    return tuple(
        Coverage(
            provider=each.provider,
            month=each.month,
            tokens=each.tokens,
            money=each.money,
            gap=UNEXPLAINED if each.tokens is not None and each.tokens < 1 else None,
        )
        for each in compared
    )
