"""A proxy sums its ledger up by itself, and two commands do so on request."""

import threading

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.clock import Clock
from proxy.ledger import roll as rolling
from proxy.ledger.roller import Roller
from proxy.ledger.store import Store
from proxy.ledger.turn import taken_turn
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import record
from tests.contract.postgres_server import PostgresServer
from tests.contract.rolled_ledgers import DAY_MS, MIDNIGHT_MS, rolled_up


class Later(Clock):
    """A day after the first call."""

    def now_ms(self) -> int:
        return MIDNIGHT_MS + 33 * DAY_MS


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def after_one_round(url: str, keep_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a roller until its first round is over."""
    done = threading.Event()
    monkeypatch.setattr(Roller, "_roll", _telling(Roller._roll, done))
    roller = Roller(url, 0.001, keep_s, Later())
    roller.start()
    assert done.wait(30)
    roller.close()


def _telling(roll: object, done: threading.Event) -> object:
    def told(self: Roller) -> None:
        roll(self)  # type: ignore[operator]  # the method that is stood in for
        done.set()

    return told


def test_a_proxy_sums_up_and_takes_out_what_is_too_old(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS), record(1, started_ms=MIDNIGHT_MS + 30 * DAY_MS)])
    after_one_round(url, 32 * 86_400.0, monkeypatch)
    assert ask_ledger(url, "SELECT count(*) FROM calls") == [(1,)]
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(2,)]


def test_a_roller_outlives_a_round_that_breaks(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS)])
    broken = iter([ValueError("once")])
    real = rolling.roll

    def roll(*words: object, **named: object) -> int:
        for error in broken:
            raise error
        return real(*words, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(rolling, "roll", roll)
    after_one_round(url, None, monkeypatch)
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(1,)]


def test_a_roller_without_a_period_does_nothing(store: Store, url: str) -> None:
    roller = Roller(url, None, None, Clock())
    roller.start()
    roller.close()
    assert ask_ledger(url, "SELECT count(*) FROM rollups_hour") == [(0,)]


def test_commands_sum_up_and_take_out(store: Store, url: str) -> None:
    store.write([record(0, started_ms=MIDNIGHT_MS), record(1, started_ms=MIDNIGHT_MS + DAY_MS)])
    assert "summed up: 2 calls in the hours that had changed" in run("db", "rollup", "--ledger", url).output
    assert "summed up: 0 calls" in run("db", "rollup", "--ledger", url).output
    asked = ("db", "prune", "--before", "2026-09-22", "--ledger", url)
    assert "would be taken out: 1 calls; 0 of that time stay" in run(*asked, "--dry-run").output
    assert ask_ledger(url, "SELECT count(*) FROM calls") == [(2,)]
    assert "taken out: 1 calls" in run(*asked).output
    assert ask_ledger(url, "SELECT count(*) FROM calls") == [(1,)]
    assert run("db", "prune", "--before", "yesterday", "--ledger", url).exit_code == 2
    with taken_turn(url):
        assert "another process is summing the ledger up right now" in run("db", "rollup", "--ledger", url).output


def test_sums_go_on_after_the_server_was_restarted(postgres: PostgresServer) -> None:
    with postgres.database("ledger") as url:
        store, first = Store(url), record(0, started_ms=MIDNIGHT_MS)
        store.write([first])
        rolled_up(url)
        with postgres.stopped("immediate"):
            pass
        store.write([first, record(1, started_ms=MIDNIGHT_MS)])
        rolled_up(url)
        assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(2,)]
        store.close()
