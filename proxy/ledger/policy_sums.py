"""What policies said of calls, summed by what shares its errors. It must never add up a call that was not modelled."""

import math
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, select

from estimators.quantity import NOTHING, LogVariance, Quantity, ScopeKeys
from proxy.ledger.columns import SCOPES
from proxy.ledger.decision_columns import SIDES
from proxy.ledger.queries import Selection, in_period
from proxy.ledger.tables import attempts, calls, decisions

_FACTS: Final = ("policy", "mode", "action", "shared")
_KEYS: Final = ("provider", "model", "zone")
_SHARED: Final = SCOPES[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCell:
    """Calls of which a policy said the same of the same deployments. baseline, choice: None together where they were not modelled."""

    policy: str
    mode: str
    action: str
    calls: int
    baseline: tuple[Quantity, ScopeKeys] | None
    choice: tuple[Quantity, ScopeKeys] | None


def policies_of(connection: Connection, selection: Selection) -> list[PolicyCell]:
    """Cells of all policies."""
    facts = [decisions.c[name] for name in _FACTS]
    keys = [decisions.c[f"{side}_{name}"] for side in SIDES for name in _KEYS]
    is_modelled = and_(decisions.c.baseline_gco2e.is_not(None), decisions.c.choice_gco2e.is_not(None))
    statement = (
        select(
            *facts,
            *keys,
            is_modelled.label("modelled"),
            func.count(calls.c.call_id.distinct()).label("calls"),
            *(moment for side in SIDES for moment in _moments(side)),
        )
        .select_from(
            calls.join(decisions, decisions.c.call_id == calls.c.call_id).outerjoin(
                attempts, and_(attempts.c.call_id == calls.c.call_id, attempts.c.ordinal == 0)
            )
        )
        .group_by(*facts, *keys, is_modelled)
    )
    return [_cell(dict(row)) for row in connection.execute(in_period(statement, selection)).mappings()]


def _moments(side: str) -> list[ColumnElement[float]]:
    mean = decisions.c[f"{side}_gco2e"]
    shared = [func.sum(mean * func.sqrt(decisions.c[f"{side}_gco2e_var_{scope}"])).label(f"{side}_sd_{scope}") for scope in _SHARED]
    own = func.sum(mean * mean * (func.exp(decisions.c[f"{side}_gco2e_var_call"]) - 1)).label(f"{side}_sd_call")
    return [func.sum(mean).label(f"{side}_sum"), *shared, own]


def _cell(row: dict[str, Any]) -> PolicyCell:
    common = frozenset(row["shared"].split(","))
    baseline, choice = ((_sum(row, side), _keys(row, side, common)) if row["modelled"] else None for side in SIDES)
    return PolicyCell(
        policy=row["policy"], mode=row["mode"], action=row["action"], calls=int(row["calls"]), baseline=baseline, choice=choice
    )


def _sum(row: dict[str, Any], side: str) -> Quantity:
    mean = float(row[f"{side}_sum"])
    if mean <= 0:
        return NOTHING
    shared = [(row[f"{side}_sd_{scope}"] / mean) ** 2 for scope in _SHARED]
    variance = LogVariance._make([*shared, math.log1p(row[f"{side}_sd_call"] / mean**2)])
    return Quantity(mean * math.exp(-variance.total / 2), variance)


def _keys(row: dict[str, Any], side: str, common: frozenset[str]) -> ScopeKeys:
    """What the side's error has in common with others; a scope that the decision calls shared has the baseline's key on both sides."""
    own = {name: row[f"{'baseline' if name in common else side}_{name}"] or "" for name in _KEYS}
    method = "" if "method" in common else side
    return ScopeKeys(method, own["provider"], own["model"], own["zone"])
