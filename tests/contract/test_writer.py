"""The writer: an acknowledged call is in the ledger exactly once, whatever happens to the database, the disk or the process."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, pool, text

from proxy.call import CallRecord
from proxy.clock import Clock
from proxy.errors import StartError
from proxy.ledger import server as server_door
from proxy.ledger import sqlite as sqlite_door
from proxy.ledger.base import Durability, LedgerUnavailable, UnwritableRecord
from proxy.ledger.keep import RECORDS_PER_RETRY, Keep
from proxy.ledger.spool import Spool
from proxy.ledger.store import Store
from proxy.ledger.writer import LedgerWriter
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger, stored_calls
from tests.contract.ledgers import record, records, spool_beside

ROOT = Path(__file__).parents[2]


class Database:
    """A database that can be told to refuse. It keeps what it took, by id."""

    def __init__(self) -> None:
        self.is_down = False
        self.taken: list[str] = []
        self.writes = 0
        self.bad_alias = ""
        self.gate: threading.Event | None = None
        self.took = threading.Event()

    def open_writer(self, durability: Durability) -> None:
        if self.is_down:
            raise LedgerUnavailable("down")

    def write(self, records: Sequence[CallRecord]) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.is_down:
            raise LedgerUnavailable("down")
        if any(record.alias == self.bad_alias for record in records):
            raise UnwritableRecord("bad alias")
        self.writes += 1
        self.taken += [record.call_id for record in records]
        self.took.set()


class NoSpool(Spool):
    """A disk without a byte to spare."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "none.spool", 0)


async def acknowledged(writer: LedgerWriter, kept: Sequence[CallRecord]) -> list[str]:
    waits = [future for future in [writer.append(each) for each in kept] if future is not None]
    async with asyncio.timeout(20):
        await asyncio.gather(*waits)
    return [each.call_id for each in kept]


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another program holds the lock that a batch needs."""
    statement = "BEGIN IMMEDIATE" if url.startswith("sqlite") else "LOCK TABLE calls IN EXCLUSIVE MODE"
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
        yield
        connection.rollback()


@pytest.mark.parametrize("durability", ["commit", "fsync"])
async def test_an_acknowledged_call_is_in_the_database(store: Store, url: str, tmp_path: Path, durability: Durability) -> None:
    writer = LedgerWriter(store, spool_beside(store, tmp_path), durability=durability)
    writer.start()
    ids = await acknowledged(writer, records(40))
    assert sorted(stored_calls(url)) == sorted(ids)
    assert writer.queued == 0
    assert writer.oldest_age_s() == 0.0
    assert writer.last_commit_s is not None
    await writer.close()


@ON_A_FILE
@pytest.mark.parametrize(("durability", "synchronous"), [("commit", 1), ("async", 1), ("fsync", 2)])
def test_only_fsync_waits_for_the_medium(store: Store, durability: Durability, synchronous: int) -> None:
    store.open_writer(durability)
    store.write(records(1))
    door: Any = store._door
    assert door._writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert door._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_calls_that_come_together_share_one_commit(tmp_path: Path) -> None:
    database = Database()
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    await acknowledged(writer, records(40))
    assert database.writes == 1
    await writer.close()


def spool_beside_folder(folder: Path) -> Spool:
    return Spool(folder / "ledger.spool", 1 << 20)


async def test_async_durability_waits_for_nothing_and_close_commits_all(store: Store, url: str, tmp_path: Path) -> None:
    writer = LedgerWriter(store, spool_beside(store, tmp_path), durability="async")
    writer.start()
    kept = records(700)
    assert [writer.append(each) for each in kept] == [None] * len(kept)
    await writer.close()
    assert sorted(stored_calls(url)) == sorted(each.call_id for each in kept)


async def test_close_commits_what_was_just_appended_and_can_be_called_again(store: Store, url: str, tmp_path: Path) -> None:
    writer = LedgerWriter(store, spool_beside(store, tmp_path))
    writer.start()
    kept = record()
    future = writer.append(kept)
    await asyncio.gather(writer.close(), writer.close())
    assert future is not None
    assert future.done()
    assert stored_calls(url) == [kept.call_id]


async def test_a_client_that_left_does_not_disturb_the_others(store: Store, url: str, tmp_path: Path) -> None:
    writer = LedgerWriter(store, spool_beside(store, tmp_path))
    writer.start()
    gone = writer.append(record(1))
    assert gone is not None
    gone.cancel()
    await acknowledged(writer, [record(2)])
    assert len(stored_calls(url)) == 2
    await writer.close()


async def test_a_locked_database_sends_calls_to_the_spool_and_gets_them_later(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for door in (sqlite_door, server_door):
        monkeypatch.setattr(door, "LOCK_WAIT_MS", 20)
    writer = LedgerWriter(store, spool_beside(store, tmp_path))
    writer.start()
    ids = await acknowledged(writer, [record(1)])
    with locked(url):
        ids += await acknowledged(writer, [record(2), record(3)])
        ids += await acknowledged(writer, [record(4)])
        assert writer.spooled_total == 3
        assert writer.oldest_age_s() > 0
        assert len(stored_calls(url)) == 1
    await writer.close()
    assert Counter(stored_calls(url)) == Counter(ids)
    assert writer.failures_total == 0
    assert "they go to the spool" in caplog.text
    assert not list(tmp_path.glob("*.spool*"))


async def test_what_was_spooled_is_brought_in_without_another_call(tmp_path: Path) -> None:
    database = Database()
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    database.is_down = True
    ids = await acknowledged(writer, records(3))
    assert database.taken == []
    database.is_down = False
    assert await asyncio.to_thread(database.took.wait, 20)
    assert database.taken == ids
    await writer.close()


async def test_a_spool_left_by_an_earlier_run_is_brought_in_at_start(store: Store, url: str, tmp_path: Path) -> None:
    spool = spool_beside(store, tmp_path)
    spool.open()
    left = records(5)
    spool.append(left[:3], sync=True)
    spool.append(left[3:], sync=True)
    spool.close()
    store.write(left[:1])
    writer = LedgerWriter(store, spool_beside(store, tmp_path))
    writer.start()
    new = await acknowledged(writer, [record(9)])
    await writer.close()
    assert Counter(stored_calls(url)) == Counter([*(each.call_id for each in left), *new])


async def test_a_spool_left_by_an_earlier_run_is_told_of_until_the_database_has_it(tmp_path: Path) -> None:
    spool = spool_beside_folder(tmp_path)
    spool.open()
    spool.append(records(3), sync=True)
    spool.close()
    database = Database()
    database.is_down = True
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    await acknowledged(writer, records(1))
    assert writer.oldest_age_s() > 0
    database.is_down = False
    await writer.close()
    assert (len(database.taken), writer.oldest_age_s()) == (4, 0.0)


async def test_calls_spooled_one_by_one_are_brought_in_together(tmp_path: Path) -> None:
    spool = spool_beside_folder(tmp_path)
    spool.open()
    left = records(RECORDS_PER_RETRY + 40)
    for each in left:
        spool.append([each], sync=False)
    spool.close()
    database = Database()
    keep = Keep(database, opened := spool_beside_folder(tmp_path), durability="commit", memory_calls=100, clock=Clock())
    opened.open()
    keep.open()
    was_told, turns = keep.aside_since is not None, 0
    while keep.wait_s() is not None:
        keep.work_off()
        turns += 1
    assert (was_told, turns, keep.aside_since) == (True, 2, None)
    assert database.taken == [each.call_id for each in left]
    opened.close()


async def test_a_database_that_stays_down_leaves_everything_in_the_spool(tmp_path: Path) -> None:
    database = Database()
    database.is_down = True
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    ids = await acknowledged(writer, records(10))
    await writer.close()
    assert writer.failures_total == 0
    spool = spool_beside_folder(tmp_path)
    spool.open()
    assert [each.call_id for each in spool.oldest()] == ids
    spool.close()


async def test_without_database_and_spool_calls_wait_in_memory(tmp_path: Path) -> None:
    database = Database()
    database.is_down = True
    writer = LedgerWriter(database, NoSpool(tmp_path))
    writer.start()
    ids = await acknowledged(writer, records(300))
    assert (writer.held, writer.spooled_total, writer.failures_total) == (300, 0, 0)
    database.is_down = False
    await writer.close()
    assert database.taken == ids
    assert writer.failures_total == 0


async def test_when_memory_is_full_too_the_call_passes_and_its_loss_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    database.is_down = True
    writer = LedgerWriter(database, NoSpool(tmp_path), queue_calls=100, on_failure="pass")
    writer.start()
    await acknowledged(writer, records(100))
    assert not writer.is_denying()
    await acknowledged(writer, records(7))
    assert writer.failures_total == 7
    assert not writer.is_denying()
    assert "are lost to the ledger" in caplog.text
    database.is_down = False
    await writer.close()
    assert len(database.taken) == 100


async def test_under_deny_new_calls_are_refused_before_one_is_lost(tmp_path: Path) -> None:
    database = Database()
    database.is_down = True
    writer = LedgerWriter(database, NoSpool(tmp_path), queue_calls=100, on_failure="deny")
    writer.start()
    number = 0
    while not writer.is_denying():
        number += 1
        await acknowledged(writer, [record(number)])
    assert 50 < number < 100
    assert writer.failures_total == 0
    database.is_down = False
    await writer.close()
    assert len(database.taken) == number


async def test_a_writer_that_cannot_keep_up_bounds_its_queue(tmp_path: Path) -> None:
    database = Database()
    database.gate = threading.Event()
    writer = LedgerWriter(database, spool_beside_folder(tmp_path), queue_calls=100, durability="async")
    writer.start()
    for each in records(103):
        writer.append(each)
    assert writer.queued == 100
    assert writer.failures_total == 3
    database.gate.set()
    await writer.close()
    assert len(database.taken) == 100


async def test_a_record_that_can_never_be_stored_does_not_take_its_neighbours_along(tmp_path: Path) -> None:
    database = Database()
    database.bad_alias = "bad"
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    ids = await acknowledged(writer, [record(1), record(2, alias="bad"), record(3)])
    assert database.taken == [ids[0], ids[2]]
    assert writer.failures_total == 1
    await writer.close()


async def test_an_error_of_ours_is_counted_and_the_next_call_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Database):
        def write(self, records: Sequence[CallRecord]) -> None:
            if records[0].alias == "trap":
                raise ZeroDivisionError
            super().write(records)

    database = Broken()
    writer = LedgerWriter(database, spool_beside_folder(tmp_path))
    writer.start()
    with caplog.at_level(logging.ERROR):
        await acknowledged(writer, [record(1, alias="trap")])
    ids = await acknowledged(writer, [record(2)])
    assert writer.failures_total == 1
    assert database.taken == ids
    await writer.close()


def child(url: str, folder: Path, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.contract.ledger_child", url, str(folder), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def read_ids(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def killed_after(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """Ids acknowledged by a process that is killed once it has acknowledged so many."""
    assert process.stdout is not None
    ids = read_ids(process, count)
    process.send_signal(signal.SIGKILL)
    ids += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait(20)
    process.stdout.close()
    return ids


async def restart(store: Store, tmp_path: Path) -> LedgerWriter:
    """Starts and ends a writer, which brings in the spool."""
    writer = LedgerWriter(store, spool_beside(store, tmp_path))
    writer.start()
    await writer.close()
    return writer


async def test_calls_acknowledged_before_sigkill_are_in_the_ledger_exactly_once(store: Store, url: str, tmp_path: Path) -> None:
    ids: list[str] = []
    for round_number, count in enumerate((1, 350, 37, 900, 5)):
        process = child(url, tmp_path, 0, 16)
        assert read_ids(process, 1) == ["ready"]
        if round_number % 2:
            ids += read_ids(process, 20)
            with locked(url):  # these go to the spool
                ids += killed_after(process, count)
        else:
            ids += killed_after(process, count)
    await restart(store, tmp_path)
    stored = Counter(stored_calls(url))
    assert len(ids) > 1290
    assert set(ids) - set(stored) == set()
    assert set(stored.values()) == {1}
    if url.startswith("sqlite"):
        assert ask_ledger(url, "PRAGMA integrity_check") == [("ok",)]


@ON_A_FILE
@pytest.mark.parametrize("end", ["closes", "is killed"])
async def test_a_full_disk_loses_nothing(store: Store, url: str, tmp_path: Path, end: str) -> None:
    """The limit holds for every file of the child: the database stops growing, the spool's reserve takes over."""
    most_bytes = 600_000
    process = child(url, tmp_path, 1500 if end == "closes" else 0, 50, most_bytes)
    assert read_ids(process, 1) == ["ready"]
    if end == "closes":
        assert process.stdout is not None
        lines = [line.strip() for line in process.stdout]
        process.wait(20)
        process.stdout.close()
        ids, told = lines[:-1], dict(item.split("=") for item in lines[-1].split())
        assert int(told["spooled"]) > 100
        assert told["lost"] == "0"
    else:
        ids = killed_after(process, 1500)
    assert len(ids) >= 1500
    before = len(stored_calls(url))
    assert before < 1500
    await restart(store, tmp_path)
    stored = Counter(stored_calls(url))
    assert set(ids) - set(stored) == set()
    assert set(stored.values()) == {1}
    assert not list(tmp_path.glob("*.spool*"))


async def test_a_spool_in_a_folder_that_cannot_be_written_is_a_start_error(store: Store, tmp_path: Path) -> None:
    writer = LedgerWriter(store, Spool(tmp_path / "missing" / "x.spool", 4096))
    with pytest.raises(StartError, match="cannot open the spool"):
        writer.start()


def test_the_writer_serves_whoever_reads_metrics(tmp_path: Path) -> None:
    counters: Any = LedgerWriter(Database(), spool_beside_folder(tmp_path))
    assert (counters.queued, counters.spooled_total, counters.failures_total) == (0, 0, 0)
    assert counters.oldest_age_s() == 0.0
    assert counters.last_commit_s is None
