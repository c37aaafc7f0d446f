"""Carbon Intensity API of Great Britain (NESO): half-hours with a forecast, no key, CC BY 4.0. It must never ask by itself.

The figures count CO2 of generation alone, imports and losses of the grid included: direct, consumption-based.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from proxy.intensity.reading import Basis, Flow, Kind, Page, Reading, State, decode, instant_s

BASE_URL = "https://api.carbonintensity.org.uk"
KIND: Kind = "average"
BASIS: Basis = "direct"
FLOW: Flow = "consumption"
PAGES: Mapping[str, float] = {"current": 1800.0, "forecast": 1800.0}
NEEDS_SESSION = False


class _Intensity(msgspec.Struct):
    forecast: float | None = None
    actual: float | None = None


class _HalfHour(msgspec.Struct):
    begins: str = msgspec.field(name="from")
    intensity: _Intensity


class _Answer(msgspec.Struct):
    data: list[_HalfHour]


def page(name: str, zone: str, now_s: float, token: str) -> Page:
    """The present half-hour, or the coming 24 hours."""
    since = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%MZ")
    path = "/intensity" if name == "current" else f"/intensity/{since}/fw24h"
    return Page(path=path, query={}, headers={"accept": "application/json"})


def read(name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
    """Half-hours: measured where it is, else forecast. Raises BadAnswer."""
    found: list[Reading] = []
    for row in decode(body, _Answer).data:
        measured, foreseen = row.intensity.actual, row.intensity.forecast
        state: State = "forecast" if measured is None else "measured"
        figure = foreseen if measured is None else measured
        if figure is not None:
            found.append(Reading(zone=zone, gco2e_per_kwh=figure, at_s=instant_s(row.begins), kind=KIND, basis=BASIS, state=state))
    return tuple(found)
