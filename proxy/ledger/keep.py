"""Where calls go: the database, else the spool, else memory; and back again. It must never give up a call that any of them can hold."""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from proxy.call import CallRecord
from proxy.clock import Clock
from proxy.ledger.base import Durability, LedgerUnavailable, UnwritableRecord
from proxy.ledger.spool import Spool, SpoolFull

FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 5.0
RECORDS_PER_RETRY: Final = 64
"""Brought back in one transaction: enough to catch up, few enough that the calls which come meanwhile wait for milliseconds only."""

log = logging.getLogger("grammage.ledger")


class Writable(Protocol):
    """The part of the store that is written."""

    def open_writer(self, durability: Durability) -> None:
        """Open the writing connection. Raises LedgerUnavailable."""

    def write(self, records: Sequence[CallRecord]) -> None:
        """Insert or ignore all records in one transaction. Raises LedgerUnavailable or UnwritableRecord."""


class Keep:
    """The ladder of one ledger, used by one thread. Counters: spooled, lost (records), held (in memory), last_commit_s."""

    def __init__(self, store: Writable, spool: Spool, *, durability: Durability, memory_calls: int, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._durability = durability
        self._memory_calls = memory_calls
        self._clock = clock
        self._memory: deque[CallRecord] = deque()
        self._retry_at: float | None = None
        self._delay_s = FIRST_RETRY_S
        self._has_spooled = False
        self.spooled = 0
        self.lost = 0
        self.held = 0
        self.aside_since: float | None = None
        self.last_commit_s: float | None = None

    def open(self) -> None:
        """Open the database; when it refuses, calls go to the spool from the first on."""
        self._has_spooled = not self._spool.is_empty
        if self._has_spooled:
            self.aside_since = self._clock.perf()
        try:
            self._store.open_writer(self._durability)
        except LedgerUnavailable as error:
            self._back_off(error)

    def keep(self, records: Sequence[CallRecord]) -> None:
        """Keep the records wherever they can be kept; what nothing can hold is counted as lost and logged."""
        if self._is_waiting() or not self._write(records):
            self._set_aside(records)

    def work_off(self) -> None:
        """Bring one portion of what was set aside into the database, if it is time to try."""
        if self._is_waiting():
            return
        if self._has_spooled:
            records = self._spool.oldest(RECORDS_PER_RETRY)
            if self._write(records):
                self._spool.drop_oldest()
                self._has_spooled = not self._spool.is_empty
        elif self._memory:
            portion = [self._memory[i] for i in range(min(RECORDS_PER_RETRY, len(self._memory)))]
            if self._write(portion):
                for _ in portion:
                    self._memory.popleft()
                self.held = len(self._memory)
        if not self._has_backlog() and self.aside_since is not None:
            self.aside_since = None
            log.warning("the ledger has taken every call that was set aside")

    def wait_s(self) -> float | None:
        """Seconds until work_off() has something to do; None when nothing was set aside."""
        if not self._has_backlog():
            return None
        return 0.0 if self._retry_at is None else max(0.0, self._retry_at - self._clock.perf())

    def close(self) -> None:
        """One last try for everything set aside; the spool keeps what the database refuses, memory cannot."""
        self._retry_at = None
        try:
            while self._has_backlog() and self._retry_at is None:
                self.work_off()
        finally:
            rest, self._memory = list(self._memory), deque()
            self.held = 0
            for start in range(0, len(rest), RECORDS_PER_RETRY):
                self._spool_or_lose(rest[start : start + RECORDS_PER_RETRY])

    def _write(self, records: Sequence[CallRecord]) -> bool:
        """True when the database has dealt with them; a record it can never take is counted as lost."""
        if not records:
            return True
        started = self._clock.perf()
        try:
            self._store.write(records)
        except LedgerUnavailable as error:
            self._back_off(error)
            return False
        except UnwritableRecord as error:
            if len(records) == 1:
                self.lose(records, str(error))
                return True
            return all([self._write([record]) for record in records])  # noqa: C419 - every one of them, also after a failure
        self._recovered(self._clock.perf() - started)
        return True

    def _recovered(self, commit_s: float) -> None:
        self._retry_at = None
        self._delay_s = FIRST_RETRY_S
        self.last_commit_s = commit_s

    def pause(self) -> None:
        """Let the database be for a while."""
        self._retry_at = self._clock.perf() + self._delay_s
        self._delay_s = min(LAST_RETRY_S, self._delay_s * 2)

    def _back_off(self, error: LedgerUnavailable) -> None:
        if self._retry_at is None:
            log.error("the ledger takes no calls (%s); they go to the spool and are written later", error)
        self.pause()

    def _is_waiting(self) -> bool:
        return self._retry_at is not None and self._clock.perf() < self._retry_at

    def _has_backlog(self) -> bool:
        return self._has_spooled or bool(self._memory)

    def _set_aside(self, records: Sequence[CallRecord]) -> None:
        if self.aside_since is None:
            self.aside_since = self._clock.perf()
        if not self._spool_all(records):
            room = self._memory_calls - len(self._memory)
            self._memory.extend(records[:room])
            self.held = len(self._memory)
            if room < len(records):
                self.lose(records[room:], "database, spool and memory are full")

    def _spool_or_lose(self, records: Sequence[CallRecord]) -> None:
        if not self._spool_all(records):
            self.lose(records, "the proxy ends, and database and spool take none")

    def _spool_all(self, records: Sequence[CallRecord]) -> bool:
        try:
            self._spool.append(records, sync=self._durability == "fsync")
        except SpoolFull:
            return False
        except (UnicodeError, OverflowError, TypeError) as error:
            if len(records) == 1:
                self.lose(records, str(error))
                return True
            return all([self._spool_all([record]) for record in records])  # noqa: C419 - every one of them
        self._has_spooled = True
        self.spooled += len(records)
        return True

    def lose(self, records: Sequence[CallRecord], why: str) -> None:
        """Count and log records that nothing holds."""
        self.lost += len(records)
        log.error("%d calls are lost to the ledger, the first is %s: %s", len(records), records[0].call_id, why)
