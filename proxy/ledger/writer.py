"""Group commit: answers wait until their calls are kept, one transaction for all that came together. It must never block the event loop."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from proxy.call import CallRecord
from proxy.clock import Clock
from proxy.errors import StartError
from proxy.ledger.base import Durability, OnFailure
from proxy.ledger.keep import Keep, Writable
from proxy.ledger.spool import Spool

Entry = tuple[CallRecord, asyncio.Future[None] | None]

RECORDS_PER_COMMIT: Final = 512
DENY_AT_RATIO: Final = 0.9
"""Under `deny`, new calls are refused from this filling of the memory on: the rest is for the calls already under way."""

log = logging.getLogger("grammage.ledger")


class LedgerWriter:
    """One thread that commits whatever has arrived, without a timer; start(), append() and close() belong to one event loop.

    Calls that come within one turn of the loop are handed over together at its end. Counters: `queued` (not yet kept),
    `spooled_total`, `failures_total` (records lost), `last_commit_s`, `spool_reserved_bytes`.
    """

    def __init__(
        self,
        store: Writable,
        spool: Spool,
        *,
        durability: Durability = "commit",
        queue_calls: int = 50_000,
        on_failure: OnFailure = "pass",
        clock: Clock | None = None,
        kept: Callable[[CallRecord], None] | None = None,
    ) -> None:
        """kept: is told on the loop of each record that was dealt with, wherever it is now; None: nobody asks."""
        self._spool = spool
        self._kept = kept
        self._clock = clock or Clock()
        self._keep = Keep(store, spool, durability=durability, memory_calls=queue_calls, clock=self._clock)
        self._waits = durability != "async"
        self._queue_calls = queue_calls
        self._denies = on_failure == "deny"
        self._pending: list[Entry] = []
        self._batches: SimpleQueue[list[Entry] | None] = SimpleQueue()
        self._oldest: deque[float] = deque()
        self._refused = 0
        self._thread = threading.Thread(target=self._run, name="grammage-ledger", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[None]
        self._closing = False
        self.queued = 0

    def start(self) -> None:
        """Open the spool and start the thread, which first brings in what an earlier run left. Raises StartError without a spool."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        try:
            self._spool.open()
        except OSError as error:
            raise StartError(f"cannot open the spool beside the ledger: {error}; make the folder writable or move the ledger") from error
        self._thread.start()

    def append(self, record: CallRecord) -> asyncio.Future[None] | None:
        """Take a record. The future ends when it is kept (database, spool, or as a last resort memory); None: nothing to wait for."""
        if self.queued >= self._queue_calls:
            self._refuse(record)
            return None
        pending = self._pending
        if not pending:
            self._oldest.append(self._clock.perf())
            self._loop.call_soon(self._hand_over)
        self.queued += 1
        if not self._waits:
            pending.append((record, None))
            return None
        future = self._loop.create_future()
        pending.append((record, future))
        return future

    async def close(self) -> None:
        """Commit everything, let go of the spool, end the thread. Further calls of close() wait for the same end."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._batches.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def is_denying(self) -> bool:
        """New calls are to be refused: `on_failure: deny`, and memory is nearly full because nothing else takes calls."""
        return self._denies and self.queued + self._keep.held >= self._queue_calls * DENY_AT_RATIO

    def is_aside(self) -> bool:
        """True while calls wait in spool or memory for the database."""
        return self._keep.aside_since is not None

    def oldest_age_s(self) -> float:
        """Seconds that the oldest call not in the database has waited; 0 when there is none."""
        oldest = tuple(self._oldest)[:1]  # one step: the event loop may take the last one out meanwhile
        since = [time for time in (self._keep.aside_since, *oldest) if time is not None]
        return self._clock.perf() - min(since) if since else 0.0

    @property
    def spooled_total(self) -> int:
        """Records that went to the spool."""
        return self._keep.spooled

    @property
    def failures_total(self) -> int:
        """Records lost."""
        return self._keep.lost + self._refused

    @property
    def held(self) -> int:
        """Records that only memory holds."""
        return self._keep.held

    @property
    def last_commit_s(self) -> float | None:
        """Seconds the last commit took."""
        return self._keep.last_commit_s

    @property
    def spool_reserved_bytes(self) -> int:
        """Disk taken in advance."""
        return self._spool.reserved_bytes

    def _refuse(self, record: CallRecord) -> None:
        self._refused += 1
        if self._kept is not None:
            self._loop.call_soon(self._kept, record)
        log.error("call %s is lost to the ledger: %d calls wait already", record.call_id, self.queued)

    def _hand_over(self) -> None:
        if self._pending:
            self._batches.put(self._pending)
            self._pending = []

    def _resolve(self, entries: list[Entry], batches: int) -> None:
        self.queued -= len(entries)
        for _ in range(batches):
            self._oldest.popleft()
        for _, future in entries:
            if future is not None and not future.done():
                future.set_result(None)
        if self._kept is not None:
            for record, _ in entries:
                self._kept(record)

    def _run(self) -> None:
        self._guarded(self._keep.open)
        is_open = True
        while is_open:
            entries, batches, is_open = self._take()
            if entries:
                records = [record for record, _ in entries]
                if not self._guarded(self._keep.keep, records):
                    self._keep.lose(records, "an error of ours, logged above")
                self._tell_loop(self._resolve, entries, batches)
            if not self._guarded(self._keep.work_off):
                self._keep.pause()
        self._guarded(self._keep.close)
        self._guarded(self._spool.close)
        self._tell_loop(self._end)

    def _guarded(self, step: Callable[..., None], *args: object) -> bool:
        """Do a step of the thread; False and a log entry when it breaks. The thread may not die: every later answer waits for it."""
        try:
            step(*args)
        except Exception:
            log.exception("a step of the ledger's writer broke")
            return False
        return True

    def _tell_loop(self, news: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(news, *args)
        except RuntimeError:
            log.debug("the event loop ended before the ledger's writer; nobody waits for it")

    def _take(self) -> tuple[list[Entry], int, bool]:
        """What has arrived, in how many batches, and whether more may come; waits for it unless there is something to work off."""
        entries: list[Entry] = []
        batches = 0
        wait_s = self._keep.wait_s()
        try:
            while len(entries) < RECORDS_PER_COMMIT:
                batch = self._batches.get(timeout=wait_s)
                if batch is None:
                    return entries, batches, False
                entries += batch
                batches += 1
                wait_s = 0.0
        except Empty:
            pass
        return entries, batches, True

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
