"""Electricity Maps v4: hourly intensity of most grids of the world with a forecast, by token. It must never ask by itself.

The figures are lifecycle and follow imports and exports, and an answer that says otherwise is refused.
"""

from collections.abc import Mapping

import msgspec

from proxy.intensity.reading import BadAnswer, Basis, Flow, Kind, Page, Reading, State, decode, instant_s

BASE_URL = "https://api.electricitymaps.com/v4"
KIND: Kind = "average"
BASIS: Basis = "lifecycle"
FLOW: Flow = "consumption"
PAGES: Mapping[str, float] = {"latest": 3600.0, "forecast": 3600.0}
NEEDS_SESSION = False

_ASKED = {"emissionFactorType": BASIS, "temporalGranularity": "hourly", "disableCallerLookup": "true"}
"""Without disableCallerLookup an unknown zone would be answered with the grid of whoever asks."""


class _Latest(msgspec.Struct, rename="camel"):
    zone: str
    datetime: str
    carbon_intensity: float | None = None
    emission_factor_type: str = BASIS
    flow_traced: bool = True
    is_estimated: bool = False


class _Hour(msgspec.Struct, rename="camel"):
    datetime: str
    carbon_intensity: float | None = None


class _Forecast(msgspec.Struct):
    zone: str
    forecast: list[_Hour]


def page(name: str, zone: str, now_s: float, token: str) -> Page:
    """The newest hour, or the coming 24. A plan may allow the one and not the other."""
    more = {"horizonHours": "24"} if name == "forecast" else {}
    return Page(path=f"/carbon-intensity/{name}", query={"zone": zone, **_ASKED, **more}, headers={"auth-token": token})


def read(name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
    """Hours: measured, estimated or forecast. Raises BadAnswer, also when the answer is of another zone or basis."""
    if name == "forecast":
        foreseen = decode(body, _Forecast)
        _check_zone(foreseen.zone, zone)
        return tuple(reading for row in foreseen.forecast for reading in _reading(zone, row.datetime, row.carbon_intensity, "forecast"))
    latest = decode(body, _Latest)
    _check_zone(latest.zone, zone)
    if latest.emission_factor_type != BASIS or not latest.flow_traced:
        raise BadAnswer("is not of lifecycle factors with imports followed, as was asked")
    return _reading(zone, latest.datetime, latest.carbon_intensity, "estimated" if latest.is_estimated else "measured")


def _reading(zone: str, instant: str, figure: float | None, state: State) -> tuple[Reading, ...]:
    if figure is None:
        return ()
    return (Reading(zone=zone, gco2e_per_kwh=figure, at_s=instant_s(instant), kind=KIND, basis=BASIS, state=state),)


def _check_zone(found: str, asked: str) -> None:
    if found != asked:
        raise BadAnswer(f"is of another zone than {asked}")
