"""A call of the ledger as its caller reads it. It must never show who called, nor a figure that was not weighed."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from estimators.quantity import LogVariance, Quantity, add
from proxy.call import PENDING
from proxy.ledger.columns import USAGE_COUNTS
from proxy.web.decision import shown_decision
from proxy.web.reply import figure

Row = Mapping[str, Any]
NO_PURPOSES: Mapping[str, str] = {}
SUMMED = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
LINES = ("gco2e", "gco2e_low", "gco2e_high", "energy_wh", "operational_gco2e", "embodied_gco2e", "water_ml")
MEDIA_SHAPE = frozenset({"width", "height", "quality", "steps", "fps"})
"""Facts of media that do not add up."""
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


def footprint_record(found: Row, link: str, purposes: Mapping[str, str] = NO_PURPOSES) -> dict[str, Any]:
    """The record: sums over attempts by their newest opinion, then each attempt. Figures are null when nothing was weighed.

    purposes: what campaigns are for, by their name; a call's own tag goes before them.
    It is pending while its work goes on at the provider; once that was booked, its attempts and figures stand here too, under `late` the
    calls that booked it.
    """
    late: Sequence[Row] = found.get("late") or ()
    attempts: Sequence[Row] = [*found["attempts"], *(attempt for booked in late for attempt in booked["attempts"])]
    opinions = [attempt["estimates"][-1] for attempt in attempts if attempt["estimates"]]
    last = opinions[-1] if opinions else None
    return {
        "object": "footprint.record",
        "call_id": found["call_id"],
        "status": "pending" if not late and any(attempt["unweighed_reason"] == PENDING for attempt in attempts) else "final",
        "created": _timestamp(found["started_ms"]),
        "operation": found["operation"],
        "model": found["alias"],
        "http_status": found["status"],
        "outcome": found["outcome"],
        "stream": found["stream"],
        "stream_complete": found["stream_complete"],
        **(nothing_generated() if is_reused(found.get("instead")) and not attempts else figures(opinions)),
        "quality": max((opinion["quality"] for opinion in opinions), default=None),
        "method": f"{last['method']}@{last['method_version']}" if last else None,
        "factor_set": last["factor_set"] if last else None,
        "profile": last["profile"] if last else None,
        "zone": attempts[-1]["zone"] if attempts else None,
        "policy": found["policy"],
        "altered": found["altered"].split(",") if found["altered"] else [],
        "decision": shown_decision(found.get("decision")),
        "instead": shown_instead(found.get("instead")),
        "usage": _usage([attempt["usage"] for attempt in attempts if attempt["usage"]]),
        "tags": found["tags"],
        "purpose": found["tags"].get("purpose") or purposes.get(found["tags"].get("campaign", "")),
        "warnings": sorted({code for opinion in opinions for code in opinion["warnings"]}),
        "origin_call_id": found.get("origin_call_id"),
        "late": [{"call_id": booked["call_id"], "ended": _timestamp(booked["started_ms"])} for booked in late],
        "shadow": _shadows(attempts),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "links": {"self": link},
    }


def figures(opinions: Sequence[Row]) -> dict[str, Any]:
    """The shown lines of the summed opinions: grams and Wh are expected values, low and high the p5 and p95 of the sum."""
    if any(opinion["facility_energy_wh"] is None for opinion in opinions):
        return _grams_alone(opinions)
    sums = {line: reduce(add, [_quantity(opinion, line) for opinion in opinions]) for line in SUMMED} if opinions else None
    if sums is None:
        return dict.fromkeys(LINES)
    return shown(sums["gco2e"], sums["facility_energy_wh"], sums["operational_gco2e"], sums["embodied_gco2e"], sums["water_ml"])


def _grams_alone(opinions: Sequence[Row]) -> dict[str, Any]:
    """The shown lines where money was weighed: its grams are all that is known."""
    total = reduce(add, [_quantity(opinion, "gco2e") for opinion in opinions])
    return dict.fromkeys(LINES) | {"gco2e": figure(total.mean), "gco2e_low": figure(total.p5), "gco2e_high": figure(total.p95)}


def nothing_generated() -> dict[str, Any]:
    """The shown lines of a call for which nothing was generated: that is known."""
    return dict.fromkeys(LINES, 0)


def shown_instead(row: Row | None) -> dict[str, Any] | None:
    """What answered in place of a provider. source: the figures of the call whose answer it was; they count there, and only there."""
    if row is None:
        return None
    source: Row | None = row["source"]
    opinions = [attempt["estimates"][-1] for attempt in source["attempts"] if attempt["estimates"]] if source else []
    told = None if source is None else {"created": _timestamp(source["started_ms"]), **figures(opinions)}
    return {"kind": row["kind"], "ref": row["ref"], "source_call_id": row["source_call_id"], "source": told}


def is_reused(row: Row | None) -> bool:
    """True for a call that got the answer of another one."""
    return row is not None and row["source_call_id"] is not None


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
        "shortcoming": row.get("shortcoming"),
        "usage": None if row["usage"] is None else _shown_usage(row["usage"]),
        "hourly_intensity": row["hour"],
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


def _shown_usage(usage: Row) -> dict[str, Any]:
    """The counts, what was said of pictures, clips and sound among them, and the meter's figure where there was one."""
    counts = {name: usage[name] for name in USAGE_COUNTS}
    metered = {"metered": dict(usage["metered"])} if usage["metered"] else {}
    calls = {"calls": usage["calls"]} if usage["calls"] > 1 else {}
    return {**counts, **_stated(usage["media"]), "source": usage["source"], "partial": usage["partial"], **calls, **metered}


def _stated(media: Row | None) -> dict[str, Any]:
    """The facts of media that are stated."""
    return {name: value for name, value in (media or {}).items() if value}


def _usage(usages: Sequence[Row]) -> dict[str, Any] | None:
    """All attempts together: counts are summed, a shape such as the width stands where they agree. Meters are not: boundaries differ."""
    if not usages:
        return None
    return {
        **{name: _summed([usage[name] for usage in usages]) for name in USAGE_COUNTS},
        **_media_of_all([_stated(usage["media"]) for usage in usages]),
        "source": ",".join(sorted({usage["source"] for usage in usages})),
        "partial": any(usage["partial"] for usage in usages),
    }


def _summed(counts: Sequence[int | None]) -> int | None:
    """The sum; None when one is not known, as in calls recorded before the count was."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _media_of_all(stated: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for media in stated for name in media):
        values = [media[name] for media in stated if name in media]
        if name not in MEDIA_SHAPE:
            found[name] = math.fsum(values) if isinstance(values[0], float) else sum(values)
        elif len(set(values)) == 1:
            found[name] = values[0]
    return found


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
