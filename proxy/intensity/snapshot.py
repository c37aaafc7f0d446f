"""What is known of the grids' intensity at one moment, as a value. It must never change once it is made, nor mix kinds or bases."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from config.settings import IntensityKind
from proxy.intensity.plausible import OLDEST_S
from proxy.intensity.reading import Basis, Flow, Kind, Reading, State

MOST_AGE_S = 6 * 3600.0
"""An older figure says nothing of a call's own hour."""

SPLIT_COUNTRIES = frozenset({"DK", "IT", "NO", "SE"})
"""Countries of several zones on one grid: the whole country's figure stands in where nobody tells of the part."""


class Current(NamedTuple):
    """The figure that holds now. at_s: since when it does, seconds since 1970 UTC.

    age_s: seconds since it began to hold, or for a forecast since the source last told it, if that is longer.
    """

    source: IntensityKind
    zone: str
    gco2e_per_kwh: float
    at_s: float
    age_s: float
    state: State
    kind: Kind
    basis: Basis
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one source says of one zone, by instants that rise; all of one kind and basis. foretold_s: when it last told a forecast."""

    source: IntensityKind
    zone: str
    kind: Kind
    basis: Basis
    flow: Flow
    readings: tuple[Reading, ...] = ()
    foretold_s: float = 0.0

    def last_at(self, now_s: float) -> Reading | None:
        """The reading that holds at `now_s`: the last that has begun."""
        place = bisect_right(self.readings, now_s, key=_instant)
        return self.readings[place - 1] if place else None

    def last_before(self, at_s: float) -> Reading | None:
        """The last reading that began earlier."""
        place = bisect_left(self.readings, at_s, key=_instant)
        return self.readings[place - 1] if place else None

    def at(self, now_s: float) -> Current | None:
        """The same with its age and where it is from."""
        reading = self.last_at(now_s)
        if reading is None:
            return None
        told_s = min(reading.at_s, self.foretold_s) if reading.state == "forecast" else reading.at_s
        return Current(
            source=self.source,
            zone=self.zone,
            gco2e_per_kwh=reading.gco2e_per_kwh,
            at_s=reading.at_s,
            age_s=max(0.0, now_s - told_s),
            state=reading.state,
            kind=self.kind,
            basis=self.basis,
            flow=self.flow,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All curves, by source and zone, in the configured order of sources."""

    curves: Mapping[tuple[IntensityKind, str], Curve]
    _lifecycle: Mapping[str, tuple[Curve, ...]] = field(repr=False)

    def hourly(self, zone: str, now_s: float, most_age_s: float = MOST_AGE_S) -> Current | None:
        """The average, lifecycle figure of `zone` now, of the first source that has one which is not too old; None: there is none.

        A part of a split country (SE-SE3) that nobody tells of takes the country's; the figure then bears the country's name.
        """
        for curve in self._lifecycle.get(zone) or self._lifecycle.get(_country(zone), ()):
            found = curve.at(now_s)
            if found is not None and found.age_s <= most_age_s:
                return found
        return None

    def now(self, now_s: float) -> Iterator[Current]:
        """The figures that hold now, of every kind and basis and however old, each with its own."""
        for curve in self.curves.values():
            found = curve.at(now_s)
            if found is not None:
                yield found


def snapshot_of(curves: Iterable[Curve]) -> Snapshot:
    """The snapshot of these curves; of those for one zone the first comes first."""
    by_key = {(curve.source, curve.zone): curve for curve in curves}
    lifecycle: dict[str, tuple[Curve, ...]] = {}
    for curve in by_key.values():
        if (curve.kind, curve.basis) == ("average", "lifecycle"):
            lifecycle[curve.zone] = (*lifecycle.get(curve.zone, ()), curve)
    return Snapshot(MappingProxyType(by_key), MappingProxyType(lifecycle))


NO_READINGS = snapshot_of(())


def merged(curve: Curve, told: Iterable[Reading], now_s: float) -> tuple[Reading, ...]:
    """The curve's readings with what was told now: that is newer, but a forecast does not replace what was measured. Old ones go."""
    by_instant = {reading.at_s: reading for reading in curve.readings if reading.at_s > now_s - OLDEST_S}
    for reading in told:
        known = by_instant.get(reading.at_s)
        if known is None or reading.state != "forecast" or known.state == "forecast":
            by_instant[reading.at_s] = reading
    return tuple(by_instant[at_s] for at_s in sorted(by_instant))


def _country(zone: str) -> str:
    country = zone.partition("-")[0]
    return country if country in SPLIT_COUNTRIES else ""


def _instant(reading: Reading) -> float:
    return reading.at_s
