"""Columns of what policies said of calls, with their kinds. It must never import a database library: it is loaded at start."""

from estimators.quantity import LogVariance

WHO = ("provider", "model", "region", "zone")
SIDES = ("baseline", "choice")


def figure_columns(side: str) -> tuple[str, ...]:
    """Columns of one side's modelled gCO2e: expected value, median, and the variance of its logarithm by scope."""
    return (f"{side}_gco2e", f"{side}_gco2e_p50", *(f"{side}_gco2e_var_{scope}" for scope in LogVariance._fields))


def _side(side: str) -> tuple[str, ...]:
    return (*(f"{side}_{name}" for name in WHO), *figure_columns(side))


DECISION_FACTS = ("policy", "mode", "action", "reason", "shared")
DECISIONS = ("call_id", *DECISION_FACTS, *(column for side in SIDES for column in _side(side)))
"""What a policy said of a call, and what baseline and choice weigh by the model at the call's own usage. A table of its own: without
policies nothing is written. shared: scopes of doubt that the two have in common, separated by commas."""

DECISION_FIGURES = tuple(column for side in SIDES for column in figure_columns(side))
DECISION_NULLABLE = (*(f"choice_{name}" for name in WHO), "baseline_region", *DECISION_FIGURES)
