"""Weighs this process in the background, on a thread of its own. It must never look at a call, nor make one wait."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from config.factors import FactorSet
from estimators.estimate import Estimate
from estimators.own import OwnHost, OwnUse, own_estimate, own_it_energy_wh
from estimators.physics_lines import J_PER_WH
from proxy.clock import Clock, uuid7
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.own_store import OwnRow

HOUR_MS: Final = 3_600_000
KEPT_LINES: Final = ("it_energy_wh", "facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
MOST_WAITING: Final = 1_000
"""Rows that wait for a ledger which is gone: forty days of hours."""

log = logging.getLogger("grammage.own")


class Looks(Protocol):
    """What says what the process used."""

    def look(self) -> OwnUse:
        """Since the last look."""


class Keeps(Protocol):
    """What keeps the rows."""

    def keep(self, rows: Sequence[OwnRow]) -> None:
        """In one transaction; a row that is there already becomes what it is now. Raises LedgerUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSums:
    """What this process weighs since its start, expected values; for metrics. joules: facility energy, by how its power is known."""

    cpu_s: float = 0.0
    measured_j: float = 0.0
    modelled_j: float = 0.0
    operational_gco2e: tuple[float, float, float] = (0.0, 0.0, 0.0)
    embodied_gco2e: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class _Part:
    """The hour under way."""

    number: int
    hour: int
    since_ms: int
    until_ms: int
    host: OwnHost
    use: OwnUse = field(default_factory=OwnUse)


class OwnWeight:
    """One process of the proxy. sums() and move() may be called from any thread; close() ends it with a last look.

    What was used since the last look is lost when the process is killed, nothing else.
    """

    def __init__(
        self, gauge: Looks, keeper: Keeps, host: OwnHost, factors: FactorSet, *, profile: str, every_s: float, clock: Clock
    ) -> None:
        self._gauge = gauge
        self._keeper = keeper
        self._factors = factors
        self._profile = profile
        self._every_s = every_s
        self._clock = clock
        self._host = host
        self._id = uuid7(clock.now_ms())
        self._part: _Part | None = None
        self._parts = 0
        self._ended_sums = OwnSums()
        self._sums = OwnSums()
        self._waiting: dict[str, OwnRow] = {}
        self._ledger_is_gone = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="grammage-own-weight", daemon=True)

    def start(self) -> None:
        """The first look comes after one period; it reaches back to the start of the process."""
        self._thread.start()

    def close(self) -> None:
        """Looks a last time and writes; blocks that long."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def move(self, host: OwnHost) -> None:
        """The host is another from the next look on, as a reload has it."""
        self._host = host

    def sums(self) -> OwnSums:
        """What was found so far, as of the last look."""
        return self._sums

    def look(self) -> None:
        """One look: what was used since the last one counts in the hour that is now, and is written."""
        now_ms, use = self._clock.now_ms(), self._gauge.look()
        part = self._part
        if part is None or part.hour != now_ms // HOUR_MS or part.host is not self._host:
            self._ended_sums = self._sums
            since_ms = now_ms - int(use.wall_s * 1000) if part is None else part.until_ms
            self._part = part = _Part(self._parts, now_ms // HOUR_MS, min(since_ms, now_ms), now_ms, self._host)
            self._parts += 1
        part.use, part.until_ms = part.use + use, now_ms
        estimate = own_estimate(part.use, part.host, self._factors, self._profile)
        self._sums = _with(self._ended_sums, part, estimate, self._factors)
        self._keep(self._row(part, estimate))

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._guarded(self.look)
        self._guarded(self.look)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # the thread may not die of one look
            log.exception("the proxy could not weigh itself; the next look tries again")

    def _keep(self, row: OwnRow) -> None:
        """Writes the row, and those that wait; what the ledger does not take now waits."""
        self._waiting[row.key] = row
        try:
            self._keeper.keep(tuple(self._waiting.values()))
        except LedgerUnavailable as error:
            if not self._ledger_is_gone:
                log.warning("the proxy's own weight waits for the ledger: %s", error)
            self._ledger_is_gone = True
            while len(self._waiting) > MOST_WAITING:
                log.error("an hour of the proxy's own weight is lost to the ledger: %s", self._waiting.pop(next(iter(self._waiting))).key)
            return
        self._ledger_is_gone = False
        self._waiting.clear()

    def _row(self, part: _Part, estimate: Estimate) -> OwnRow:
        place, use = part.host.place, part.use
        return OwnRow(
            process_id=self._id,
            part=part.number,
            hour=part.hour,
            since_ms=part.since_ms,
            until_ms=part.until_ms,
            cpu_s=use.cpu_s,
            wall_s=use.wall_s,
            memory_gb_s=use.memory_gb_s,
            measured_cpu_s=use.measured_cpu_s,
            package_j=use.package_j,
            provider=place.provider,
            region=place.region,
            zone=estimate.zone,
            method=estimate.method,
            method_version=estimate.method_version,
            factor_set=estimate.factor_set,
            profile=estimate.profile,
            quality=estimate.quality,
            warnings=estimate.warnings,
            lines={name: (getattr(estimate, name).p50, *getattr(estimate, name).variance) for name in KEPT_LINES},
        )


def _with(before: OwnSums, part: _Part, estimate: Estimate, factors: FactorSet) -> OwnSums:
    """The sums with the hour under way."""
    pue = part.host.place.pue.value
    measured, modelled = (each.mean * pue * J_PER_WH for each in own_it_energy_wh(part.use, part.host, factors))
    return OwnSums(
        cpu_s=before.cpu_s + part.use.cpu_s,
        measured_j=before.measured_j + measured,
        modelled_j=before.modelled_j + modelled,
        operational_gco2e=_added(before.operational_gco2e, estimate.operational_gco2e.spread()),
        embodied_gco2e=_added(before.embodied_gco2e, estimate.embodied_gco2e.spread()),
    )


def _added(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])
