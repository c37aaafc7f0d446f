"""What an older ledger holds reads the same, to a millionth, once its rows are packed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from estimators.quantity import LogVariance, Quantity
from proxy.call import Hour, InsteadRecord
from proxy.ledger.columns import ATTEMPTS, CALLS, ESTIMATES, HOURLY, INSTEAD
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import open_store, record
from tests.contract.logical_rows import made_at
from tests.contract.test_ledger import MEDIA_OF_ALL_KINDS, METER, WHOLE
from tests.sample_records import attempt, estimate


def test_what_an_older_ledger_holds_reads_the_same_once_it_is_packed(bare_url: str) -> None:
    opinion = estimate(
        gco2e=Quantity(0.1 + 0.2, LogVariance(0.31, 0.02, 0.7, 0.011, 0.004)),
        training_gco2e=Quantity(3e-9, LogVariance(model=0.5)),
        network_gco2e=Quantity(0.0, LogVariance()),
        market_based_gco2e=Quantity(12_345.678, LogVariance(zone=1e-9)),
    )
    media = replace(WHOLE, media=MEDIA_OF_ALL_KINDS, metered=METER, calls=3)
    served = attempt(estimate=opinion, usage=media, shadows=(estimate(method="study"),), region="eu", upstream_object_id="o")
    hour = Hour(gco2e_per_kwh=33.5, source="rte", zone="FR", basis="average/lifecycle", state="fresh", age_s=12.0)
    own = {
        "user_hash": "uh",
        "user_hash_key_id": "uk",
        "idempotency_key_hash": "ik",
        "instead": InsteadRecord(kind="reuse", source_call_id="c"),
    }
    kept = [
        record(1, attempts=(served, attempt(attempt_id="beside", ordinal=1, hour=hour, shortcoming="short")), **own),
        record(2, attempts=(), tags=()),
        record(
            3, origin_call_id="unknown", time_to_first_token_s=None, attempts=(attempt(usage=None, estimate=None, unweighed_reason="x"),)
        ),
        *(record(number) for number in range(4, 60)),
    ]
    made_at("0013", bare_url, kept)
    names = {"calls": CALLS, "attempts": ATTEMPTS, "estimates": ESTIMATES, "instead": INSTEAD, "hourly_intensities": HOURLY}
    before = {name: rows_by_id(bare_url, name, columns) for name, columns in names.items()}
    open_store(bare_url).close()
    for name, columns in names.items():
        after = rows_by_id(bare_url, name, columns)
        assert len(after) == len(before[name]) > 0
        for old, new in zip(before[name], after, strict=True):
            for column, was, now in zip(columns, old, new, strict=True):
                near = pytest.approx(was, rel=1e-5 if "_var_" in column else 1e-6, abs=1e-12) if isinstance(was, float) else was
                assert now == near, (name, column)


def rows_by_id(url: str, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows in the order of their ids, tags as values."""
    rows = [tuple(_told(value) for value in row) for row in ask_ledger(url, f"SELECT {', '.join(columns)} FROM {table}")]
    ids = [columns.index(name) for name in ("call_id", "attempt_id", "estimate_id") if name in columns]
    return sorted(rows, key=lambda row: [row[at] for at in ids])


def _told(value: object) -> object:
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
