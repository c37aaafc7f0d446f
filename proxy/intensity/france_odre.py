"""eCO2mix of RTE on the ODRE portal: quarters of an hour of France, no key, Licence Ouverte 2.0. It must never ask by itself.

The figures count CO2 of combustion in France alone: direct, production-based, lower than a lifecycle figure of the same hour.
"""

from collections.abc import Mapping

import msgspec

from proxy.intensity.reading import Basis, Flow, Kind, Page, Reading, decode, instant_s

BASE_URL = "https://odre.opendatasoft.com"
KIND: Kind = "average"
BASIS: Basis = "direct"
FLOW: Flow = "production"
PAGES: Mapping[str, float] = {"eco2mix": 900.0}
NEEDS_SESSION = False

_PATH = "/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records"
_QUERY = {"select": "date_heure,taux_co2", "where": "taux_co2 is not null", "order_by": "date_heure desc", "limit": "4"}
"""Rows of the rest of the day exist already, empty: they are not asked for."""


class _Row(msgspec.Struct):
    date_heure: str
    taux_co2: float | None = None


class _Answer(msgspec.Struct):
    results: list[_Row]


def page(name: str, zone: str, now_s: float, token: str) -> Page:
    """The newest hour."""
    return Page(path=_PATH, query=_QUERY, headers={"accept": "application/json"})


def read(name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
    """Quarters of an hour, measured. Raises BadAnswer."""
    return tuple(
        Reading(zone=zone, gco2e_per_kwh=row.taux_co2, at_s=instant_s(row.date_heure), kind=KIND, basis=BASIS, state="measured")
        for row in decode(body, _Answer).results
        if row.taux_co2 is not None
    )
