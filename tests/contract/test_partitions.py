"""PostgreSQL keeps a month of calls in partitions of its own, and a call of any time finds a place."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, pool

from proxy.clock import uuid7
from proxy.ledger.partitions import MONTHS_AHEAD, drop_empty, keep_ahead, make_months
from proxy.ledger.prune import prune
from proxy.ledger.roll import roll
from proxy.ledger.turn import taken_turn
from tests.contract.ledger_rows import ask_ledger, change_ledger, stored_calls
from tests.contract.ledgers import open_store, record
from tests.contract.postgres_server import PostgresServer

MAY_MS = int(datetime(2026, 5, 17, 12, 30, tzinfo=UTC).timestamp() * 1000)
JULY_MS = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
JUNE = 2026 * 12 + 5
"""Months count from year 0."""

MAY = "kept_calls_2026_05"


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database("ledger") as made:
        engine = create_engine(made, poolclass=pool.NullPool)
        with engine.begin() as connection:
            make_months(connection, JUNE - 1, JUNE)
        yield made


def in_may(number: int = 0) -> str:
    return uuid7(MAY_MS + number)


def tables(url: str) -> set[str]:
    return {row[0] for row in ask_ledger(url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'kept_calls%'")}


def test_a_call_stands_in_the_partition_of_its_month_and_any_other_in_the_default_one(url: str) -> None:
    with closing(open_store(url)) as store:
        store.write([record(0, call_id=in_may(), started_ms=MAY_MS), record(1, call_id="no time", started_ms=MAY_MS)])
    assert ask_ledger(url, f"SELECT COUNT(*) FROM {MAY}") == [(1,)]
    assert ask_ledger(url, "SELECT call_id FROM kept_calls_default") == [("no time",)]
    assert len(stored_calls(url)) == 2


def test_partitions_are_there_ahead_of_time_and_made_once(url: str) -> None:
    now = ask_ledger(url, "SELECT CAST(to_char(now() AT TIME ZONE 'UTC', 'YYYYMM') AS integer)")[0][0]
    number = now // 100 * 12 + now % 100 - 1
    ahead = {f"kept_calls_{month // 12}_{month % 12 + 1:02d}" for month in range(number, number + MONTHS_AHEAD + 1)}
    assert ahead <= tables(url)
    change_ledger(url, f"DROP TABLE {max(ahead)}")
    for _ in range(2):
        with taken_turn(url) as turn:
            assert turn is not None
            keep_ahead(turn)
    assert ahead <= tables(url)


def test_a_month_whose_calls_stand_elsewhere_already_does_without_a_partition(url: str) -> None:
    july = record(0, call_id=uuid7(JULY_MS), started_ms=JULY_MS)
    with closing(open_store(url)) as store:
        store.write([july])
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        make_months(connection, JUNE + 1, JUNE + 1)
    assert "kept_calls_2026_07" not in tables(url)
    assert stored_calls(url) == [july.call_id]


def test_pruning_drops_the_partitions_of_which_nothing_is_left(url: str) -> None:
    old = [record(number, call_id=in_may(number), started_ms=MAY_MS + number) for number in range(20)]
    with closing(open_store(url)) as store:
        store.write(old)
    with taken_turn(url) as turn:
        assert turn is not None
        roll(turn)
        assert prune(turn, JULY_MS).calls == 20
    assert MAY not in tables(url)
    with closing(open_store(url)) as store:
        store.write([replace(old[0], call_id=in_may(99))])
    assert ask_ledger(url, "SELECT COUNT(*) FROM kept_calls_default") == [(1,)]


def test_a_partition_that_holds_a_call_is_not_dropped(url: str) -> None:
    with closing(open_store(url)) as store:
        store.write([record(0, call_id=in_may(), started_ms=MAY_MS)])
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        drop_empty(connection, JULY_MS)
    assert MAY in tables(url)
    assert "kept_calls_2026_06" not in tables(url)
