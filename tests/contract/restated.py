"""Weighs a ledger anew by the very factors and rules that it was weighed by, and compares. It must never forgive a last digit."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from config.tables import Tables, load_tables
from proxy.ledger.columns import ESTIMATES
from proxy.ledger.set_ledger import SetLedger
from proxy.ledger.set_store import SetTerms
from proxy.ledger.store import Store
from proxy.ledger.weighed_past import Period
from proxy.restate.again import Restater
from proxy.restate.run import begin, restate
from tests.contract.ledger_rows import ask_ledger

AGAIN = "again"
COMPARED = tuple(name for name in ESTIMATES if name not in ("estimate_id", "created_ms", "role"))
LATER_MS = 1_900_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What came of it. same: attempts whose figures are the same to the last digit. differing: what is not, by attempt."""

    same: int
    differing: dict[str, dict[str, tuple[Any, Any]]]
    missing: list[str]
    unweighable: Counter[str]


def weigh_again(url: str, *, tables: Tables | None = None, batch_calls: int = 1000, name: str = AGAIN) -> Again:
    """Every attempt of the ledger, weighed once more."""
    with closing(Store(url)) as store:
        rules = store.weighing().all()
    restater = Restater(tables or load_tables(), rules)
    unweighable: Counter[str] = Counter()
    with closing(SetLedger(url)) as ledger:
        begin(ledger, name, SetTerms(factor_set=restater.factor_set))
        for done in restate(ledger, Period(), name, restater, lambda: LATER_MS, batch_calls):
            unweighable = done.unweighable
    live, again = _by_attempt(url, "chosen"), _by_attempt(url, f"set:{name}")
    differing = {
        attempt: _differing(live[attempt], again[attempt]) for attempt in live if attempt in again and live[attempt] != again[attempt]
    }
    same = sum(1 for attempt in live if live[attempt] == again.get(attempt))
    missing = [attempt for attempt in live if attempt not in again]
    return Again(same=same, differing=differing, missing=missing, unweighable=unweighable)


def _by_attempt(url: str, role: str) -> dict[str, tuple[Any, ...]]:
    rows = ask_ledger(url, f"SELECT {', '.join(COMPARED)} FROM estimates WHERE role = :role ORDER BY attempt_id", role=role)
    return {row[0]: row for row in rows}


def _differing(live: tuple[Any, ...], again: tuple[Any, ...]) -> dict[str, tuple[Any, Any]]:
    return {name: (was, now) for name, was, now in zip(COMPARED, live, again, strict=True) if was != now}
