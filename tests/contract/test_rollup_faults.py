"""Sums by hour and day tell what a recount tells, whatever breaks: killed, out of disk, without a server, with a wrong clock."""

import random  # noqa: TID251  # seeded by each test
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from proxy.clock import Clock
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.left_over import bring_in
from proxy.ledger.prune import prune
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.roll import roll
from proxy.ledger.roller import Roller
from proxy.ledger.spool import is_filled
from proxy.ledger.store import Store
from proxy.ledger.turn import taken_turn
from tests.contract import rolling_child
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger, stored_calls
from tests.contract.ledgers import record, spool_beside
from tests.contract.postgres_server import PostgresServer
from tests.contract.rolled_ledgers import DAY_MS, HOUR_MS, MIDNIGHT_MS, any_calls, assert_recounted, rolled_up, touched

ROOT = Path(__file__).resolve().parents[2]
NO_PRUNE = 0
KILLS = (3, 6, 9, 14)
"""Statements after which a process is killed: before, amid and after the first transactions that write."""


def child(url: str, before_ms: int, how: str, much: int) -> int:
    """The exit code of a process that rolls or prunes."""
    command = [sys.executable, "-m", "tests.contract.rolling_child", url, str(before_ms), how, str(much)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode


def whole(url: str) -> tuple[int, int]:
    """Calls and attempts as reports have them."""
    sums = read_sums(url, Selection(by="model")).whole
    return sums.calls, sums.attempts


def test_kill_minus_9_while_summing_leaves_no_sum_wrong(store: Store, url: str) -> None:
    dice = random.Random(21)
    kept = any_calls(dice, 150)
    for number, statement in enumerate(KILLS):
        store.write(kept[number * 30 : number * 30 + 30])
        assert child(url, NO_PRUNE, "kill", statement) == -signal.SIGKILL
        assert_recounted(url, dice)
    store.write(kept)
    rolled_up(url)
    assert_recounted(url, dice)
    assert ask_ledger(url, "SELECT count(*) FROM touched_hours") == [(0,)]


def test_kill_minus_9_while_pruning_loses_and_doubles_nothing(store: Store, url: str) -> None:
    store.write(any_calls(random.Random(22), 120))
    rolled_up(url)
    before = whole(url)
    for statement in (8, 14, 22):
        assert child(url, MIDNIGHT_MS + 2 * DAY_MS, "kill", statement) == -signal.SIGKILL
        assert whole(url) == before
        rolled_up(url)
        assert whole(url) == before
    with taken_turn(url) as turn:
        assert turn is not None
        prune(turn, MIDNIGHT_MS + 2 * DAY_MS)
    assert whole(url) == before
    orphans = "attempt_id NOT IN (SELECT attempt_id FROM attempts)"
    assert ask_ledger(url, f"SELECT count(*) FROM estimates WHERE {orphans}") == [(0,)]


@ON_A_FILE
def test_a_disk_that_is_full_while_summing_leaves_no_sum_wrong(store: Store, url: str) -> None:
    dice = random.Random(23)
    kept = any_calls(dice, 200)
    store.write(kept[:100])
    rolled_up(url)
    store.write(kept[100:])
    store.close()  # the log is folded in, so that the limit meets what the child writes
    assert child(url, NO_PRUNE, "full", 40_000) == rolling_child.DISK_FULL
    assert_recounted(url, dice)
    assert ask_ledger(url, "SELECT count(*) FROM touched_hours")[0][0] > 0, "what was not summed is still to be done"
    assert child(url, NO_PRUNE, "full", 1 << 30) == 0
    assert_recounted(url, dice)
    assert ask_ledger(url, "SELECT count(*) FROM touched_hours") == [(0,)]
    assert ask_ledger(url, "PRAGMA integrity_check") == [("ok",)]


@ON_A_FILE
def test_a_disk_that_is_full_while_pruning_takes_no_call_that_no_sum_has(store: Store, url: str) -> None:
    store.write(any_calls(random.Random(24), 200))
    rolled_up(url)
    before = whole(url)
    store.close()
    assert child(url, MIDNIGHT_MS + 2 * DAY_MS, "full", 40_000) == rolling_child.DISK_FULL
    assert whole(url) == before
    assert child(url, MIDNIGHT_MS + 2 * DAY_MS, "full", 1 << 30) == 0
    assert whole(url) == before


def rolled_while(url: str, is_ended: Callable[[], bool]) -> None:
    with taken_turn(url) as turn:
        assert turn is not None
        roll(turn, is_ended=is_ended)


def test_two_proxies_on_one_database_keep_each_call_once_while_it_is_summed(store: Store, url: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    writing = []
    for folder in folders:
        folder.mkdir()
        command = [sys.executable, "-m", "tests.contract.ledger_child", url, str(folder), "1200", "8"]
        writing.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
    ids: list[str] = []
    for process in writing:
        assert process.stdout is not None
        for line in process.stdout:
            ids.append(line.strip())
            if len(ids) % 200 == 0:
                rolled_up(url)
        process.stdout.close()
        assert process.wait(30) == 0
    kept = [each for each in ids if len(each) == len("01a20b89-6f09-7065-93e4-64f0139c212b")]
    assert [each for each in ids if "lost=" in each and not each.endswith("lost=0")] == []
    assert len(set(kept)) == len(kept) == 2400
    for folder in folders:
        for left in folder.glob("*.spool*"):
            assert not is_filled(left)
    stored = stored_calls(url)
    assert sorted(stored) == sorted(kept)
    rolled_up(url)
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(2400,)]


class _Before:
    """Does something before the second day is summed."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act, self._days = act, 0

    def __call__(self) -> bool:
        self._days += 1
        if self._days == 2:
            self._act()
        return False


def test_a_server_that_crashes_while_it_is_summed_is_summed_by_the_next_round(postgres: PostgresServer) -> None:
    dice = random.Random(25)

    def crash() -> None:
        with postgres.stopped("immediate"):
            pass

    with postgres.database("ledger") as url:
        store = Store(url)
        store.write(any_calls(dice, 100))
        with pytest.raises(LedgerUnavailable):
            rolled_while(url, _Before(crash))
        assert ask_ledger(url, "SELECT count(*) FROM rollups_hour")[0][0] > 0, "the first day was summed"
        assert_recounted(url, dice)
        rolled_up(url)
        assert_recounted(url, dice)
        store.close()


def test_hours_of_days_that_were_over_are_summed_anew_when_the_clock_jumped_back(store: Store, url: str) -> None:
    """A day is summed up once a later one has calls; then the clock goes back by days, and forth again."""
    for number, hours in enumerate((0, 30, 55, 3, 31, 80, 2)):
        store.write([record(number, started_ms=MIDNIGHT_MS + hours * HOUR_MS)])
        rolled_up(url)
        assert_recounted(url, random.Random(number))
        assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(number + 1,)]
    newest = (MIDNIGHT_MS + 80 * HOUR_MS) // DAY_MS * DAY_MS
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_day WHERE bucket_ms < :newest", newest=newest) == [(6,)]


def test_calls_brought_in_from_a_spool_days_later_are_in_their_own_hours_once(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the spool of a server's ledger stands
    dice = random.Random(26)
    kept = any_calls(dice, 90)
    with closing(spool_beside(store, tmp_path)) as spool:
        spool.open()
        spool.append(kept[:60], sync=False)
    store.write(kept[30:])  # some of them were committed before the crash that left the spool
    rolled_up(url)
    store.write([record(1, started_ms=MIDNIGHT_MS + 9 * DAY_MS)])
    rolled_up(url)
    assert bring_in(url).brought_in == 60
    assert bring_in(url).brought_in == 0
    assert_recounted(url, dice)
    rolled_up(url)
    assert_recounted(url, dice)
    assert ask_ledger(url, "SELECT count(*) FROM calls") == [(len(kept) + 1,)]
    assert whole(url)[0] == read_sums(url, Selection(by="model"), exact=True).whole.calls


def test_two_rollers_at_once_and_a_third_that_touches_sum_what_there_is(store: Store, url: str) -> None:
    dice = random.Random(27)
    kept = any_calls(dice, 80)
    rounds = threading.Barrier(3)
    problems: list[BaseException] = []

    def rolling() -> None:
        try:
            for _ in range(8):
                rounds.wait(30)
                with taken_turn(url) as turn:
                    if turn is not None:
                        roll(turn)
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            problems.append(error)
            rounds.abort()

    threads = [threading.Thread(target=rolling) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        rounds.wait(30)
        store.write(kept[number * 10 : number * 10 + 10])
        touched(url, [call.call_id for call in kept[: number * 10 + 10 : 3]])
    for thread in threads:
        thread.join()
    assert problems == []
    rolled_up(url)
    assert_recounted(url, dice)
    rows = ask_ledger(url, "SELECT count(*) FROM rollups_hour")
    touched(url, [call.call_id for call in kept])
    rolled_up(url)
    assert ask_ledger(url, "SELECT count(*) FROM rollups_hour") == rows, "no row stands there twice"


def test_a_roller_in_a_proxy_goes_on_after_its_ledger_was_gone(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS)])
    failed, done = threading.Event(), threading.Event()
    real = Roller._roll

    def told(self: Roller) -> None:
        if not failed.is_set():
            failed.set()
            raise LedgerUnavailable("database or disk is full")
        real(self)
        done.set()

    monkeypatch.setattr(Roller, "_roll", told)
    roller = Roller(url, 0.001, None, Clock())
    roller.start()
    assert done.wait(30)
    roller.close()
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(1,)]
