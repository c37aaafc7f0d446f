"""Describes the dashboard of campaigns and brands, from which a click leads to a campaign's models. It must never rank people."""

from deploy.grafana.boards.budget_panels import budget_calls, budget_course, budget_share
from deploy.grafana.promql import GRAMS, HIGH, JOULES, LOW, NO_CAMPAIGN, PER_HOUR, TAGGED, rate, ratio, total
from deploy.grafana.spec import Board, Panel, Query, Row
from deploy.grafana.variables import FOOTPRINT


def _table(by: str) -> Panel:
    return Panel(
        key=f"{by}_table",
        kind="table",
        by=by,
        link="models",
        queries=(
            Query(expr=total(LOW, by=by), name="low"),
            Query(expr=total(GRAMS, by=by), name="expected"),
            Query(expr=total(HIGH, by=by), name="high"),
            Query(expr=total(JOULES, by=by), name="energy"),
            Query(expr=total("grammage_output_tokens_total", TAGGED, by=by), name="output_tokens"),
            Query(expr=total("grammage_images_total", TAGGED, by=by), name="images"),
        ),
        units=("massg", "massg", "massg", "joule", "short", "short"),
        width=12,
        height=9,
    )


def _course(by: str) -> Panel:
    return Panel(
        key=f"{by}_course",
        kind="stacked",
        queries=(Query(expr=rate(GRAMS, by=by, times=PER_HOUR), name=f"{{{{{by}}}}}"),),
        units=("massg",),
        by=by,
        link="models",
    )


MIX = Panel(
    key="campaign_models",
    kind="bars",
    queries=(Query(expr=total(GRAMS, by="campaign, model"), name="{{campaign}}: {{model}}"),),
    units=("massg",),
    width=16,
)
UNASSIGNED = Panel(
    key="unassigned",
    kind="stat",
    queries=(Query(expr=ratio(f"({total(GRAMS, more=NO_CAMPAIGN)} or vector(0))", total(GRAMS)), name="unassigned"),),
    units=("percentunit",),
    width=8,
    limits=(0.1, 0.3),
)
CAMPAIGNS = Board(
    key="campaigns",
    variables=FOOTPRINT,
    rows=(
        Row(
            key="campaigns_totals",
            panels=(Panel(key="truth", kind="text", width=24, height=4, words="truth"), _table("campaign"), _table("brand")),
        ),
        Row(key="over_time", panels=(_course("campaign"), _course("brand"), MIX, UNASSIGNED)),
        Row(key="budgets", panels=(budget_share(8), budget_course(8), budget_calls(8))),
    ),
)
