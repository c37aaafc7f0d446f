"""Describes the dashboard of grids: their intensity, and what was emitted on each. It must never mix average and marginal figures."""

from deploy.grafana.promql import GRAMS, JOB, JOULES, JOULES_PER_KWH, OPERATIONAL, PER_HOUR, chosen, rate, ratio, total
from deploy.grafana.spec import Board, Panel, Query, Row
from deploy.grafana.variables import FOOTPRINT

ZONE = f'{JOB},zone=~"$zone"'
INTENSITY = "suffix: g/kWh"


def _intensity(key: str, word: str) -> Panel:
    metric = chosen(f"grammage_grid_{word}_intensity_grams_per_kilowatt_hour", JOB if word == "marginal" else ZONE)
    return Panel(
        key=key,
        kind="line",
        queries=(Query(expr=f"avg by (zone, source) ({metric})", name="{{zone}}: {{source}}"),),
        units=(INTENSITY,),
        width=24 if word == "carbon" else 12,
    )


EMITTED = (
    Panel(
        key="zone_course", kind="stacked", queries=(Query(expr=rate(GRAMS, by="zone", times=PER_HOUR), name="{{zone}}"),), units=("massg",)
    ),
    Panel(key="zone_power", kind="stacked", queries=(Query(expr=rate(JOULES, by="zone"), name="{{zone}}"),), units=("watt",)),
    Panel(
        key="zone_table",
        kind="table",
        by="zone",
        queries=(
            Query(expr=total(GRAMS, by="zone"), name="expected"),
            Query(expr=total(JOULES, by="zone"), name="energy"),
            Query(
                expr=ratio(f"{JOULES_PER_KWH} * {total(GRAMS, by='zone', more=OPERATIONAL)}", total(JOULES, by="zone")),
                name="effective",
            ),
        ),
        units=("massg", "joule", INTENSITY),
    ),
    Panel(
        key="zone_models",
        kind="bars",
        queries=(Query(expr=total(GRAMS, by="zone, model"), name="{{zone}}: {{model}}"),),
        units=("massg",),
    ),
)
LIVE = (
    Panel(
        key="live_age",
        kind="line",
        queries=(
            Query(expr=f"max by (zone, source) ({chosen('grammage_grid_carbon_intensity_age_seconds', JOB)})", name="{{zone}}: {{source}}"),
        ),
        units=("s",),
        limits=(7200, 21_600),
    ),
    Panel(
        key="live_failures",
        kind="line",
        queries=(
            Query(expr=total("grammage_grid_intensity_failures_total", JOB, by="source, zone"), name="{{source}} {{zone}}"),
            Query(expr=total("grammage_grid_intensity_refused_readings_total", JOB, by="source, reason"), name="{{source}}: {{reason}}"),
        ),
    ),
)
GRID = Board(
    key="grid",
    variables=FOOTPRINT,
    rows=(
        Row(key="emitted", panels=(Panel(key="truth", kind="text", width=24, height=4, words="truth"), *EMITTED)),
        Row(
            key="intensities",
            panels=(
                _intensity("intensity_carbon", "carbon"),
                _intensity("intensity_direct", "direct"),
                _intensity("intensity_marginal", "marginal"),
            ),
        ),
        Row(key="live", panels=LIVE),
    ),
)
