"""Answers of the live sources of grid intensity, in their documented shapes, with made-up figures. It must never hold a recorded answer."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from config.settings import LiveIntensity

NOON_S = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
QUARTER_S = 900.0
TOKEN = "s3cret-token-of-ours"


class Beat:
    """A clock that a test moves; it stands at five past noon."""

    def __init__(self, at_s: float = NOON_S + 300) -> None:
        self.at_s = at_s

    def now_ms(self) -> int:
        return round(self.at_s * 1000)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def perf(self) -> float:
        return self.at_s


def energy_charts(measured: list[Any], foreseen: list[Any], first_s: float = NOON_S - 2 * QUARTER_S) -> bytes:
    """Quarters of an hour from half past eleven on."""
    instants = [int(first_s + place * QUARTER_S) for place in range(len(measured))]
    return json.dumps({"unix_seconds": instants, "co2eq": measured, "co2eq_forecast": foreseen, "deprecated": False}).encode()


def uk_neso(*rows: tuple[float, float | None], first_s: float = NOON_S) -> bytes:
    """Half-hours from noon on: forecast and actual."""
    halves = [first_s + place * 1800 for place in range(len(rows) + 1)]
    data = [
        {
            "from": _minute(begins),
            "to": _minute(ends),
            "intensity": {"forecast": foreseen, "actual": actual, "index": "moderate"},
        }
        for (foreseen, actual), begins, ends in zip(rows, halves, halves[1:], strict=False)
    ]
    return json.dumps({"data": data}).encode()


def france_odre(*figures: float | None, newest_s: float = NOON_S - 1800) -> bytes:
    """Quarters of an hour, the newest first, from half past eleven back."""
    results = [
        {"date_heure": _second(newest_s - place * QUARTER_S).replace("Z", "+00:00"), "taux_co2": figure}
        for place, figure in enumerate(figures)
    ]
    return json.dumps({"total_count": 3456, "results": results}).encode()


def em_latest(figure: Any, at_s: float = NOON_S - 3600, **members: Any) -> bytes:
    """The hour of eleven."""
    latest = {
        "zone": "FR",
        "carbonIntensity": figure,
        "datetime": _second(at_s).replace("Z", ".000Z"),
        "updatedAt": "2026-11-23T10:49:12.101Z",
        "createdAt": "2026-11-20T11:47:16.265Z",
        "emissionFactorType": "lifecycle",
        "flowTraced": True,
        "isEstimated": False,
        "estimationMethod": None,
        "temporalGranularity": "hourly",
    }
    return json.dumps(latest | members).encode()


def em_forecast(*figures: float, first_s: float = NOON_S) -> bytes:
    """Hours from noon on."""
    rows = [{"carbonIntensity": figure, "datetime": _second(first_s + place * 3600)} for place, figure in enumerate(figures)]
    return json.dumps({"zone": "FR", "forecast": rows, "updatedAt": "2026-11-23T10:50:00.000Z", "temporalGranularity": "hourly"}).encode()


def watttime(*pounds: float, first_s: float = NOON_S, **meta: Any) -> bytes:
    """Points of five minutes from noon on, in pounds per MWh."""
    data = [{"point_time": _second(first_s + place * 300).replace("Z", "+00:00"), "value": value} for place, value in enumerate(pounds)]
    facts = {
        "data_point_period_seconds": 300,
        "region": "CAISO_NORTH",
        "warnings": [],
        "signal_type": "co2_moer",
        "model": {"date": "2026-03-01"},
        "units": "lbs_co2_per_mwh",
        "generated_at": "2026-11-23T12:00:00+00:00",
    }
    return json.dumps({"data": data, "meta": facts | meta}).encode()


LOGIN = json.dumps({"token": "abcdef0123456789fedcabc"}).encode()

CONFIGURED: Mapping[str, dict[str, Any]] = {
    "energy-charts": {"zones": ["FR"]},
    "uk-neso": {"zones": ["GB"]},
    "france-odre": {"zones": ["FR"]},
    "electricity-maps": {"zones": ["FR"], "token": TOKEN},
    "watttime": {"zones": ["CAISO_NORTH"], "user": "acme", "token": TOKEN},
}


def configured(kind: str, **changes: Any) -> LiveIntensity:
    """A source as a configuration may have it."""
    return LiveIntensity.model_validate({"kind": kind, **CONFIGURED[kind], **changes})


def _minute(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _second(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
