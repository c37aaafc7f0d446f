"""Describes the dashboard of models and of what policies chose among them. It must never net one figure against emitted grams."""

from deploy.grafana.promql import GRAMS, HIGH, JOB, JOULES, LOW, MODEL, PER_HOUR, TAGGED, rate, ratio, total
from deploy.grafana.spec import Board, Panel, Query, Row
from deploy.grafana.variables import FOOTPRINT

POLICY = f'{JOB},policy=~"(shadow:)?($policy)"'
BASELINE = "grammage_baseline_emissions_co2e_grams_total"
CHOICE = "grammage_routed_emissions_co2e_grams_total"
DECISIONS = "grammage_policy_decisions_total"
OUTPUT = "grammage_output_tokens_total"

BY_MODEL = (
    Panel(
        key="model_table",
        kind="table",
        by="model",
        queries=(
            Query(expr=total(LOW, by="model"), name="low"),
            Query(expr=total(GRAMS, by="model"), name="expected"),
            Query(expr=total(HIGH, by="model"), name="high"),
            Query(expr=total(JOULES, by="model"), name="energy"),
            Query(expr=total(OUTPUT, TAGGED, by="model"), name="output_tokens"),
            Query(expr=ratio(f"1000 * {total(GRAMS, by='model')}", total(OUTPUT, TAGGED, by="model")), name="per_1000_tokens"),
        ),
        units=("massg", "massg", "massg", "joule", "short", "massg"),
        width=24,
        height=9,
    ),
    Panel(
        key="by_model", kind="stacked", queries=(Query(expr=rate(GRAMS, by="model", times=PER_HOUR), name="{{model}}"),), units=("massg",)
    ),
    Panel(
        key="per_1000_tokens",
        kind="line",
        queries=(Query(expr=ratio(f"1000 * {rate(GRAMS, by='model')}", rate(OUTPUT, TAGGED, by="model")), name="{{model}}"),),
        units=("massg",),
    ),
    Panel(
        key="cached_share",
        kind="line",
        queries=(
            Query(
                expr=ratio(
                    rate("grammage_cached_input_tokens_total", MODEL, by="model"), rate("grammage_input_tokens_total", MODEL, by="model")
                ),
                name="{{model}}",
            ),
        ),
        units=("percentunit",),
        most=1.0,
    ),
    Panel(
        key="reasoning_share",
        kind="line",
        queries=(
            Query(
                expr=ratio(rate("grammage_reasoning_output_tokens_total", MODEL, by="model"), rate(OUTPUT, MODEL, by="model")),
                name="{{model}}",
            ),
        ),
        units=("percentunit",),
        most=1.0,
    ),
)
ROUTING = (
    Panel(
        key="baseline",
        kind="table",
        by="policy",
        queries=(
            Query(expr=total(BASELINE, POLICY, by="policy"), name="baseline"),
            Query(expr=total(CHOICE, POLICY, by="policy"), name="choice"),
            Query(expr=f"{total(BASELINE, POLICY, by='policy')} - {total(CHOICE, POLICY, by='policy')}", name="difference"),
        ),
        units=("massg", "massg", "massg"),
    ),
    Panel(
        key="baseline_course",
        kind="line",
        queries=(
            Query(expr=rate(BASELINE, POLICY, by="policy", times=PER_HOUR), name="{{policy}}: [baseline]"),
            Query(expr=rate(CHOICE, POLICY, by="policy", times=PER_HOUR), name="{{policy}}: [choice]"),
        ),
        units=("massg",),
    ),
    Panel(
        key="decisions",
        kind="stacked",
        queries=(Query(expr=rate(DECISIONS, POLICY, by="policy, action"), name="{{policy}}: {{action}}"),),
        units=("reqps",),
    ),
    Panel(
        key="decision_shares",
        kind="bars",
        queries=(Query(expr=total(DECISIONS, POLICY, by="policy, action"), name="{{policy}}: {{action}}"),),
    ),
)
FURTHER = (
    Panel(
        key="escalations",
        kind="bars",
        queries=(Query(expr=total("grammage_escalations_total", POLICY, by="policy, reason"), name="{{policy}}: {{reason}}"),),
        width=8,
    ),
    Panel(
        key="reuse",
        kind="bars",
        queries=(Query(expr=total("grammage_reuse_total", POLICY, by="policy, result"), name="{{policy}}: {{result}}"),),
        width=8,
    ),
    Panel(
        key="iterations",
        kind="bars",
        queries=(Query(expr=total("grammage_iterations_exceeded_total", POLICY, by="policy"), name="{{policy}}"),),
        width=8,
    ),
)
MODELS = Board(
    key="models",
    variables=(*FOOTPRINT, "policy"),
    rows=(
        Row(key="per_model", panels=(Panel(key="truth", kind="text", width=24, height=4, words="truth"), *BY_MODEL)),
        Row(key="routing", panels=(Panel(key="routing_words", kind="text", width=24, height=4, words="baseline"), *ROUTING)),
        Row(key="further", panels=FURTHER),
    ),
)
