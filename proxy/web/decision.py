"""What a policy said of a recorded call, as its caller reads it. It must never show a difference without its range."""

from collections.abc import Mapping
from typing import Any

import msgspec

from estimators.quantity import LogVariance, Quantity, difference
from proxy.ledger.decision_columns import SIDES, WHO
from proxy.tag import plain
from proxy.web.reply import figure

Row = Mapping[str, Any]
STATEMENT = "modelled difference in attributed emissions against the baseline, at the call's own usage"
FORECAST_STATEMENT = "modelled difference in attributed emissions against the baseline as forecast: no model ran, so it has no usage"


def shown_decision(row: Row | None) -> dict[str, Any] | None:
    """The decision with baseline, choice and the difference between them in gCO2e; figures are null when the call is not weighed."""
    if row is None:
        return None
    sides = {side: _side(row, side) for side in SIDES}
    return {
        "policy": row["policy"],
        "mode": row["mode"],
        "action": row["action"],
        "reason": row["reason"] or None,
        **sides,
        "difference": _difference(row),
    }


def _side(row: Row, side: str) -> dict[str, Any] | None:
    if row[f"{side}_provider"] is None:
        return None
    found = quantity_of(row, side)
    figures = (None, None, None) if found is None else (figure(found.mean), figure(found.p5), figure(found.p95))
    return {
        **{name: row[f"{side}_{name}"] for name in WHO},
        **dict(zip(("gco2e", "gco2e_low", "gco2e_high"), figures, strict=True)),
    }


def quantity_of(row: Row, side: str) -> Quantity | None:
    """The modelled gCO2e of one side, None when it is not known."""
    if row[f"{side}_gco2e_p50"] is None:
        return None
    variance = LogVariance._make(row[f"{side}_gco2e_var_{scope}"] for scope in LogVariance._fields)
    return Quantity(row[f"{side}_gco2e_p50"], variance)


def _difference(row: Row) -> dict[str, Any] | None:
    """Choice less baseline; what both share of doubt cancels. The same deployment at both ends differs by nothing."""
    baseline, choice = quantity_of(row, "baseline"), quantity_of(row, "choice")
    if baseline is None or choice is None:
        return None
    if baseline == choice:
        low = mean = high = 0.0
    else:
        shared = row["shared"].split(",") if row["shared"] else ()
        mean, low, high, _ = difference(choice, baseline, shared=shared, same_call=True)
    said = FORECAST_STATEMENT if row["action"] == "alternative" else STATEMENT
    return {"what": said, "gco2e": _signed(mean), "gco2e_low": _signed(low), "gco2e_high": _signed(high)}


def _signed(number: float) -> msgspec.Raw:
    return msgspec.Raw(f"{'-' if number < 0 else ''}{plain(abs(number))}".encode())
