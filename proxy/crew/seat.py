"""One worker's place among the others: its sheet, its link, and whether all of them serve. It must never speak for another worker."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing.connection import Connection

from config.settings import Settings
from config.tables import Tables
from proxy.call import Caller, CallRecord
from proxy.crew.messages import KeysChanged, Ready
from proxy.errors import StartError
from proxy.metrics import Metrics
from proxy.metrics.shared import SharedMetrics
from proxy.metrics.sheet import NOBODY
from proxy.metrics.sheets import Sheets

_log = logging.getLogger("grammage.crew")


class State(IntEnum):
    """What a worker says of itself on its sheet."""

    STARTING = 0
    READY = 1
    UNREADY = 2
    DRAINING = 3


@dataclass(slots=True, kw_only=True)
class Seat:
    """number: 0 is the first. workers: how many there are when all serve. reload_ok: whether the last load of the configuration went well.

    is_replacement: all have served before.
    """

    number: int
    workers: int
    sheets: Sheets
    link: "Connection"
    reload_ok: bool = True
    is_replacement: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this worker does what one of them does for all."""
        return self.number == 0

    def metrics(self, settings: Settings, tables: Tables, *, version: str, built_in_aliases: Iterable[str]) -> SharedMetrics:
        """Metrics that are counted together with the other workers."""
        found = SharedMetrics(settings, tables, self.sheets, version=version, built_in_aliases=built_in_aliases)
        found.config_reloaded(ok=self.reload_ok)
        return found

    def refuse_limits(self, callers: Iterable[Caller]) -> None:
        """Raises StartError for issued keys with limits, which each worker would count for itself; said only, once all have served."""
        limited = sorted(caller.id for caller in callers if caller.limits is not None)
        if not limited:
            return
        text = (
            f"{self.workers} workers need `redis:` to share the rate limits of issued keys ({', '.join(limited[:3])}). "
            "Set it, or start one worker (server.workers, --workers)."
        )
        if not self.is_replacement:
            raise StartError(text)
        _log.warning("%s", text)

    def kept(self, metrics: Metrics) -> Callable[[CallRecord], None] | None:
        """What counts a call once the ledger has dealt with it."""
        return metrics.kept if isinstance(metrics, SharedMetrics) else None

    def write_down(self, metrics: Metrics) -> None:
        """Lets the others read the state that metrics tell of."""
        if isinstance(metrics, SharedMetrics):
            metrics.write_down()

    def is_crew_ready(self) -> bool:
        """Whether as many workers serve as there should be."""
        return sum(sheet.owner != NOBODY and sheet.state == State.READY for sheet in self.sheets.all) >= self.workers

    def tell_state(self, state: State) -> None:
        """Notes on the sheet what this worker is now, for the others to read, and that it lives."""
        self.sheets.own.state = state
        self.sheets.own.beat()

    def tell_ready(self) -> None:
        """This worker serves from now on."""
        self.sheets.own.state = State.READY
        self.link.send(Ready())

    def tell_keys_changed(self) -> None:
        """The others are to look at the issued keys anew."""
        self.link.send(KeysChanged())
