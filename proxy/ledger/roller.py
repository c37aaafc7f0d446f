"""Sums hours and days in the background, on a thread of its own. It must never make a call wait, nor end the proxy."""

import logging
import threading

from proxy.clock import Clock
from proxy.errors import StartError
from proxy.ledger.base import LedgerUnavailable

DAY_S = 86_400.0

log = logging.getLogger("grammage.ledger")


class Roller:
    """Rolls the ledger up every so many seconds; every_s None: never. What it misses the next time finds.

    keep_s: calls that are older are taken out, once a day; None: none ever.
    """

    def __init__(self, url: str, every_s: float | None, keep_s: float | None, clock: Clock) -> None:
        self._url = url
        self._every_s = every_s
        self._keep_s = keep_s
        self._clock = clock
        self._prune_at = self._ahead_at = clock.perf()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="grammage-rollups", daemon=True)

    def start(self) -> None:
        """The first sums come after one period."""
        if self._every_s is not None:
            self._thread.start()

    def close(self) -> None:
        """Ends between two days of sums; blocks that long."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._roll()
            except (LedgerUnavailable, StartError) as error:
                log.warning("the ledger could not be summed up by hour: %s; the next round tries again", error)
            except Exception:  # the thread may not die of one round
                log.exception("summing the ledger up by hour broke; the next round tries again")

    def _roll(self) -> None:
        from proxy.ledger.roll import roll  # SQLAlchemy is slow to import: only once there is something to do
        from proxy.ledger.turn import taken_turn  # as above

        with taken_turn(self._url) as turn:
            if turn is None:
                return
            roll(turn, is_ended=self._ended.is_set)
            if self._clock.perf() >= self._ahead_at:
                from proxy.ledger.partitions import keep_ahead  # as above

                keep_ahead(turn)
                self._ahead_at = self._clock.perf() + DAY_S
            if self._keep_s is not None and self._clock.perf() >= self._prune_at:
                from proxy.ledger.prune import prune  # as above

                self._prune_at = self._clock.perf() + DAY_S
                gone = prune(turn, self._clock.now_ms() - int(self._keep_s * 1000), is_ended=self._ended.is_set)
                log.info("%d calls older than ledger.retention were taken out of the ledger; their sums stay", gone.calls)
