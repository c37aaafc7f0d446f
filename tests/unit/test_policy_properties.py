"""Properties of decisions under all that policies may rank and bound by: cost, latency, weights, live intensity."""

from dataclasses import replace
from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from config.policies import Apply, Policy, Prefer, Require
from config.settings import Settings
from config.tables import load_tables
from estimators.usage import Usage
from proxy.call import Caller
from proxy.consult import carried_out, policies_from
from proxy.endpoints.chat import CHAT
from proxy.endpoints.parse import parse
from proxy.policy.candidates import Candidate, candidates_from
from proxy.policy.choose import judge
from proxy.policy.conditions import Conditions
from proxy.policy.decide import decide
from proxy.policy.hours import HourFigure
from proxy.policy.latency import latency_key
from proxy.policy.policies import Policies
from proxy.policy.rule import CallFacts
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules

TABLES = load_tables()
SCALES = Scales(TABLES, WeighingRules(operating_prior="typical", profile="sci-consumer"))
ZONES = ("SE-SE3", "FR", "PL", "US-MIDA-PJM")


def azure(model: str, region: str, price: float | None = 1.0, **more: object) -> dict[str, object]:
    priced = {} if price is None else {"price": {"input_per_million": price, "output_per_million": 4 * price}}
    return {
        "provider": "azure",
        "model": model,
        "region": region,
        "api_base": f"https://{region}.example/v1",
        "api_key": "k",
        **priced,
        **more,
    }


MODELS = {
    "large": {
        "quality": 0.9,
        "deployments": [azure("gpt-4o", region, 2.5) for region in ("polandcentral", "francecentral", "swedencentral")],
    },
    "small": {"quality": 0.7, "deployments": [azure("gpt-4o-mini", "polandcentral", 0.15), azure("gpt-4o-mini", "eastus", None)]},
    "open": {"deployments": [azure("phi-4", "swedencentral", 0.0)]},
    "owned": {"deployments": [azure("gpt-4o", "eastus", api_key=None), azure("gpt-4o", "francecentral")]},
    "mine": {"deployments": [azure("gpt-4o-mini", "eastus", api_key=None), {"provider": "mistral", "model": "mistral-small-3.2"}]},
}
SETTINGS = Settings.model_validate({"models": MODELS})
CANDIDATES = candidates_from(SETTINGS, TABLES.places)
ROWS = [each for row in CANDIDATES.exact.values() for each in row]
KEYS = [latency_key(each, each.name_of(each.pattern), "chat") for each in ROWS]

aliases = st.sampled_from(sorted(MODELS))
some_aliases = st.lists(aliases, min_size=1, max_size=4, unique=True)
shares = st.none() | st.sampled_from([0.05, 0.5, 1.0, 3.0])
weights = st.dictionaries(st.sampled_from(["gco2e", "cost", "latency"]), st.sampled_from([0.1, 1.0, 5.0]), min_size=1)
requirements = st.builds(
    Require,
    cost_ratio_at_most=shares,
    quality_at_least=st.none() | st.sampled_from([0.65, 0.8]),
    zone_gco2e_per_kwh_at_most=st.none() | st.sampled_from([25.0, 60.0]),
)
preferences = st.builds(
    Prefer,
    lowest=st.sampled_from(["gco2e", "cost", "latency"]),
    weights=st.none() | weights,
    among=st.none() | some_aliases,
    within_latency_ms=st.none() | st.sampled_from([500.0, 5000.0]),
    within_cost_ratio=shares,
    confidence_at_least=st.none() | st.sampled_from([0.5, 0.9]),
    intensity=st.sampled_from(["yearly", "hourly"]),
    hysteresis=st.sampled_from([0.0, 0.1, 0.5]),
)
moments = st.builds(
    Conditions,
    pace=st.dictionaries(st.sampled_from(KEYS), st.sampled_from([0.001, 0.01, 0.1])),
    figures=st.dictionaries(st.sampled_from(ZONES), st.sampled_from([5.0, 30.0, 700.0]).map(lambda grams: HourFigure(grams, "production"))),
    anchors=st.dictionaries(st.tuples(st.just("p0"), aliases), st.sampled_from(ZONES)),
)
made_policies = st.lists(
    st.builds(
        Policy,
        name=st.just("p"),
        require=requirements,
        prefer=st.none() | preferences,
        holdback=st.sampled_from([0.0, 0.5]),
        otherwise=st.sampled_from(["passthrough", "refuse"]),
        mode=st.sampled_from(["shadow", "enforce"]),
    ),
    min_size=1,
    max_size=3,
).map(lambda made: [policy.model_copy(update={"name": f"p{number}"}) for number, policy in enumerate(made)])


@st.composite
def calls(draw: st.DrawFn) -> CallFacts:
    alias, call_id = draw(aliases), draw(st.uuids()).hex
    caller = (
        Caller(id="own")
        if alias in ("owned", "mine")
        else draw(st.sampled_from([Caller(id="own"), Caller(id="k", forwards_own_key=False)]))
    )
    usage = Usage(input_tokens=draw(st.integers(0, 9000)), output_tokens=draw(st.integers(0, 4000)), source="estimated")
    return CallFacts(
        call_id=call_id,
        alias=alias,
        operation="chat",
        weighed_as="chat",
        path="/v1/chat/completions",
        dialect="openai",
        caller=caller,
        tags=(),
        usage=usage,
        usual=decide(alias, caller, CANDIDATES, seed=call_id).attempts,
    )


@lru_cache(maxsize=256)
def _kept(key: str) -> Policies:
    found = policies_from(SETTINGS.model_copy(update={"policies": _BY_KEY[key]}), TABLES, CANDIDATES, SCALES)
    assert found is not None
    return found


_BY_KEY: dict[str, list[Policy]] = {}


def word(made: list[Policy], call: CallFacts, moment: Conditions) -> Verdict:
    key = repr(made)
    _BY_KEY[key] = made
    found = _kept(key)
    rule = found.rules.first(call)
    assert rule is not None
    for option in found.shortlists.missing(rule, call):
        SCALES.prepare(option.candidate, option.model, call.weighed_as)
    return judge(rule, call, found.shortlists.of(rule, call), moment)


def places(verdict: Verdict) -> list[tuple[str, str, str, str | None]]:
    return [(each.base_url, each.provider, each.name_of(""), each.api_key) for each in verdict.plan]


def is_configured(candidate: Candidate) -> bool:
    return any(candidate is each or (candidate.deployment is each.deployment and candidate.base_url == each.base_url) for each in ROWS)


@given(made_policies, calls(), moments)
@settings(max_examples=250, deadline=None)
def test_nobody_serves_who_is_not_configured_or_whose_key_is_another_providers(
    made: list[Policy], call: CallFacts, moment: Conditions
) -> None:
    verdict = word(made, call, moment)
    assert (not verdict.plan) is (verdict.action == "refused")
    assert len(set(verdict.plan)) == len(verdict.plan)
    meant = next((each for each in CANDIDATES.of(call.alias) if each.api_key is None), None)
    for each in verdict.plan:
        assert is_configured(each)
        if each.api_key is None and each not in call.usual:
            assert meant is not None
            assert call.caller.forwards_own_key
            assert (each.provider, each.base_url) == (meant.provider, meant.base_url)


@given(made_policies, calls(), moments)
@settings(max_examples=150, deadline=None)
def test_the_same_inputs_give_the_same_decision(made: list[Policy], call: CallFacts, moment: Conditions) -> None:
    first = word(made, call, moment)
    _kept.cache_clear()
    again = word(made, call, Conditions(pace=dict(moment.pace), figures=dict(moment.figures), anchors=dict(moment.anchors)))
    assert (first.policy, first.action, first.reason, first.rejected) == (again.policy, again.action, again.reason, again.rejected)
    assert places(first) == places(again)


@given(made_policies, calls(), moments)
@settings(max_examples=150, deadline=None)
def test_the_first_enforced_policy_wins_and_what_is_not_acted_on_keeps_every_byte(
    made: list[Policy], call: CallFacts, moment: Conditions
) -> None:
    verdict = word(made, call, moment)
    assert verdict.policy == next((each.name for each in made if each.mode == "enforce"), made[0].name)
    if verdict.acts or (verdict.mode == "enforce" and verdict.action == "refused"):
        return
    ask = parse(CHAT, b'{"model":"large","messages":[], "max_tokens": 99999, "n": 9}')
    left = carried_out(ask, decide(call.alias, call.caller, CANDIDATES, seed=call.call_id), verdict)
    assert left.ask is ask
    assert (left.decision.attempts, left.decision.altered) == (call.usual, "")


def grams(verdict: Verdict) -> float:
    assert verdict.choice is not None
    return next(found for found, each in verdict.ranked if each is verdict.choice)


lowest_grams = st.builds(Prefer, among=st.none() | some_aliases)


@given(calls(), lowest_grams, moments, st.tuples(st.integers(1, 3000), st.integers(1, 3000)).map(sorted))
@settings(max_examples=150, deadline=None)
def test_a_tighter_cap_never_raises_grams(call: CallFacts, prefer: Prefer, moment: Conditions, most: list[int]) -> None:
    tight, loose = (
        word([Policy(name="p0", prefer=prefer, apply=Apply(max_output_tokens=cap), mode="enforce")], call, moment) for cap in most
    )
    assert (tight.reason == "no_candidate") == (loose.reason == "no_candidate")
    if tight.ranked and loose.ranked:
        assert grams(tight) <= grams(loose) * (1 + 1e-12)


@given(calls(), lowest_grams, requirements, moments)
@settings(max_examples=200, deadline=None)
def test_a_requirement_never_raises_grams_above_the_first_deployments_that_meets_it(
    call: CallFacts, prefer: Prefer, require: Require, moment: Conditions
) -> None:
    """A tighter requirement can only take candidates away; the first deployment stays among them as long as it meets it."""
    verdict = word([Policy(name="p0", prefer=prefer, require=require, mode="enforce")], call, moment)
    if verdict.ranked and any(each is verdict.baseline for _, each in verdict.ranked):
        assert grams(verdict) <= verdict.baseline.gco2e(call.usage)


@given(
    calls().filter(lambda call: call.alias == "large"), moments, st.tuples(*[st.sampled_from([25.0, 35.0, 60.0, 900.0])] * 2).map(sorted)
)
@settings(max_examples=100, deadline=None)
def test_a_tighter_zone_limit_never_raises_grams_where_one_model_serves(call: CallFacts, moment: Conditions, most: list[float]) -> None:
    tight, loose = (
        word([Policy(name="p0", prefer=Prefer(), require=Require(zone_gco2e_per_kwh_at_most=limit), mode="enforce")], call, moment)
        for limit in most
    )
    if tight.ranked:
        assert grams(tight) <= grams(loose)


@given(calls(), st.builds(Prefer, among=some_aliases, intensity=st.just("hourly")), moments)
@settings(max_examples=150, deadline=None)
def test_live_figures_change_nothing_unless_all_that_are_compared_have_one(call: CallFacts, prefer: Prefer, moment: Conditions) -> None:
    hourly, yearly = (
        word([Policy(name="p0", prefer=prefer.model_copy(update={"intensity": kind}), mode="enforce")], call, moment)
        for kind in ("hourly", "yearly")
    )
    if hourly.figures is None:
        assert places(hourly) == places(yearly)
        assert hourly.reason == ",".join(filter(None, (yearly.reason, "hourly_unknown" if yearly.ranked else "")))
    else:
        assert all(each.zone in moment.figures for _, each in hourly.ranked)


@given(calls(), preferences, moments)
@settings(max_examples=150, deadline=None)
def test_what_only_watches_decides_as_if_it_acted(call: CallFacts, prefer: Prefer, moment: Conditions) -> None:
    acting, watching = (word([Policy(name="p0", prefer=prefer, mode=mode)], call, moment) for mode in ("enforce", "shadow"))
    assert (acting.action, acting.reason, places(acting)) == (watching.action, watching.reason, places(watching))
    assert not watching.acts
    assert replace(watching, mode="enforce").acts == acting.acts
