"""Describes the dashboard that tells how far the figures can be trusted. It must never turn a missing figure into a zero of grams."""

from deploy.grafana.promql import GRAMS, HIGH, JOB, LOW, NO_CAMPAIGN, rate, ratio, total
from deploy.grafana.spec import Board, Panel, Query, Row
from deploy.grafana.variables import FOOTPRINT

SOURCE = "grammage_usage_source_total"
UNWEIGHED = "grammage_unweighed_calls_total"
LEFT_OUT = total(UNWEIGHED, JOB, more='reason!~"pending|unfinished"')
TIER = "grammage_quality_total"


def _share(key: str, above: str, below: str, limits: tuple[float, float]) -> Panel:
    expr = ratio(f"({above} or vector(0))", below)
    return Panel(key=key, kind="stat", queries=(Query(expr=expr, name=key),), units=("percentunit",), width=6, height=5, limits=limits)


SHARES = (
    _share("estimated_usage", total(SOURCE, JOB, more='source="estimated"'), total(SOURCE, JOB), (0.05, 0.2)),
    _share("unweighed_share", LEFT_OUT, f"({total(SOURCE, JOB)} + ({LEFT_OUT} or vector(0)))", (0.001, 0.01)),
    _share("unknown_models", total(GRAMS, more='model="other"'), total(GRAMS), (0.01, 0.1)),
    _share("unassigned", total(GRAMS, more=NO_CAMPAIGN), total(GRAMS), (0.1, 0.3)),
)
USAGE = (
    Panel(
        key="usage_source",
        kind="stacked",
        queries=(Query(expr=rate(SOURCE, JOB, by="source"), name="{{source}}"),),
        units=("reqps",),
        width=8,
    ),
    Panel(key="tiers", kind="stacked", queries=(Query(expr=rate(TIER, JOB, by="tier"), name="{{tier}}"),), units=("reqps",), width=8),
    Panel(
        key="unweighed",
        kind="stacked",
        queries=(Query(expr=rate(UNWEIGHED, JOB, by="reason"), name="{{reason}}"),),
        units=("reqps",),
        width=8,
    ),
)
RANGES = (
    Panel(
        key="range_width",
        kind="bars",
        queries=(Query(expr=ratio(total(HIGH, by="model"), total(LOW, by="model")), name="{{model}}"),),
        units=("suffix: x",),
    ),
    Panel(
        key="range_course",
        kind="band",
        queries=(
            Query(expr=ratio(rate(HIGH), rate(GRAMS)), name="high"),
            Query(expr=ratio(rate(LOW), rate(GRAMS)), name="low"),
        ),
        units=("percentunit",),
    ),
)
FACTORS = (
    Panel(
        key="factor_set",
        kind="stat",
        queries=(Query(expr=f"count by (version) (grammage_factors_info{{{JOB}}})", name="{{version}}"),),
        width=8,
    ),
    Panel(
        key="shadow_failures",
        kind="line",
        queries=(Query(expr=total("grammage_shadow_failures_total", JOB, by="method"), name="{{method}}"),),
        width=8,
    ),
    Panel(
        key="oldest_live",
        kind="stat",
        queries=(Query(expr=f"max by (source) (grammage_grid_carbon_intensity_age_seconds{{{JOB}}})", name="{{source}}"),),
        units=("s",),
        width=8,
        limits=(7200, 21_600),
    ),
)
QUALITY = Board(
    key="quality",
    variables=FOOTPRINT,
    rows=(
        Row(key="doubts", panels=(Panel(key="truth", kind="text", width=24, height=4, words="truth"), *SHARES)),
        Row(key="usage", panels=USAGE),
        Row(key="ranges", panels=RANGES),
        Row(key="factors", panels=FACTORS),
    ),
)
