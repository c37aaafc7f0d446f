"""One worker as its supervisor sees it: how it is begun, what it was told, how it ends. It must never share a thread or a loop."""

import logging
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Final, NoReturn

from proxy.crew.messages import Drain, Refused
from proxy.crew.seat import Seat
from proxy.errors import StartError

_log = logging.getLogger("grammage.workers")
Work = Callable[[Seat], None]
"""What a worker does until it is told to end. Raises StartError."""

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Ctrl-C and a lost terminal reach every process of the group: the supervisor tells its workers what that means."""

TELL_S: Final = 5
"""How long a worker may take to hear an order, whole seconds."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A process that was begun. seat: whose sockets it serves. sheet: on which it counts. born_s: monotonic. is_deaf: its link is gone."""

    pid: int
    seat: int
    sheet: int
    link: Connection
    born_s: float
    generation: int
    is_ready: bool = False
    is_draining: bool = False
    is_deaf: bool = False
    kill_at_s: float | None = None
    refusal: str | None = None

    def tell(self, order: object) -> None:
        """Says it, unless the worker is gone: its end is noticed elsewhere. One that does not listen is ended: it has half of the order."""
        try:
            self.link.send(order)
        except BlockingIOError:
            _log.error("worker %d does not listen and is killed", self.pid)
            self.kill()
        except OSError as error:
            _log.debug("worker %d hears nothing: %s", self.pid, error)

    def leave(self, *, hurry: bool = False) -> None:
        """It is to finish its calls and end. One that never said that it serves may hear nothing yet; the signal ends it, or drains it."""
        self.is_draining = True
        if self.is_ready:
            self.tell(Drain(hurry))
        else:
            self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, if it has not ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            _log.debug("worker %d has ended already", self.pid)


def begin(make_seat: Callable[[Connection], Seat], sheet: int, work: Work, give_back: Callable[[], None]) -> tuple[int, Connection]:
    """A new worker: its process, and the link to it. give_back: lets go, in the worker, of what only the supervisor has a use for.

    Raises OSError where the system has no room for another process or link.
    """
    mine, its = _link()
    sys.stdout.flush()
    sys.stderr.flush()
    old = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            mine.close()
            _become(make_seat(its), sheet, work, give_back, old)
    except OSError:
        mine.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        its.close()
    return pid, mine


def _link() -> tuple[Connection, Connection]:
    """The supervisor's end, which waits for nobody for long, and the worker's."""
    mine, its = Pipe()
    with socket.socket(fileno=os.dup(mine.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", TELL_S, 0))
    return mine, its


def _become(seat: Seat, sheet: int, work: Work, give_back: Callable[[], None], mask: Iterable[int]) -> NoReturn:
    """The worker's whole life. It never returns into the supervisor's."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        give_back()
        seat.sheets.take(sheet)
        work(seat)
        code = 0
    except StartError as error:
        seat.link.send(Refused(str(error)))
    except BaseException:  # noqa: BLE001  # the edge of the process: what is raised must not unwind into the supervisor's frames
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
