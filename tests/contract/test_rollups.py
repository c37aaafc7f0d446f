"""Sums by hour and day tell what a recount of the calls tells, whatever is written when, and by whom."""

import random  # noqa: TID251  # seeded by each test
import threading
from contextlib import closing
from typing import Any

import pytest

from proxy.errors import StartError
from proxy.ledger import rolled_plan
from proxy.ledger.prune import Pruned, count_prunable, prune
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.roll import roll
from proxy.ledger.rolled import read_rolled
from proxy.ledger.store import Store
from proxy.ledger.turn import taken_turn
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger, change_ledger
from tests.contract.ledgers import record
from tests.contract.rolled_ledgers import DAY_MS, HOUR_MS, MIDNIGHT_MS, any_calls, assert_recounted, restate, retag, rolled_up


@pytest.mark.parametrize("seed", range(2))
def test_reports_from_rollups_are_reports_from_calls_whatever_comes_late(store: Store, url: str, seed: int) -> None:
    dice = random.Random(seed)
    kept = any_calls(dice, 120)
    dice.shuffle(kept)
    store.write(kept[:60])
    assert rolled_up(url) > 0
    assert_recounted(url, dice)
    store.write(kept[60:])
    assert_recounted(url, dice)
    rolled_up(url)
    assert_recounted(url, dice)
    restate(url, "new", kept[::2], dice)
    for call in dice.sample(kept, 10):
        retag(url, call.call_id, "late", MIDNIGHT_MS)
    assert_recounted(url, dice)
    rolled_up(url)
    assert_recounted(url, dice)
    assert ask_ledger(url, "SELECT count(*) FROM touched_hours") == [(0,)]


def test_a_rollup_that_nothing_touched_is_what_is_read(store: Store, url: str) -> None:
    """Else the tests above would compare calls with calls."""
    store.write(any_calls(random.Random(7), 40))
    rolled_up(url)
    whole = read_sums(url, Selection(by="model")).whole.attempts
    change_ledger(url, "UPDATE rollups_day SET attempts = attempts + 100")
    change_ledger(url, "UPDATE rollups_hour SET attempts = attempts + 10000")
    added = read_sums(url, Selection(by="model")).whole.attempts - whole
    assert added > 10_100, "the newest day from its hours"
    assert added % 10_000 > 0, "days that are over from their own rows"
    assert read_sums(url, Selection(by="model"), exact=True).whole.attempts == whole
    assert read_sums(url, Selection(by="tag", tag_name="asset")).whole.attempts == whole, "assets are in no rollup"


def test_rolling_twice_is_rolling_once(store: Store, url: str) -> None:
    store.write(any_calls(random.Random(1), 50))
    rolled_up(url)
    before = _rows(url)
    assert rolled_up(url) == 0
    change_ledger(url, "INSERT INTO touched_hours (hour, touch_id) SELECT DISTINCT started_ms / 3600000, 'again' FROM calls")
    rolled_up(url)
    assert _rows(url) == before


def _rows(url: str) -> list[Any]:
    columns = "bucket_ms, estimate_set, operation, policy, model, provider, zone, tag_campaign, reason, method, attempts, calls, gco2e"
    return [sorted(ask_ledger(url, f"SELECT {columns} FROM {table}"), key=repr) for table in ("rollups_hour", "rollups_day")]


def test_calls_replayed_after_their_hour_was_summed_are_in_it_once(store: Store, url: str) -> None:
    first, second = record(0, started_ms=MIDNIGHT_MS), record(1, started_ms=MIDNIGHT_MS + 1)
    store.write([first])
    rolled_up(url)
    store.write([first, second])
    rolled_up(url)
    store.write([first, second])
    rolled_up(url)
    assert read_sums(url, Selection(by="day")).whole.calls == 2
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(2,)]


def test_a_clock_that_jumps_back_changes_nothing(store: Store, url: str) -> None:
    for hours in (50, 2, 49, 1):
        store.write([record(hours, started_ms=MIDNIGHT_MS + hours * HOUR_MS)])
        rolled_up(url)
        assert_recounted(url, random.Random(hours))
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(4,)]


def test_what_is_committed_while_an_hour_is_summed_is_not_forgotten(store: Store, url: str) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS)])
    with taken_turn(url) as turn:
        assert turn is not None
        ended = _Interrupting(store)
        roll(turn, is_ended=ended)
    assert read_sums(url, Selection(by="day")).whole.calls == 2
    rolled_up(url)
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(2,)]


class _Interrupting:
    """Writes another call of the hour between planning and summing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self) -> bool:
        self._store.write([record(5, started_ms=MIDNIGHT_MS + 5)])
        return False


def test_two_proxies_that_write_and_roll_at_once_lose_and_double_nothing(store: Store, url: str) -> None:
    kept = any_calls(random.Random(3), 120, days=2)
    problems: list[BaseException] = []

    def work(part: list[Any]) -> None:
        try:
            with closing(Store(url)) as own:
                for start in range(0, len(part), 10):
                    own.write(part[start : start + 10])
                    with taken_turn(url) as turn:
                        if turn is not None:
                            roll(turn)
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            problems.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in (kept[:60], kept[60:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    rolled_up(url)
    assert_recounted(url, random.Random(3))


def test_one_at_a_time_has_the_turn(store: Store, url: str) -> None:
    with taken_turn(url) as ours:
        assert ours is not None
        with taken_turn(url) as theirs:
            assert theirs is None
    with taken_turn(url) as again:
        assert again is not None


@ON_A_FILE
def test_a_ledger_being_summed_takes_calls_meanwhile(store: Store, url: str) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS)])
    with taken_turn(url) as turn:
        assert turn is not None
        with turn.reader.begin() as snapshot:
            assert read_rolled(snapshot, Selection(by="model")) is not None
            store.write([record(1, started_ms=MIDNIGHT_MS)])


def test_a_period_in_too_many_pieces_is_read_from_calls(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([record(number, started_ms=MIDNIGHT_MS + number * 2 * HOUR_MS) for number in range(8)])
    monkeypatch.setattr(rolled_plan, "MOST_PARTS", 3)
    with taken_turn(url) as turn:
        assert turn is not None
        with turn.reader.begin() as snapshot:
            assert read_rolled(snapshot, Selection(by="model")) is None
    assert read_sums(url, Selection(by="model")).whole.calls == 8


def test_a_ledger_from_before_rollups_is_summed_whole(store: Store, url: str) -> None:
    store.write(any_calls(random.Random(5), 30))
    change_ledger(url, "DELETE FROM touched_hours")
    change_ledger(url, "INSERT INTO touched_hours (hour, touch_id) SELECT DISTINCT started_ms / 3600000, 'upgrade' FROM calls")
    rolled_up(url)
    assert_recounted(url, random.Random(5))
    assert ask_ledger(url, "SELECT count(*) FROM rollups_day")[0][0] > 0
    assert DAY_MS == 24 * HOUR_MS


def test_sums_outlive_the_calls_that_were_pruned(store: Store, url: str) -> None:
    dice = random.Random(11)
    kept = any_calls(dice, 100)
    store.write(kept)
    rolled_up(url)
    before = {way: _whole(url, way) for way in ("model", "provider", "day", "operation")}
    gone = pruned(url, MIDNIGHT_MS + 30 * HOUR_MS)
    assert gone.calls > 10
    assert gone.kept_calls > 0, "works that were booked late stay"
    assert {way: _whole(url, way) for way in before} == before
    late = record(9, started_ms=MIDNIGHT_MS + 5)
    for _ in range(2):
        store.write([late])
        assert read_sums(url, Selection(by="model")).whole.calls == before["model"][0] + 1
        rolled_up(url)
        assert read_sums(url, Selection(by="model")).whole.calls == before["model"][0] + 1
    assert pruned(url, MIDNIGHT_MS + 30 * HOUR_MS).calls == 1
    assert read_sums(url, Selection(by="model")).whole.calls == before["model"][0] + 1
    ids = "call_id NOT IN (SELECT call_id FROM calls)"
    assert [ask_ledger(url, f"SELECT count(*) FROM {table} WHERE {ids}") for table in ("attempts", "estimates", "instead")] == [[(0,)]] * 3


def _whole(url: str, by: Any) -> tuple[Any, ...]:
    summary = summarise(url, Selection(by=by))
    whole = summary.whole
    assert whole.gco2e is not None
    return (
        whole.calls,
        whole.attempts,
        sorted((line.key, line.calls) for line in summary.lines),
        f"{whole.gco2e.mean:.9g} {whole.gco2e.p95:.9g}",
    )


def pruned(url: str, before_ms: int) -> Pruned:
    with taken_turn(url) as turn:
        assert turn is not None
        expected = count_prunable(turn, before_ms)
        done = prune(turn, before_ms)
        assert expected == done
        return done


def test_calls_that_no_rollup_holds_are_not_pruned(store: Store, url: str) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS)])
    assert pruned(url, MIDNIGHT_MS + DAY_MS) == Pruned(calls=0, kept_calls=1)
    rolled_up(url)
    assert pruned(url, MIDNIGHT_MS + HOUR_MS - 1) == Pruned(calls=0, kept_calls=0), "its hour is not over by then"
    assert pruned(url, MIDNIGHT_MS + DAY_MS) == Pruned(calls=1, kept_calls=0)


@pytest.mark.parametrize(
    "asked", [{"by": "tag", "tag_name": "asset"}, {"by": "model", "method": "tokens"}, {"by": "model", "since_ms": MIDNIGHT_MS + 1}]
)
def test_a_report_that_needs_pruned_calls_is_refused(store: Store, url: str, asked: dict[str, Any]) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS), record(1, started_ms=MIDNIGHT_MS + DAY_MS)])
    rolled_up(url)
    pruned(url, MIDNIGHT_MS + HOUR_MS)
    with pytest.raises(StartError, match=r"calls before 2026-09-21T01:00Z were pruned"):
        read_sums(url, Selection(**asked))
    assert read_sums(url, Selection(**(asked | {"since_ms": MIDNIGHT_MS + HOUR_MS}))).whole.calls == 1
