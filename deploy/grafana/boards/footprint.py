"""Describes the dashboard for who wants the whole footprint at a glance. It must never compare with what was not emitted."""

from deploy.grafana.boards.budget_panels import budget_share
from deploy.grafana.promql import GRAMS, HIGH, JOULES, LOW, MODEL, PER_HOUR, TAGGED, rate, total
from deploy.grafana.spec import Board, Panel, Query, Row
from deploy.grafana.variables import FOOTPRINT

IN_TOTAL = (
    Panel(key="truth", kind="text", width=24, height=4, words="truth"),
    Panel(
        key="emissions",
        kind="stat",
        queries=(Query(expr=total(LOW), name="low"), Query(expr=total(GRAMS), name="expected"), Query(expr=total(HIGH), name="high")),
        units=("massg",),
        width=9,
        height=5,
    ),
    Panel(key="energy", kind="stat", queries=(Query(expr=total(JOULES), name="energy"),), units=("joule",), width=4, height=5),
    Panel(key="calls", kind="stat", queries=(Query(expr=total("grammage_requests_total", MODEL), name="calls"),), width=4, height=5),
    Panel(
        key="written",
        kind="stat",
        queries=(
            Query(expr=total("grammage_output_tokens_total", TAGGED), name="output_tokens"),
            Query(expr=total("grammage_images_total", TAGGED), name="images"),
        ),
        width=7,
        height=5,
    ),
)
OVER_TIME = (
    Panel(
        key="emissions_band",
        kind="band",
        queries=(
            Query(expr=rate(HIGH, times=PER_HOUR), name="high"),
            Query(expr=rate(LOW, times=PER_HOUR), name="low"),
            Query(expr=rate(GRAMS, times=PER_HOUR), name="expected"),
        ),
        units=("massg",),
        width=16,
        height=9,
    ),
    Panel(key="power", kind="line", queries=(Query(expr=rate(JOULES), name="power"),), units=("watt",), width=8, height=9),
    Panel(
        key="by_model",
        kind="stacked",
        queries=(Query(expr=rate(GRAMS, by="model", times=PER_HOUR), name="{{model}}"),),
        units=("massg",),
    ),
    Panel(
        key="by_phase",
        kind="stacked",
        queries=(Query(expr=rate(GRAMS, by="phase", times=PER_HOUR), name="{{phase}}"),),
        units=("massg",),
    ),
)
SHARES = (
    Panel(key="brand_total", kind="bars", queries=(Query(expr=total(GRAMS, by="brand"), name="{{brand}}"),), units=("massg",), width=8),
    Panel(key="zone_total", kind="bars", queries=(Query(expr=total(GRAMS, by="zone"), name="{{zone}}"),), units=("massg",), width=8),
    budget_share(8),
)
MADE = (
    Panel(
        key="tokens",
        kind="line",
        queries=(
            Query(expr=rate("grammage_input_tokens_total", TAGGED), name="input_tokens"),
            Query(expr=rate("grammage_output_tokens_total", TAGGED), name="output_tokens"),
        ),
    ),
    Panel(
        key="media",
        kind="line",
        queries=(
            Query(expr=rate("grammage_images_total", TAGGED, times=PER_HOUR), name="images"),
            Query(expr=rate("grammage_audio_seconds_total", TAGGED, times=PER_HOUR), name="audio_seconds"),
            Query(expr=rate("grammage_video_seconds_total", TAGGED, times=PER_HOUR), name="video_seconds"),
        ),
    ),
)
FOOTPRINT_BOARD = Board(
    key="footprint",
    variables=FOOTPRINT,
    rows=(
        Row(key="in_total", panels=IN_TOTAL),
        Row(key="over_time", panels=OVER_TIME),
        Row(key="shares", panels=SHARES),
        Row(key="made", panels=MADE),
    ),
)
