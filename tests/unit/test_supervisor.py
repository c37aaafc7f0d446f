"""The supervisor where things go wrong beneath it: no room for a process, workers that hang or do not listen, a log that nobody reads."""

import errno
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from config.settings import Settings
from proxy.crew.messages import Drain
from proxy.crew.seat import Seat, State
from proxy.metrics.sheet import NOBODY, Sheet
from proxy.metrics.sheets import Sheets
from proxy.workers import child as child_module
from proxy.workers.child import Child
from proxy.workers.opening import _AtOnce
from proxy.workers.pulse import HANGS_S, MOST_AT_ONCE_S, Pulse
from proxy.workers.reloading import Reloading
from proxy.workers.supervise import GRACE_S, Supervisor

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]
SOON_S = 20.0


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def deaf(seat: Seat, _settings: Settings, _sockets: Sequence[object]) -> None:
    """A worker that serves, and hears and says nothing any more."""
    seat.tell_ready()
    signal.pause()


def willing(seat: Seat, _settings: Settings, _sockets: Sequence[object]) -> None:
    """A worker that does nothing but end when it is told to."""
    seat.tell_ready()
    while not isinstance(seat.link.recv(), Drain):
        continue


def stuck_in_its_start(_seat: Seat, _settings: Settings, _sockets: Sequence[object]) -> None:
    """A worker that waits for a database that does not answer."""
    time.sleep(3600)


class House:
    """A supervisor that takes a step when the test says so."""

    def __init__(self, serve: Callable[[Seat, Settings, Sequence[object]], None], load: Callable[[], Settings] = Settings) -> None:
        self.clock = Clock()
        self.sheets = Sheets(4)
        self.reloading = Reloading(Settings(), load, None, self.clock)
        self.supervisor = Supervisor(
            self.reloading, sheets=self.sheets, sockets=[[], []], serve=serve, announce=lambda: None, perf=self.clock
        )

    @property
    def children(self) -> list[Child]:
        return list(self.supervisor._children.values())

    def until(self, is_so: Callable[[], bool]) -> None:
        """Steps, with a moment in between as the supervisor waits for words, until it is so."""
        end = time.monotonic() + SOON_S
        while not is_so():
            assert time.monotonic() < end
            self.supervisor._step()

    def serves(self, number: int = 2) -> bool:
        return sum(child.is_ready and not child.is_draining for child in self.children) == number


@pytest.fixture
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(request.param)
    monkeypatch.setattr(made.supervisor, "_patience_s", lambda: 0.05)
    with made.supervisor._ears.open():
        try:
            made.until(made.serves)
            yield made
        finally:
            for child in made.children:
                child.kill()
                os.waitpid(child.pid, 0)
                child.link.close()


@pytest.mark.parametrize("house", [willing], indirect=True)
def test_a_worker_dies_while_the_system_has_no_room_for_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> int:
        raise OSError(errno.EAGAIN, "no room")

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as full:
        full.setattr(os, "fork", no_room)
        house.children[0].kill()
        house.until(lambda: len(house.children) == 1)
        for _ in range(5):
            house.clock.now_s += 60.0
            house.supervisor._step()
        assert house.serves(1)
        assert len(os.listdir("/proc/self/fd")) == before - 1
    house.clock.now_s += 60.0
    house.until(house.serves)


@pytest.mark.parametrize("house", [deaf], indirect=True)
def test_a_worker_that_is_replaced_and_does_not_end_is_killed_in_time(house: House) -> None:
    old = [child.pid for child in house.children]
    house.supervisor._rolling.want(2)
    house.until(lambda: sum(child.is_draining for child in house.children) == 2 and house.serves())
    house.clock.now_s += house.reloading.settings.server.drain_s + GRACE_S
    house.until(lambda: len(house.children) == 2)
    assert not set(old) & {child.pid for child in house.children}
    assert sum(sheet.owner != NOBODY for sheet in house.sheets.all) == 2


@pytest.mark.parametrize("house", [deaf], indirect=True)
def test_a_worker_that_hangs_is_killed_and_replaced(house: House) -> None:
    stuck, well = house.children
    while stuck.pid in house.supervisor._children:
        assert house.clock.now_s < 1000.0 + HANGS_S + 10 * MOST_AT_ONCE_S
        house.sheets.all[well.sheet].beat()
        house.clock.now_s += MOST_AT_ONCE_S
        house.supervisor._step()
    assert house.clock.now_s >= 1000.0 + HANGS_S
    house.until(house.serves)
    assert well.pid in house.supervisor._children


def test_workers_that_never_came_to_serve_end_at_once(caplog: pytest.LogCaptureFixture) -> None:
    made = House(stuck_in_its_start)
    with made.supervisor._ears.open():
        made.supervisor._fill()
        pid = made.children[0].pid
        made.supervisor._end()
        with caplog.at_level(logging.ERROR):
            made.until(lambda: not made.children)
    assert not Path(f"/proc/{pid}").exists()
    assert caplog.text == ""


def child_on(sheet: int, link: Connection, pid: int = 1) -> Child:
    return Child(pid=pid, seat=sheet, sheet=sheet, link=link, born_s=0.0, generation=0, is_ready=True)


def test_when_all_processes_were_stopped_together_no_worker_hung() -> None:
    clock, sheets = Clock(), Sheets(1)
    mine, its = Pipe()
    pulse, worker = Pulse(sheets, clock), child_on(0, mine)
    for _ in range(3):
        clock.now_s += 3600.0
        assert pulse.hanging([worker]) == []
        assert pulse.hanging([worker]) == []
    sheets.all[0].beat()
    clock.now_s += 3600.0
    assert pulse.hanging([worker]) == []
    silent_s = 0.0
    while not pulse.hanging([worker]):
        clock.now_s += 2.0
        silent_s += 2.0
    assert HANGS_S <= silent_s <= HANGS_S + 4.0
    mine.close()
    its.close()


def test_a_worker_that_does_not_listen_does_not_hold_the_supervisor_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "TELL_S", 1)
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    mine, its = child_module._link()
    worker = child_on(0, mine, pid)
    worker.tell(b"x" * 5_000_000)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    mine.close()
    its.close()


def test_a_configuration_that_nobody_thought_of_does_not_end_the_supervisor(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (file := tmp_path / "grammage.yaml").write_text("version: 1\n")

    def load() -> Settings:
        raise RecursionError("too deep")

    reloading = Reloading(Settings(), load, file, Clock())
    reloading.want()
    with caplog.at_level(logging.ERROR, "grammage.reload"):
        reloading.look([])
    assert not reloading.ok
    assert not reloading.is_busy
    assert "the old one stays" in caplog.text


@pytest.mark.parametrize("is_read", [True, False])
def test_a_log_that_nobody_takes_costs_lines_and_nothing_else(is_read: bool) -> None:
    reads, writes = os.pipe()
    kept = os.dup(2)
    try:
        os.dup2(writes, 2)
        if not is_read:
            os.close(reads)
        writer = _AtOnce()
        for _ in range(200):
            writer.put(b"x" * 1000)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writes)
        if is_read:
            os.close(reads)
    assert writer.dropped_total >= (100 if is_read else 200)


def test_what_a_dead_worker_wrote_of_its_state_is_nobodys() -> None:
    sheet = Sheet(4096)
    sheet.owner, sheet.tick, sheet.state = 7, 5.0, State.READY
    sheet.give_back()
    assert sheet.owner == NOBODY
    assert sheet.tick > 6.0, "also where it ended in the middle of round 6"
