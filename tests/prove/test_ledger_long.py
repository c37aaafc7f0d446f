"""The long proof of the ledger: a month of 10 million calls on SQLite and on PostgreSQL. `make prove` runs it.

GRAMMAGE_PROVE_CALLS takes another number. It must never be part of `make test`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.ledger_load import measure
from tests.contract.ledgers import sqlite_url
from tests.contract.postgres_server import postgres_server

CALLS = int(os.environ.get("GRAMMAGE_PROVE_CALLS", "10_000_000"))
MOST_BYTES = {"sqlite": 450, "postgresql": 650}
"""What a call may take, tables and indices."""

MOST_REPORT_S = 2.0

pytestmark = [pytest.mark.prove, pytest.mark.timeout(6 * 3600)]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with postgres_server() as server, server.database() as made:
        yield made


def test_a_month_of_calls_is_summed_in_two_seconds_and_takes_little_room(place: str, tmp_path: Path) -> None:
    kind = place.partition(":")[0]
    seen = measure(place, tmp_path, CALLS)
    print(seen.told(kind))
    assert [report.whole.calls for report in seen.reports] == [CALLS] * len(seen.reports)
    assert seen.report_s <= MOST_REPORT_S
    assert seen.bytes_per_call <= MOST_BYTES[kind]
