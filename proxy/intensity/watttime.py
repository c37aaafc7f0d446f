"""WattTime v3: marginal intensity of its own grid regions, by user and password. It must never enter a figure of average intensity.

Marginal means what one more kWh causes now, not what the average kWh does: the two are never summed or compared.
"""

import base64
from collections.abc import Mapping

import msgspec

from proxy.intensity.reading import BadAnswer, Basis, Flow, Kind, Page, Reading, decode, instant_s

BASE_URL = "https://api.watttime.org"
KIND: Kind = "marginal"
BASIS: Basis = "direct"
FLOW: Flow = "production"
PAGES: Mapping[str, float] = {"forecast": 300.0}
NEEDS_SESSION = True

SESSION_S = 25 * 60.0
"""A session's token holds for half an hour."""

G_PER_KWH_PER_LB_PER_MWH = 0.45359237
_UNITS = "lbs_co2_per_mwh"
_SIGNAL = "co2_moer"


class _Session(msgspec.Struct):
    token: str


class _Point(msgspec.Struct):
    point_time: str
    value: float | None = None


class _Meta(msgspec.Struct):
    region: str
    signal_type: str
    units: str


class _Answer(msgspec.Struct):
    data: list[_Point]
    meta: _Meta


def sign_in(user: str, password: str) -> Page:
    """How to open a session."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Page(path="/login", query={}, headers={"authorization": f"Basic {pair}"})


def session_token(body: bytes) -> str:
    """The token of the opened session. Raises BadAnswer."""
    return decode(body, _Session).token


def page(name: str, zone: str, now_s: float, token: str) -> Page:
    """Now, and the coming 24 hours."""
    query = {"region": zone, "signal_type": _SIGNAL, "horizon_hours": "24"}
    return Page(path="/v3/forecast", query=query, headers={"authorization": f"Bearer {token}"})


def read(name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
    """Points of five minutes, forecast, in g per kWh. Raises BadAnswer, also when the answer is of another region, signal or unit."""
    answer = decode(body, _Answer)
    if (answer.meta.region, answer.meta.signal_type, answer.meta.units) != (zone, _SIGNAL, _UNITS):
        raise BadAnswer(f"is not the signal {_SIGNAL} of {zone} in {_UNITS}")
    return tuple(
        Reading(
            zone=zone,
            gco2e_per_kwh=point.value * G_PER_KWH_PER_LB_PER_MWH,
            at_s=instant_s(point.point_time),
            kind=KIND,
            basis=BASIS,
            state="forecast",
        )
        for point in answer.data
        if point.value is not None
    )
