"""Energy-Charts (Fraunhofer ISE): intensity of European grids with a forecast, no key, CC BY 4.0. It must never ask by itself.

The figures count CO2 equivalents of what a country produces, upstream included: lifecycle, production-based.
"""

from collections.abc import Mapping

import msgspec

from proxy.intensity.reading import BadAnswer, Basis, Flow, Kind, Page, Reading, State, decode

BASE_URL = "https://api.energy-charts.info"
KIND: Kind = "average"
BASIS: Basis = "lifecycle"
FLOW: Flow = "production"
PAGES: Mapping[str, float] = {"co2eq": 900.0}
NEEDS_SESSION = False

COUNTRY_CODES = {"GB": "uk"}
"""Codes of Energy-Charts that are not the zone's name in small letters."""


class _Answer(msgspec.Struct):
    unix_seconds: list[int]
    co2eq: list[float | None]
    co2eq_forecast: list[float | None]


def page(name: str, zone: str, now_s: float, token: str) -> Page:
    """Today, and what is forecast of today and tomorrow."""
    return Page(path="/co2eq", query={"country": COUNTRY_CODES.get(zone, zone.lower())}, headers={"accept": "application/json"})


def read(name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
    """Quarters of an hour: measured where it is, else forecast. Raises BadAnswer."""
    answer = decode(body, _Answer)
    if not len(answer.unix_seconds) == len(answer.co2eq) == len(answer.co2eq_forecast):
        raise BadAnswer("holds lists of different lengths")
    found: list[Reading] = []
    for at_s, measured, foreseen in zip(answer.unix_seconds, answer.co2eq, answer.co2eq_forecast, strict=True):
        state: State = "forecast" if measured is None else "measured"
        figure = foreseen if measured is None else measured
        if figure is not None:
            found.append(Reading(zone=zone, gco2e_per_kwh=figure, at_s=float(at_s), kind=KIND, basis=BASIS, state=state))
    return tuple(found)
