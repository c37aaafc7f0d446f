"""A call of the ledger as its caller reads it. It must never show who called, nor a figure that was not weighed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from estimators.quantity import LogVariance, Quantity, add
from proxy.web.reply import figure

Row = Mapping[str, Any]
SUMMED = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
ATTEMPT_FACTS = (
    "attempt_id",
    "ordinal",
    "provider",
    "model",
    "served_model",
    "region",
    "zone",
    "place_assumed",
    "simulated",
    "status",
    "outcome",
    "unweighed_reason",
    "usage",
)
OPINION_FACTS = (
    "method",
    "method_version",
    "factor_set",
    "profile",
    "quality",
    "quality_parts",
    "intensity_source",
    "intensity_year",
    "warnings",
)


def footprint_record(found: Row, link: str) -> dict[str, Any]:
    """The final record: sums over attempts by their newest opinion, then each attempt. Figures are null when nothing was weighed."""
    attempts: Sequence[Row] = found["attempts"]
    opinions = [attempt["estimates"][-1] for attempt in attempts if attempt["estimates"]]
    last = opinions[-1] if opinions else None
    return {
        "object": "footprint.record",
        "call_id": found["call_id"],
        "status": "final",
        "created": _timestamp(found["started_ms"]),
        "operation": found["operation"],
        "model": found["alias"],
        "http_status": found["status"],
        "outcome": found["outcome"],
        "stream": found["stream"],
        "stream_complete": found["stream_complete"],
        **figures(opinions),
        "quality": max((opinion["quality"] for opinion in opinions), default=None),
        "method": f"{last['method']}@{last['method_version']}" if last else None,
        "factor_set": last["factor_set"] if last else None,
        "profile": last["profile"] if last else None,
        "zone": attempts[-1]["zone"] if attempts else None,
        "policy": found["policy"],
        "usage": _usage([attempt["usage"] for attempt in attempts if attempt["usage"]]),
        "tags": found["tags"],
        "warnings": sorted({code for opinion in opinions for code in opinion["warnings"]}),
        "shadow": _shadows(attempts),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "links": {"self": link},
    }


def figures(opinions: Sequence[Row]) -> dict[str, Any]:
    """The shown lines of the summed opinions: grams and Wh are expected values, low and high the p5 and p95 of the sum."""
    sums = {line: reduce(add, [_quantity(opinion, line) for opinion in opinions]) for line in SUMMED} if opinions else None
    if sums is None:
        return dict.fromkeys(("gco2e", "gco2e_low", "gco2e_high", "energy_wh", "operational_gco2e", "embodied_gco2e", "water_ml"))
    return shown(sums["gco2e"], sums["facility_energy_wh"], sums["operational_gco2e"], sums["embodied_gco2e"], sums["water_ml"])


def shown(gco2e: Quantity, energy_wh: Quantity, operational: Quantity, embodied: Quantity, water_ml: Quantity) -> dict[str, Any]:
    """The members that every footprint of ours has, with 4 significant digits."""
    return {
        "gco2e": figure(gco2e.mean),
        "gco2e_low": figure(gco2e.p5),
        "gco2e_high": figure(gco2e.p95),
        "energy_wh": figure(energy_wh.mean),
        "operational_gco2e": figure(operational.mean),
        "embodied_gco2e": figure(embodied.mean),
        "water_ml": figure(water_ml.mean),
    }


def _attempt(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ATTEMPT_FACTS},
        "estimates": [_shown_opinion(opinion) for opinion in row["estimates"]],
        "shadow": [_shown_opinion(opinion) for opinion in row["shadow"]],
    }


def _shown_opinion(opinion: Row) -> dict[str, Any]:
    return {**figures([opinion]), **{name: opinion[name] for name in OPINION_FACTS}}


def _shadows(attempts: Sequence[Row]) -> list[dict[str, Any]]:
    """What each method that ran beside the chosen one says of the whole call; it counts nowhere."""
    by_method: dict[str, list[Row]] = {}
    for attempt in attempts:
        for opinion in attempt["shadow"]:
            by_method.setdefault(f"{opinion['method']}@{opinion['method_version']}", []).append(opinion)
    return [
        {
            "method": method,
            **figures(opinions),
            "quality": max(opinion["quality"] for opinion in opinions),
            "attempts": len(opinions),
            "warnings": sorted({code for opinion in opinions for code in opinion["warnings"]}),
        }
        for method, opinions in by_method.items()
    ]


def _quantity(opinion: Row, line: str) -> Quantity:
    return Quantity(opinion[f"{line}_p50"], LogVariance._make(opinion[f"{line}_var_{scope}"] for scope in LogVariance._fields))


def _usage(usages: Sequence[Row]) -> dict[str, Any] | None:
    if not usages:
        return None
    counts = [name for name, value in usages[0].items() if isinstance(value, int) and not isinstance(value, bool)]
    sources = ",".join(sorted({usage["source"] for usage in usages}))
    return {
        **{name: sum(usage[name] for usage in usages) for name in counts},
        "source": sources,
        "partial": any(usage["partial"] for usage in usages),
    }


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
