"""What policies rank by: cost, latency, several measures, live intensity of grids; and what happens where one of them is not known."""

import math
from dataclasses import replace
from typing import Any

import pytest

from config.check import find_faults
from config.policies import Policy
from config.price import Price
from config.settings import Settings
from config.tables import load_tables
from estimators.usage import Media, Usage
from proxy.call import Caller
from proxy.consult import policies_from
from proxy.policy.candidates import candidates_from
from proxy.policy.choose import judge
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.cost import cost_of, cost_ratio
from proxy.policy.hours import HourFigure, Hours
from proxy.policy.ladder import Ladder
from proxy.policy.latency import FRESH_S, WAIT_TOKENS, Latencies, latency_key
from proxy.policy.lengths import ENOUGH, REMEMBERED, Lengths
from proxy.policy.option import Options
from proxy.policy.rule import CallFacts, Rule
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules

TABLES = load_tables()
SCALES = Scales(TABLES, WeighingRules(operating_prior="typical", profile="sci-consumer"))
SOURCES = {"sources": [{"kind": "energy-charts", "zones": ["FR", "SE", "PL"]}]}


def azure(model: str, region: str, output_price: float | None = None, **more: object) -> dict[str, object]:
    price = {} if output_price is None else {"price": {"input_per_million": output_price / 4, "output_per_million": output_price}}
    return {
        "provider": "azure",
        "model": model,
        "region": region,
        "api_base": f"https://{region}.example/v1",
        "api_key": "k",
        **price,
        **more,
    }


MODELS = {
    "large": {"deployments": [azure("gpt-4o", "polandcentral", 10), azure("gpt-4o", "francecentral", 20)]},
    "small": {"deployments": [azure("gpt-4o-mini", "eastus", 1)]},
    "free": {"deployments": [azure("phi-4", "swedencentral")]},
    "zones": {"deployments": [azure("gpt-4o", region) for region in ("swedencentral", "francecentral", "polandcentral")]},
    "plain": {"lacks": ["tools", "json_schema", "streaming"], "deployments": [azure("gpt-4o-mini", "swedencentral")]},
}
CANDIDATES = candidates_from(Settings.model_validate({"models": MODELS}), TABLES.places)
CALL = CallFacts(
    call_id="c",
    alias="large",
    operation="chat",
    weighed_as="chat",
    path="/v1/chat/completions",
    dialect="openai",
    caller=Caller(id="own"),
    tags=(),
    usage=Usage(input_tokens=500, output_tokens=300, source="estimated"),
    usual=CANDIDATES.of("large"),
)
ZONES = replace(CALL, alias="zones", usual=CANDIDATES.of("zones"))


def verdict(call: CallFacts = CALL, conditions: Conditions = UNTOLD, **policy: object) -> Verdict:
    settings = Settings.model_validate({"models": MODELS, "intensity": SOURCES, "policies": [{"name": "p", "mode": "enforce", **policy}]})
    found = policies_from(settings, TABLES, CANDIDATES, SCALES)
    assert found is not None
    rule = found.rules.first(call)
    assert rule is not None
    for option in found.shortlists.missing(rule, call):
        SCALES.prepare(option.candidate, option.model, call.weighed_as)
    return judge(rule, call, found.shortlists.of(rule, call), conditions)


def chosen(found: Verdict) -> str:
    return str(found.choice and found.choice.option)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (None, Usage(input_tokens=1), None),
        (Price(), Usage(input_tokens=1), None),
        (Price(input_per_million=2, output_per_million=8), Usage(input_tokens=1_000_000, output_tokens=500_000), 6),
        (Price(input_per_million=2), Usage(input_tokens=1_000_000), 2),
        (Price(input_per_million=2), Usage(input_tokens=1, output_tokens=1), None),
        (Price(output_per_million=2), Usage(input_tokens=1, output_tokens=1), None),
        (
            Price(input_per_million=2, cached_input_per_million=1, output_per_million=0),
            Usage(input_tokens=2_000_000, cached_input_tokens=1_000_000),
            3,
        ),
        (Price(input_per_million=2, output_per_million=0), Usage(input_tokens=2_000_000, cached_input_tokens=1_000_000), 4),
        (Price(per_image=0.04), Usage(input_tokens=30, media=Media(images=2)), 0.08),
        (Price(per_image=0.04, input_per_million=10), Usage(input_tokens=100_000, media=Media(images=1)), 1.04),
        (Price(input_per_million=10, output_per_million=40), Usage(output_tokens=1_000_000, media=Media(images=1)), 40),
        (Price(per_second=0.1), Usage(media=Media(clips=1, video_seconds=8)), 0.8),
        (Price(per_second=0.1), Usage(media=Media(characters=80)), None),
        (Price(input_per_million=10), Usage(media=Media(images=1), input_tokens=1_000_000), 10),
        (Price(per_second=0.1), Usage(media=Media(images=1)), None),
        (Price(per_call=0.5), Usage(input_tokens=9, output_tokens=9, calls=2), 1.0),
        (Price(per_call=0.5, input_per_million=1), Usage(input_tokens=1_000_000), 1.5),
    ],
)
def test_what_usage_costs_is_told_only_where_all_of_it_has_a_price(price: Price | None, usage: Usage, cost: float | None) -> None:
    assert cost_of(price, usage) == (None if cost is None else pytest.approx(cost))


def test_a_ratio_to_what_costs_nothing_is_boundless_but_for_what_costs_nothing_too() -> None:
    free, dear = Price(per_call=0), Price(per_call=1)
    usage = Usage(input_tokens=1)
    assert (cost_ratio(dear, free, usage), cost_ratio(free, free, usage), cost_ratio(dear, dear, usage)) == (math.inf, 1, 1)
    assert cost_ratio(dear, None, usage) is None


def test_the_cheapest_serves_and_who_has_no_price_is_left_out() -> None:
    found = verdict(prefer={"lowest": "cost", "among": ["small", "free", "large"]})
    assert (chosen(found), found.action) == ("azure/gpt-4o-mini@eastus", "routed")
    assert "azure/phi-4@swedencentral: cost_unknown" in found.rejected
    assert [str(each.option) for _, each in found.ranked] == [
        "azure/gpt-4o-mini@eastus",
        "azure/gpt-4o@polandcentral",
        "azure/gpt-4o@francecentral",
    ]


def test_nothing_is_cheaper_than_what_has_no_price() -> None:
    free = replace(CALL, alias="free", usual=CANDIDATES.of("free"))
    for prefer in ({"lowest": "cost"}, {"weights": {"gco2e": 1, "cost": 1}}):
        found = verdict(free, prefer={**prefer, "among": ["small", "free"]})
        assert (found.action, found.reason, found.plan) == ("passthrough", "cost_unknown", free.usual)
    gone = verdict(free, require={"cost_ratio_at_most": 5}, prefer={"among": ["small"]}, otherwise="refuse")
    assert (gone.action, gone.reason) == ("refused", "no_candidate")
    assert "azure/gpt-4o-mini@eastus: cost_unknown" in gone.rejected


def test_a_cost_ratio_bounds_who_may_serve_and_who_is_preferred() -> None:
    wide, narrow = (verdict(require={"cost_ratio_at_most": most}, prefer={"lowest": "gco2e"}) for most in (2.0, 1.9))
    assert (chosen(wide), chosen(narrow)) == ("azure/gpt-4o@francecentral", "azure/gpt-4o@polandcentral")
    assert "azure/gpt-4o@francecentral: cost_ratio_at_most" in narrow.rejected
    preferred = verdict(prefer={"lowest": "gco2e", "within_cost_ratio": 1.9, "among": ["large", "free"]})
    assert chosen(preferred) == "azure/gpt-4o@polandcentral"
    nobody = verdict(prefer={"within_cost_ratio": 0.05, "among": ["small"]}, otherwise="refuse")
    assert (nobody.action, nobody.reason, nobody.plan) == ("passthrough", "no_candidate", CALL.usual)


def test_weights_sum_ratios_to_the_first_deployment() -> None:
    by_cost, by_grams = (verdict(prefer={"weights": weights}) for weights in ({"gco2e": 0.05, "cost": 1}, {"gco2e": 1, "cost": 0.05}))
    assert (chosen(by_cost), chosen(by_grams)) == ("azure/gpt-4o@polandcentral", "azure/gpt-4o@francecentral")


def paced(*measured: tuple[str, int, float], at_s: float = 0.0) -> Latencies:
    made = Latencies()
    for alias, number, took_s in measured:
        candidate = CANDIDATES.of(alias)[number]
        made.take(latency_key(candidate, candidate.name_of(alias), "chat"), took_s, CALL.usage.output_tokens, at_s)
    return made


def lately(*measured: tuple[str, int, float], at_s: float = 0.0) -> Conditions:
    return replace(UNTOLD, pace=paced(*measured).pace(at_s))


def test_the_fastest_lately_serves_and_who_was_not_tried_gets_its_share() -> None:
    tried = lately(("large", 0, 2.0), ("large", 1, 1.0), ("small", 0, 4.0))
    prefer = {"lowest": "latency", "among": ["large", "small"]}
    assert chosen(verdict(conditions=tried, prefer=prefer)) == "azure/gpt-4o@francecentral"
    half = lately(("large", 0, 2.0))
    first = {chosen(verdict(replace(CALL, call_id=f"{n}"), half, prefer={"lowest": "latency"})) for n in range(20)}
    assert first == {"azure/gpt-4o@polandcentral", "azure/gpt-4o@francecentral"}
    later = replace(UNTOLD, pace=paced(("large", 0, 2.0), ("large", 1, 1.0)).pace(FRESH_S + 1))
    assert not later.pace


def test_who_was_too_slow_is_passed_over_and_who_was_not_tried_is_not() -> None:
    slow = lately(("large", 1, 9.0))
    bound = {"lowest": "gco2e", "within_latency_ms": 5000}
    assert chosen(verdict(conditions=slow, prefer=bound)) == "azure/gpt-4o@polandcentral"
    assert "azure/gpt-4o@francecentral: within_latency_ms" in verdict(conditions=slow, prefer=bound).rejected
    assert chosen(verdict(prefer=bound)) == "azure/gpt-4o@francecentral"
    long = replace(CALL, usage=Usage(input_tokens=500, output_tokens=3000, source="estimated"))
    assert verdict(long, lately(("large", 0, 2.0), ("large", 1, 2.0)), prefer=bound).reason == "no_candidate"


def test_a_latency_is_the_median_of_the_last_answers_scaled_by_length() -> None:
    made, key = Latencies(), ("a", "b", "c", "d", "e", "f")
    for took_s in (1.0, 100.0, 2.0, 0.0):
        made.take(key, took_s, 50, 5.0)
    assert made.pace(5.0) == {key: pytest.approx(2.0 / (WAIT_TOKENS + 50))}
    before = made.pace(5.0)
    for _ in range(100):
        made.take(key, 3.0, 50, 6.0)
    assert before[key] == pytest.approx(0.02)
    assert made.pace(6.0)[key] == pytest.approx(0.03)


def told(**figures: float) -> Conditions:
    return replace(UNTOLD, figures={zone.replace("_", "-"): HourFigure(figure, "production") for zone, figure in figures.items()})


HOURLY: dict[str, Any] = {"prefer": {"intensity": "hourly"}}


def test_live_figures_rank_where_all_that_are_compared_have_one_of_a_kind() -> None:
    sweden, france, poland = (str(each.place.region) for each in CANDIDATES.of("zones"))
    assert (verdict(ZONES, **HOURLY).reason, chosen(verdict(ZONES, **HOURLY))) == ("hourly_unknown", f"azure/gpt-4o@{sweden}")
    found = verdict(ZONES, told(SE_SE3=60, FR=20, PL=700), **HOURLY)
    assert (found.reason, found.action, chosen(found)) == ("hourly", "routed", f"azure/gpt-4o@{france}")
    assert chosen(verdict(ZONES, told(SE_SE3=60, FR=50, PL=5), **HOURLY)) == f"azure/gpt-4o@{poland}"
    assert verdict(ZONES, told(SE_SE3=60, FR=20), **HOURLY).reason == "hourly_unknown"
    mixed = replace(UNTOLD, figures={**told(SE_SE3=60, FR=20).figures, "PL": HourFigure(5, "consumption")})
    assert verdict(ZONES, mixed, **HOURLY).reason == "hourly_unknown"
    assert verdict(ZONES, told(SE_SE3=60, FR=20, PL=5), prefer={}).reason == ""


def test_the_zone_limit_stays_with_yearly_factors() -> None:
    found = verdict(ZONES, told(SE_SE3=60, FR=50, PL=5), require={"zone_gco2e_per_kwh_at_most": 100}, **HOURLY)
    assert chosen(found).endswith("@francecentral")
    assert any(reason.endswith("polandcentral: zone_gco2e_per_kwh_at_most") for reason in found.rejected)


def test_calls_stay_in_the_zone_chosen_last_until_another_is_lower_by_the_hysteresis() -> None:
    near, far = told(SE_SE3=40, FR=38, PL=900), told(SE_SE3=60, FR=20, PL=900)
    anchored = {("p", "zones"): "SE-SE3"}
    policy = {"prefer": {"intensity": "hourly", "hysteresis": 0.2}}
    assert chosen(verdict(ZONES, near, **policy)).endswith("francecentral")
    held = verdict(ZONES, replace(near, anchors=anchored), **policy)
    assert chosen(held).endswith("swedencentral")
    assert [str(each.option.candidate.place.zone) for _, each in held.ranked] == ["SE-SE3", "FR", "PL"]
    assert chosen(verdict(ZONES, replace(far, anchors=anchored), **policy)).endswith("francecentral")
    assert chosen(verdict(ZONES, replace(near, anchors={("p", "zones"): "DE"}), **policy)).endswith("francecentral")


def test_anchors_change_only_when_something_new_is_told() -> None:
    hours, first, second = Hours(["FR", "PL"]), object(), object()
    assert hours.is_due(first, 0.0)
    hours.renew(first, {"FR": HourFigure(20, "production")}, 0.0)
    hours.note("p", "a", "FR")
    assert not hours.is_due(first, 59.0)
    assert not hours.anchors
    hours.renew(first, {"FR": HourFigure(20, "production")}, 60.0)
    assert not hours.anchors
    hours.renew(second, {"FR": HourFigure(21, "production")}, 61.0)
    assert hours.anchors == {("p", "a"): "FR"}
    hours.note("p", "a", "PL")
    assert hours.anchors == {("p", "a"): "FR"}
    assert Hours(["FR"], hours).anchors == hours.anchors


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf, 0.0, -5.0, 1e6])
def test_a_figure_that_cannot_be_true_decides_nothing(figure: float) -> None:
    hours = Hours(["FR"])
    hours.renew(object(), {"FR": HourFigure(figure, "production")}, 0.0)
    assert not hours.figures


def test_what_the_owner_says_a_model_lacks_keeps_calls_away() -> None:
    for need in ("tools", "json_schema", "streaming"):
        found = verdict(replace(CALL, needs=frozenset({need})), prefer={"among": ["plain"]})
        assert (found.action, f"azure/gpt-4o-mini@swedencentral: {need}" in found.rejected) == ("kept", True)
    assert verdict(prefer={"among": ["plain"]}).action == "routed"


def test_nothing_escalates_to_a_model_that_lacks_what_the_call_needs() -> None:
    rule = Rule(Policy.model_validate({"name": "p", "escalate": {"to": "plain"}, "mode": "enforce"}))
    ladder = Ladder(Options(CANDIDATES, Settings.model_validate({"models": MODELS}), TABLES.catalogue.resolve), lambda path: False)
    assert [each.model for each in ladder.above(rule, CALL)] == ["gpt-4o-mini"]
    for need in ("tools", "json_schema", "streaming"):
        assert ladder.above(rule, replace(CALL, needs=frozenset({need}))) == ()


def test_lengths_are_told_by_tags_where_enough_came_and_by_the_alias_else() -> None:
    lengths = Lengths()
    draft, final = (("campaign", "x"), ("stage", "draft")), (("stage", "final"),)
    for number in range(ENOUGH):
        assert lengths.median("a", draft) is None
        lengths.take("a", (("campaign", f"{number}"), ("stage", "draft")), 100 + number)
    lengths.take("a", final, 900)
    assert lengths.median("a", draft) == 102
    assert lengths.median("a", final) == lengths.median("a", ()) == 103
    assert lengths.high("a", draft) == 104
    for _ in range(200):
        lengths.take("a", draft, 7)
    assert (lengths.median("a", draft), lengths.high("a", draft)) == (7, 7)
    for number in range(2 * REMEMBERED):
        lengths.take(f"alias-{number}", (("stage", f"{number}"),), 1)
    assert max(len(lengths._aliases), len(lengths._kinds)) <= REMEMBERED


@pytest.mark.parametrize(
    ("policy", "key", "message"),
    [
        ({"prefer": {"lowest": "cost"}}, "prefer.lowest", "`price:`"),
        ({"require": {"cost_ratio_at_most": 1}}, "require.cost_ratio_at_most", "`price:`"),
        ({"prefer": {"within_cost_ratio": 1}}, "prefer.within_cost_ratio", "`price:`"),
        ({"prefer": {"weights": {"cost": 1}}}, "prefer.weights", "`price:`"),
        ({"prefer": {"weights": {"gco2e": 1}, "lowest": "latency"}}, "prefer.weights", "take one away"),
        ({"prefer": {"intensity": "hourly"}}, "prefer.intensity", "energy-charts"),
        ({"prefer": {"intensity": "hourly", "lowest": "latency"}}, "prefer.intensity", "gco2e only"),
    ],
)
def test_what_cannot_be_ranked_by_is_a_fault_of_the_configuration(policy: dict[str, object], key: str, message: str) -> None:
    models = {"a": {"deployments": [{"provider": "openai", "price": {}}]}}
    settings = Settings.model_validate({"models": models, "policies": [{"name": "p", **policy}]})
    found = [(".".join(map(str, finding.path[2:])), finding.message) for finding in find_faults(settings)]
    assert any(where == key and message in words for where, words in found)
