"""Notices that the client has left and lets the waiting call know. It must never end a call that has its answer already."""

import asyncio
from contextlib import suppress
from types import TracebackType

from starlette.types import Receive

from proxy.sweep import Sweeper

PATIENCE_S = 0.05
"""Calls that are over sooner are not watched: a watch costs a task."""


class ClientWatch:
    """While open, cancels the task it was opened in when the client disconnects; `fired` tells such a cancellation from others."""

    __slots__ = ("_after", "_receive", "_sweeper", "_task", "_watcher", "fired")

    def __init__(self, receive: Receive, sweeper: Sweeper, after: asyncio.Event | None = None) -> None:
        """sweeper: starts the watch when the call lasts.

        after: set once the request's body has been read; until then `receive` belongs to who reads it.
        """
        self._receive = receive
        self._sweeper = sweeper
        self._after = after
        self._watcher: asyncio.Task[None] | None = None
        self.fired = False

    async def __aenter__(self) -> "ClientWatch":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a client is watched from within a task")
        self._task = task
        self._sweeper.add(self, PATIENCE_S)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sweeper.remove(self)
        if self._watcher is not None:
            self._watcher.cancel()
        if self.fired:
            await self._absorb(delivered=kind is asyncio.CancelledError)

    async def _absorb(self, *, delivered: bool) -> None:
        """Takes back our own cancellation, also one that has not been delivered yet."""
        if not delivered:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._task.uncancel()

    def overdue(self) -> None:
        """The call lasts: from now on somebody listens."""
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        if self._after is not None:
            await self._after.wait()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.fired = True
                self._task.cancel()
                return
