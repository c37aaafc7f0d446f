"""One timer for many waits: nearly all of them are over long before it looks. It must never make a wait shorter than it was asked for.

A timer of the event loop costs a call some microseconds each time it is set and taken back; an entry in a dictionary does not.
"""

import asyncio
from typing import Protocol


class Wait(Protocol):
    """Something that may last too long."""

    def overdue(self) -> None:
        """It has; called once, from the event loop."""


class Sweeper:
    """Calls `overdue` of what is still there when its time has come, at most `every_s` later. Belongs to one event loop."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: dict[Wait, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, wait: Wait, patience_s: float) -> None:
        """Waits for `wait` from now on, or anew, for `patience_s` seconds."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._due[wait] = loop.time() + patience_s
        if self._timer is None:
            self._timer = loop.call_later(self._every_s, self._sweep, loop)

    def remove(self, wait: Wait) -> None:
        """`wait` is over, if it was there at all."""
        self._due.pop(wait, None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for wait in [wait for wait, due in self._due.items() if due <= now]:
            del self._due[wait]
            wait.overdue()
        self._timer = loop.call_later(self._every_s, self._sweep, loop) if self._due else None
