"""Panels of carbon budgets, shown on more than one dashboard. It must never say what a budget does to calls."""

from deploy.grafana.promql import JOB, total
from deploy.grafana.spec import Panel, Query

USED = f"max by (budget) (grammage_budget_used_grams{{{JOB}}})"
LIMIT = f"max by (budget) (grammage_budget_limit_grams{{{JOB}}})"


def budget_share(width: int) -> Panel:
    """How much of each budget is used up."""
    return Panel(
        key="budget_share",
        kind="bars",
        queries=(Query(expr=f"{USED} / {LIMIT}", name="{{budget}}"),),
        units=("percentunit",),
        width=width,
        limits=(0.8, 1.0),
        most=1.0,
    )


def budget_course(width: int) -> Panel:
    """Grams of each budget over time, with its limit."""
    return Panel(
        key="budget_course",
        kind="line",
        queries=(Query(expr=USED, name="{{budget}}"), Query(expr=LIMIT, name="{{budget}}: [limit]")),
        units=("massg",),
        width=width,
    )


def budget_calls(width: int) -> Panel:
    """Calls that budgets had no room for."""
    return Panel(
        key="budget_calls",
        kind="bars",
        queries=(Query(expr=total("grammage_budget_exceeded_calls_total", JOB, by="budget, action"), name="{{budget}}: {{action}}"),),
        width=width,
    )
