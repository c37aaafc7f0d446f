"""What a supervisor hears: signals and its workers' words, both in one wait. It must never act on a signal within its handler."""

import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

from proxy.workers.child import HANDLED


class Ears:
    """on_end: SIGTERM, SIGINT. on_reload: SIGHUP. on_roll: SIGUSR2."""

    def __init__(self, *, on_end: Callable[[], None], on_reload: Callable[[], None], on_roll: Callable[[], None]) -> None:
        self._on_signal = {signal.SIGTERM: on_end, signal.SIGINT: on_end, signal.SIGHUP: on_reload, signal.SIGUSR2: on_roll}
        self._heard, self._rings = socket.socketpair()
        for each in (self._heard, self._rings):
            each.setblocking(False)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Signals are heard as long as this lasts."""
        before = {number: signal.signal(number, lambda *_: None) for number in HANDLED}
        descriptor = signal.set_wakeup_fd(self._rings.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.close()

    def close(self) -> None:
        """Gives back what is needed to hear."""
        self._heard.close()
        self._rings.close()

    def hear(self, links: Sequence[Connection], patience_s: float) -> list[Connection]:
        """Waits; does what signals ask for; returns the links on which something is to be read."""
        found = wait([self._heard, *links], patience_s)
        if self._heard in found:
            for number in self._heard.recv(4096):
                if (act := self._on_signal.get(signal.Signals(number))) is not None:
                    act()
        return [link for link in links if link in found]
