"""What policies make of calls, whatever policies and calls there are: nobody who may not serve, no key astray, always the same."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.policies import Apply, Policy, Prefer, Require, When
from config.settings import Settings
from config.tables import load_tables
from estimators.usage import Usage
from proxy.call import Caller
from proxy.consult import carried_out, policies_from
from proxy.endpoints.chat import CHAT
from proxy.endpoints.parse import parse
from proxy.errors import BadRequest
from proxy.policy.candidates import Candidate, candidates_from
from proxy.policy.choose import judge
from proxy.policy.decide import decide
from proxy.policy.rule import CallFacts, Rule, Rules
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules

TABLES = load_tables()
REGIONS = ("eastus", "francecentral", "swedencentral", "polandcentral")
STAGES = ("draft", "final", "idea")


def azure(model: str, region: str, **more: object) -> dict[str, object]:
    return {"provider": "azure", "model": model, "region": region, "api_base": f"https://{region}.example/v1", "api_key": "k", **more}


KEYLESS = {"api_key": None}
MODELS = {
    "large": {"quality": 0.9, "deployments": [azure("gpt-4o", region) for region in REGIONS]},
    "small": {"quality": 0.7, "deployments": [azure("gpt-4o-mini", region) for region in REGIONS[:2]]},
    "open": {"quality": 0.6, "deployments": [azure("phi-4", "swedencentral"), azure("llama-3.3-70b", "eastus", weight=0)]},
    "near": {"deployments": [azure("llama-3.3-70b", "eastus")]},
    "owned": {
        "deployments": [azure("gpt-4o", "eastus", **KEYLESS), azure("gpt-4o", "polandcentral", **KEYLESS), azure("gpt-4o", "francecentral")]
    },
    "mine": {"deployments": [azure("gpt-4o-mini", "eastus", **KEYLESS), {"provider": "mistral", "model": "mistral-small-3.2"}]},
}
SETTINGS = Settings.model_validate({"models": MODELS})
CANDIDATES = candidates_from(SETTINGS, TABLES.places)
SCALES = Scales(TABLES, WeighingRules(operating_prior="typical", profile="sci-consumer"))
_ANY = Policy(name="any", require=Require(open_weights=True))
_KNOWN = policies_from(SETTINGS.model_copy(update={"policies": [_ANY]}), TABLES, CANDIDATES, SCALES)
assert _KNOWN is not None
OPTIONS = _KNOWN.shortlists._options
OWN, ISSUED = Caller(id="own"), Caller(id="issued", forwards_own_key=False)

aliases = st.sampled_from(sorted(MODELS))
some_aliases = st.lists(aliases, min_size=1, max_size=3, unique=True)
requirements = st.builds(
    Require,
    region_in=st.none() | st.lists(st.sampled_from(REGIONS), min_size=1, max_size=3),
    zone_gco2e_per_kwh_at_most=st.none() | st.sampled_from([25.0, 60.0, 450.0]),
    quality_at_least=st.none() | st.sampled_from([0.5, 0.65, 0.8, 1.0]),
    water_ratio_at_most=st.none() | st.sampled_from([0.5, 1.0, 4.0]),
    open_weights=st.none() | st.booleans(),
)
preferences = st.builds(Prefer, among=st.none() | some_aliases, confidence_at_least=st.none() | st.sampled_from([0.5, 0.9]))
caps = st.builds(Apply, max_output_tokens=st.none() | st.integers(1, 2000), n_at_most=st.none() | st.integers(1, 4))
whens = st.builds(
    When,
    alias=st.none() | some_aliases,
    tags=st.dictionaries(st.just("stage"), st.lists(st.sampled_from(STAGES), min_size=1, max_size=2), max_size=1),
    input_tokens_at_most=st.none() | st.sampled_from([10, 1000]),
)


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    made = draw(
        st.lists(
            st.builds(
                Policy,
                name=st.just("p"),
                when=whens,
                require=requirements,
                prefer=st.none() | preferences,
                apply=caps,
                holdback=st.sampled_from([0.0, 0.5]),
                otherwise=st.sampled_from(["passthrough", "refuse"]),
                mode=st.sampled_from(["off", "shadow", "enforce", "enforce"]),
            ),
            max_size=5,
        )
    )
    return [policy.model_copy(update={"name": f"p{number}"}) for number, policy in enumerate(made)]


@st.composite
def calls(draw: st.DrawFn) -> CallFacts:
    alias, caller, call_id = draw(aliases), draw(st.sampled_from([OWN, ISSUED])), draw(st.text("abc", min_size=1, max_size=6))
    alias = "large" if caller is ISSUED and alias == "mine" else alias
    usual = decide(alias, caller, CANDIDATES, seed=call_id).attempts
    return CallFacts(
        call_id=call_id,
        alias=alias,
        operation="chat",
        weighed_as="chat",
        path="/v1/chat/completions",
        dialect="openai",
        caller=caller,
        tags=tuple(draw(st.dictionaries(st.just("stage"), st.sampled_from(STAGES), max_size=1)).items()),
        usage=Usage(input_tokens=draw(st.integers(0, 5000)), output_tokens=draw(st.integers(0, 3000)), source="estimated"),
        usual=usual,
        choices=draw(st.integers(1, 4)),
        is_bound=draw(st.booleans()),
        shows=draw(st.booleans()),
    )


def word(made: list[Policy], call: CallFacts) -> tuple[Rule, Verdict] | None:
    """The verdict on the call by freshly made rules."""
    found = policies_from(SETTINGS.model_copy(update={"policies": made}), TABLES, CANDIDATES, SCALES)
    if found is None:
        return None
    found.shortlists._options = OPTIONS  # the same objects, so that what is prepared once serves every example
    rule = found.rules.first(call)
    if rule is None:
        return None
    for option in found.shortlists.missing(rule, call):
        SCALES.prepare(option.candidate, option.model, call.weighed_as)
    return rule, judge(rule, call, found.shortlists.of(rule, call))


def configured(candidate: Candidate) -> bool:
    return any(candidate.deployment is each.deployment for row in CANDIDATES.exact.values() for each in row)


@given(policies(), calls())
@settings(max_examples=200, deadline=None)
def test_only_those_serve_that_meet_the_requirements_or_would_serve_anyway(made: list[Policy], call: CallFacts) -> None:
    found = word(made, call)
    if found is None:
        return
    rule, verdict = found
    require = rule.policy.require
    for each in verdict.plan:
        assert configured(each)
        if not verdict.acts or (each in call.usual and rule.policy.otherwise == "passthrough"):
            continue
        assert require.region_in is None or each.place.region in require.region_in
        assert require.zone_gco2e_per_kwh_at_most is None or each.place.gco2e_per_kwh.value <= require.zone_gco2e_per_kwh_at_most
        assert each in call.usual or not call.is_bound
    if verdict.action == "routed":
        assert verdict.choice is not None
        assert verdict.choice is not verdict.baseline
        assert verdict.choice.option.candidate is verdict.plan[0]


@given(policies(), calls())
@settings(max_examples=200, deadline=None)
def test_a_callers_own_key_goes_only_where_it_was_meant_to_go(made: list[Policy], call: CallFacts) -> None:
    found = word(made, call)
    if found is None:
        return
    keyless = [each for each in found[1].plan if each.api_key is None and each not in call.usual]
    if not call.caller.forwards_own_key:
        assert not keyless
    first = next((each for each in CANDIDATES.of(call.alias) if each.api_key is None), None)
    assert all(first is not None and (each.provider, each.base_url) == (first.provider, first.base_url) for each in keyless)


@given(policies(), calls())
@settings(max_examples=100, deadline=None)
def test_the_same_call_gets_the_same_verdict(made: list[Policy], call: CallFacts) -> None:
    one, other = word(made, call), word(made, call)
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    a, b = one[1], other[1]
    assert (a.policy, a.action, a.reason, a.plan, a.rejected) == (b.policy, b.action, b.reason, b.plan, b.rejected)
    assert [grams for grams, _ in a.ranked] == [grams for grams, _ in b.ranked]


@given(policies(), calls())
@settings(max_examples=200, deadline=None)
def test_the_first_enforced_policy_that_matches_wins(made: list[Policy], call: CallFacts) -> None:
    def fits(policy: Policy) -> bool:
        when, tags = policy.when, dict(call.tags)
        return (
            (when.alias is None or call.alias in when.alias)
            and (when.input_tokens_at_most is None or call.usage.input_tokens <= when.input_tokens_at_most)
            and all(tags.get(name) in values for name, values in when.tags.items())
        )

    fitting = [policy for policy in made if fits(policy)]
    acting = [policy.name for policy in fitting if policy.mode == "enforce"]
    watching = [policy.name for policy in fitting if policy.mode == "shadow"]
    found = word(made, call)
    assert (None if found is None else found[1].policy) == next(iter([*acting, *watching]), None)


@given(policies(), calls())
@settings(max_examples=200, deadline=None)
def test_what_is_not_acted_on_keeps_every_byte_and_its_plan(made: list[Policy], call: CallFacts) -> None:
    found = word(made, call)
    if found is None or found[1].acts:
        return
    if found[1].mode == "enforce" and found[1].action == "refused":
        return
    ask = parse(CHAT, b'{"model":"large","messages":[], "max_tokens": 99999, "n": 9}')
    decision = decide(call.alias, call.caller, CANDIDATES, seed=call.call_id)
    left = carried_out(ask, decision, found[1])
    assert left.ask is ask
    assert (left.decision.attempts, left.decision.altered) == (call.usual, "")


def grams(verdict: Verdict) -> float:
    """The forecast of who serves."""
    assert verdict.choice is not None
    return next(grams for grams, each in verdict.ranked if each is verdict.choice)


@given(calls(), some_aliases, st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=200, deadline=None)
def test_a_tighter_cap_never_raises_the_grams(call: CallFacts, among: list[str], one: int, other: int) -> None:
    tight, loose = (
        word([Policy(name="p", prefer=Prefer(among=among), apply=Apply(max_output_tokens=most), mode="enforce")], call)
        for most in sorted((one, other))
    )
    assert tight is not None
    assert loose is not None
    assert (tight[1].reason == "no_candidate") == (loose[1].reason == "no_candidate")
    if tight[1].reason == "no_candidate":
        return
    assert grams(tight[1]) <= grams(loose[1]) * (1 + 1e-12)


@given(calls(), some_aliases)
@settings(max_examples=100, deadline=None)
def test_without_requirements_a_call_never_weighs_more_than_at_its_first_deployment(call: CallFacts, among: list[str]) -> None:
    found = word([Policy(name="p", prefer=Prefer(among=among), mode="enforce")], call)
    assert found is not None
    first = found[1].baseline
    if found[1].ranked and first.option.candidate in call.usual:
        assert grams(found[1]) <= first.gpu_j(call.usage) * first.gco2e_per_j


CALL = CallFacts(
    call_id="c",
    alias="large",
    operation="chat",
    weighed_as="chat",
    path="/v1/chat/completions",
    dialect="openai",
    caller=OWN,
    tags=(),
    usage=Usage(input_tokens=500, output_tokens=300, source="estimated"),
    usual=CANDIDATES.of("large"),
)


def verdict_of(call: CallFacts = CALL, **settings: object) -> Verdict:
    found = word([Policy.model_validate({"name": "p", "mode": "enforce", **settings})], call)
    assert found is not None
    return found[1]


def test_a_choice_that_cannot_be_told_from_the_baseline_is_left() -> None:
    near = verdict_of(prefer={"among": ["near"], "confidence_at_least": 0.95})
    assert (near.action, near.reason, near.word, near.apply) == ("passthrough", "not_distinguishable", "none", None)
    assert verdict_of(prefer={"among": ["near"], "confidence_at_least": 0.6}).action == "routed"


def test_the_same_model_in_a_cleaner_grid_is_told_apart_for_what_both_share_cancels() -> None:
    found = verdict_of(prefer={"confidence_at_least": 0.99})
    assert (found.action, str(found.choice and found.choice.option)) == ("routed", "azure/gpt-4o@swedencentral")


def test_what_is_not_lower_stays_under_its_caps() -> None:
    small = replace(CALL, alias="small", usual=CANDIDATES.of("small"))
    found = verdict_of(small, when={"alias": "small"}, prefer={"among": ["owned"]}, apply={"max_output_tokens": 9})
    assert (found.action, found.reason, found.word, found.apply is not None) == ("kept", "not_lower", "p", True)


def test_what_must_leave_and_cannot_be_told_apart_is_refused_where_the_policy_says_so() -> None:
    found = verdict_of(require={"region_in": "polandcentral"}, prefer={"lowest": "gco2e", "confidence_at_least": 0.99}, otherwise="refuse")
    assert (found.action, found.reason, found.plan) == ("refused", "not_distinguishable", ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shows": True}, "azure/phi-4@swedencentral: vision"),
        ({"lets_hear": True}, "azure/phi-4@swedencentral: hearing_unknown"),
        ({"usage": Usage(input_tokens=200_000, output_tokens=10, source="estimated")}, "azure/phi-4@swedencentral: context_tokens"),
        ({"weighed_as": "embeddings"}, "azure/phi-4@swedencentral: operation"),
        ({"caller": Caller(id="k", models=frozenset({"large"}))}, "azure/phi-4@swedencentral: model_not_allowed"),
    ],
)
def test_what_a_model_or_key_cannot_do_is_said(changes: dict[str, object], reason: str) -> None:
    found = verdict_of(replace(CALL, **changes), prefer={"among": ["open"]})  # type: ignore[arg-type]  # fields that exist
    assert reason in found.rejected
    assert found.action == "kept"


def test_a_locked_policy_is_for_callers_who_say_no_too_and_an_unknown_name_is_refused() -> None:
    made = [Policy(name="a", mode="enforce"), Policy(name="b", mode="enforce", locked=True)]
    rules = Rules(made)
    names = {asked: getattr(rules.first(replace(CALL, asked=asked)), "named", None) for asked in (None, "off", "a", "b")}
    assert names == {None: "a", "off": "b", "a": "a", "b": "b"}
    with pytest.raises(BadRequest, match="known: a, b"):
        rules.first(replace(CALL, asked="c"))


def test_the_share_that_is_held_back_is_drawn_by_call_and_apart_for_each_policy() -> None:
    one, other = Rule(Policy(name="one", holdback=0.2)), Rule(Policy(name="other", holdback=0.2))
    ids = [f"call-{number}" for number in range(10_000)]
    assert sum(map(one.holds_back, ids)) / len(ids) == pytest.approx(0.2, abs=0.015)
    assert sum(one.holds_back(each) and other.holds_back(each) for each in ids) / len(ids) == pytest.approx(0.04, abs=0.01)
    assert not any(map(Rule(Policy(name="one")).holds_back, ids))
    assert all(map(Rule(Policy(name="one", holdback=1)).holds_back, ids))


def test_equals_share_the_calls_out_by_weight() -> None:
    twin = azure("gpt-4o", "swedencentral", weight=3)
    made = Settings.model_validate(
        {"models": {"a": {"deployments": [twin, {**twin, "weight": 1, "api_base": "https://other.example/v1"}]}}}
    )
    candidates = candidates_from(made, TABLES.places)
    policy = Policy(name="p", prefer=Prefer(), mode="enforce")
    found = policies_from(made.model_copy(update={"policies": [policy]}), TABLES, candidates, SCALES)
    assert found is not None
    first = []
    for number in range(2000):
        call = replace(CALL, alias="a", call_id=f"{number}", usual=candidates.of("a"))
        rule = found.rules.first(call)
        assert rule is not None
        for option in found.shortlists.missing(rule, call):
            SCALES.prepare(option.candidate, option.model, "chat")
        first.append(judge(rule, call, found.shortlists.of(rule, call)).plan[0] is candidates.of("a")[0])
    assert sum(first) / len(first) == pytest.approx(0.75, abs=0.04)
