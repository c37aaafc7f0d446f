"""The supervisor: as many workers as there should be, on one address, with one configuration. It must never end while a worker serves."""

import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from config.settings import Settings
from proxy.crew.messages import Draining, Entered, KeysChanged, Prepared, Ready, Refused
from proxy.crew.seat import Seat, State
from proxy.errors import StartError
from proxy.metrics.sheet import NOBODY
from proxy.metrics.sheets import Sheets
from proxy.workers.child import Child, begin
from proxy.workers.ears import Ears
from proxy.workers.pulse import HANGS_S, Pulse
from proxy.workers.reloading import Reloading
from proxy.workers.rolling import Rolling

_log = logging.getLogger("grammage.workers")
LASTS_S: Final = 10.0
"""A worker that lasts this long is begun anew at once when it dies; where they die younger, each one waits longer."""
PAUSES_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
MOST_FAILURES: Final = 5
"""So many workers that die before all have served end the proxy."""
GRACE_S: Final = 15.0
"""Beyond `server.drain_s`, what a worker gets to write what it holds before it is killed."""

Serve = Callable[[Seat, Settings, Sequence[socket.socket]], None]
"""A worker's work, with the settings in force and its sockets. Raises StartError."""


class _Chair:
    """A seat that is to be taken. sockets: bound; they stay open here, so that connections wait while a worker is begun anew."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.sockets = sockets
        self.failures = 0
        self.next_at_s = 0.0

    def failed(self, now_s: float) -> None:
        """A worker died young here: the next one waits."""
        self.next_at_s = now_s + PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures += 1


class Supervisor:
    """Runs in a process without threads, so that it can be forked. announce: called once, when all serve. perf: monotonic seconds."""

    def __init__(
        self,
        reloading: Reloading,
        *,
        sheets: Sheets,
        sockets: Sequence[Sequence[socket.socket]],
        serve: Serve,
        announce: Callable[[], None],
        perf: Callable[[], float],
    ) -> None:
        """sockets: those of each seat."""
        self._reloading = reloading
        self._sheets = sheets
        self._serve = serve
        self._announce = announce
        self._perf = perf
        self._chairs = [_Chair(each) for each in sockets]
        self._children: dict[int, Child] = {}
        self._rolling = Rolling()
        self._pulse = Pulse(sheets, perf)
        self._has_served = False
        self._is_ending = False
        self._trouble: str | None = None
        self._ears = Ears(on_end=self._end, on_reload=reloading.want, on_roll=lambda: self._rolling.want(len(self._chairs)))
        self._on_word: Mapping[type, Callable[[Child, Any], None]] = {
            Ready: lambda child, _: self._serves(child),
            Refused: self._refused,
            Draining: self._leaving,
            Prepared: reloading.prepared,
            Entered: reloading.entered,
            KeysChanged: self._pass_on,
        }

    def run(self) -> None:
        """Until SIGTERM or SIGINT, and every worker has ended. Raises StartError when workers cannot begin."""
        with self._ears.open():
            try:
                while self._children or not self._is_ending:
                    self._step()
            finally:
                for child in self._children.values():
                    child.kill()
                self._close_sockets()
        if self._trouble is not None:
            raise StartError(self._trouble)

    def _step(self) -> None:
        if not self._is_ending:
            self._fill()
            self._roll()
        links = {child.link: child for child in self._children.values() if not child.is_deaf}
        for link in self._ears.hear(list(links), self._patience_s()):
            self._listen(links[link])
        self._reap()
        if not self._is_ending:
            self._reloading.look([child for child in self._children.values() if not child.is_draining])
        self._kill_the_stuck()

    def _kill_the_stuck(self) -> None:
        """Those that do not end in time, and those that hang."""
        for child in self._children.values():
            if child.is_draining:
                self._set_deadline(child)
            if child.kill_at_s is not None and self._perf() >= child.kill_at_s:
                _log.error("worker %d does not end and is killed", child.pid)
                child.kill()
        for child in self._pulse.hanging(self._children.values()):
            _log.error("worker %d has done nothing for %.0f s and is killed", child.pid, HANGS_S)
            child.kill()

    def _patience_s(self) -> float:
        now_s = self._perf()
        waits = [child.kill_at_s - now_s for child in self._children.values() if child.kill_at_s is not None]
        if not self._is_ending:
            waits += [chair.next_at_s - now_s for chair in self._chairs if chair.next_at_s > now_s]
            waits.append(self._reloading.due_s)
        return max(0.0, min(waits, default=self._reloading.due_s))

    def _fill(self) -> None:
        """Begins a worker on each seat that has none; the first one opens the ledger before the others come."""
        if self._reloading.is_busy:
            return
        for number, chair in enumerate(self._chairs):
            child = self._on_seat(number)
            if child is None and self._perf() >= chair.next_at_s:
                child = self._begin(number)
            if not self._has_served and (child is None or not child.is_ready):
                return

    def _on_seat(self, number: int) -> Child | None:
        """The worker that takes connections there."""
        return next((child for child in self._children.values() if child.seat == number and not child.is_draining), None)

    def _begin(self, number: int) -> Child | None:
        """A worker on that seat; None while those that drain have all sheets, or the system has no room for a process."""
        sheet = next((at for at, each in enumerate(self._sheets.all) if each.owner == NOBODY), None)
        if sheet is None:
            return None
        reloading, chair = self._reloading, self._chairs[number]

        def made(link: Connection) -> Seat:
            return Seat(
                number=number,
                workers=len(self._chairs),
                sheets=self._sheets,
                link=link,
                reload_ok=reloading.ok,
                is_replacement=self._has_served,
            )

        def give_back() -> None:
            self._ears.close()
            for other in self._children.values():
                other.link.close()
            for at, each in enumerate(self._chairs):
                if at != number:
                    _close(each.sockets)

        self._sheets.all[sheet].state = State.STARTING
        try:
            pid, link = begin(made, sheet, lambda seat: self._serve(seat, reloading.settings, chair.sockets), give_back)
        except OSError as error:
            _log.error("no worker can be begun on seat %d now: %s", number, error)
            chair.failed(self._perf())
            return None
        self._sheets.all[sheet].owner = pid
        child = Child(pid=pid, seat=number, sheet=sheet, link=link, born_s=self._perf(), generation=reloading.generation)
        self._children[pid] = child
        return child

    def _listen(self, child: Child) -> None:
        try:
            while not child.is_deaf and child.link.poll():
                word = child.link.recv()
                self._on_word[type(word)](child, word)
        except (EOFError, OSError):
            child.is_deaf = True  # its process is waited for, or killed in time

    def _serves(self, child: Child) -> None:
        child.is_ready = True
        _log.info("worker %d serves on seat %d", child.pid, child.seat)
        if not self._has_served and all((found := self._on_seat(at)) and found.is_ready for at in range(len(self._chairs))):
            self._has_served = True
            self._announce()

    def _refused(self, child: Child, word: Refused) -> None:
        child.refusal = word.why

    def _leaving(self, child: Child, _word: Draining) -> None:
        """Somebody ended one worker alone: another takes its seat while it finishes its calls."""
        child.is_draining = True
        self._set_deadline(child)

    def _pass_on(self, child: Child, word: KeysChanged) -> None:
        for other in self._children.values():
            if other is not child:
                other.tell(word)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._listen(child)
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> None:
        del self._children[child.pid]
        child.link.close()
        sheet = self._sheets.all[child.sheet]
        sheet.state = State.STARTING
        sheet.give_back()
        self._reloading.gone(child)
        self._rolling.gone(child)
        if child.is_draining or self._is_ending:
            _log.info("worker %d on seat %d has ended", child.pid, child.seat)
            return
        why = child.refusal or (f"signal {-code}" if code < 0 else f"exit code {code}")
        self._replace(child, why)

    def _replace(self, child: Child, why: str) -> None:
        chair, now_s = self._chairs[child.seat], self._perf()
        if child.is_ready and now_s - child.born_s >= LASTS_S:
            chair.failures = 0
        chair.failed(now_s)
        if not self._has_served and (child.refusal is not None or chair.failures >= MOST_FAILURES):
            self._trouble = child.refusal or f"{chair.failures} workers ended before they served, the last one by {why}; the log says more"
            self._end()
        else:
            _log.error("worker %d on seat %d ended (%s); another one takes its place", child.pid, child.seat, why)

    def _roll(self) -> None:
        """Replaces workers one after another: the new one serves before the old one takes no more."""
        number = self._rolling.next_seat()
        if number is None or self._reloading.is_busy or not self._has_served:
            return
        old = self._on_seat(number)
        if old is None or not old.is_ready:
            return
        new = self._begin(number)
        if new is not None:
            self._rolling.under_way(old, new)

    def _set_deadline(self, child: Child) -> None:
        if child.kill_at_s is None:
            child.kill_at_s = self._perf() + self._reloading.settings.server.drain_s + GRACE_S

    def _end(self) -> None:
        """Every worker finishes its calls; asked again, gives them up."""
        hurry, self._is_ending = self._is_ending, True
        for child in self._children.values():
            child.leave(hurry=hurry)
            self._set_deadline(child)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for chair in self._chairs:
            _close(chair.sockets)


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()
