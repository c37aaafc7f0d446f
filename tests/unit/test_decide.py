"""The plan of a call follows from the configuration and its id alone: order first, then weight, then what the caller may spend."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from config.tables import load_tables
from proxy.call import Caller
from proxy.errors import GrammageError, Unauthorized
from proxy.policy.candidates import Candidates, candidates_from
from proxy.policy.decide import Decision, decide

PLACES = load_tables().places
OWN = Caller(id="someone")
ISSUED = Caller(id="studio", forwards_own_key=False)


def candidates(*deployments: Mapping[str, object]) -> Candidates:
    rows = [{"provider": "openai", "api_key": "k", "model": f"m{number}", **each} for number, each in enumerate(deployments)]
    return candidates_from(Settings.model_validate({"models": {"a": {"deployments": rows}}}), PLACES)


def turn(decision: Decision) -> list[str]:
    return [str(each.model) for each in decision.attempts]


def test_one_deployment_is_decided_once_for_all_calls() -> None:
    row = candidates({})
    assert decide("a", OWN, row, seed="1") is decide("a", OWN, row, seed="2")


def test_the_same_id_gives_the_same_plan() -> None:
    row = candidates({}, {}, {})
    assert all(decide("a", OWN, row, seed=f"{n}").attempts == decide("a", OWN, row, seed=f"{n}").attempts for n in range(50))


def test_lower_orders_come_first_however_they_are_written() -> None:
    row = candidates({"order": 2}, {"order": 0}, {"order": 1, "weight": 1000})
    assert {tuple(turn(decide("a", OWN, row, seed=f"{n}"))) for n in range(200)} == {("m1", "m2", "m0")}


def test_calls_are_shared_out_by_weight() -> None:
    row, calls = candidates({"weight": 6}, {"weight": 3}, {"weight": 1}), 20_000
    first = Counter(turn(decide("a", OWN, row, seed=f"call-{n}"))[0] for n in range(calls))
    assert [first[name] / calls for name in ("m0", "m1", "m2")] == pytest.approx([0.6, 0.3, 0.1], abs=0.015)


def test_what_a_fallen_deployment_leaves_is_shared_out_by_weight_too() -> None:
    row, calls = candidates({"weight": 6}, {"weight": 3}, {"weight": 1}), 20_000
    plans = [turn(decide("a", OWN, row, seed=f"call-{n}")) for n in range(calls)]
    second = Counter(plan[1] for plan in plans if plan[0] == "m0")
    assert second["m1"] / second.total() == pytest.approx(0.75, abs=0.02)


def test_weight_zero_is_a_fallback_only() -> None:
    row = candidates({"weight": 0}, {"weight": 0.001}, {"weight": 0})
    assert {tuple(turn(decide("a", OWN, row, seed=f"{n}"))) for n in range(500)} == {("m1", "m0", "m2")}


def test_a_callers_own_key_goes_only_to_the_provider_that_it_was_meant_for() -> None:
    keyless = {"api_key": None}
    row = candidates(keyless, {"provider": "mistral", **keyless}, {"provider": "mistral"}, keyless)
    assert all(set(turn(decide("a", OWN, row, seed=f"{n}"))) == {"m0", "m2", "m3"} for n in range(20))
    decision = decide("a", ISSUED, row, seed="1")
    assert (turn(decision), decision.reasons) == (["m2"], ("openai: no_key", "mistral: no_key", "openai: no_key"))


def test_credentials_among_params_are_spent_for_callers_with_a_key_of_ours() -> None:
    watsonx = {"provider": "watsonx", "api_key": None, "params": {"project_id": "p", "zen_api_key": "k"}}
    assert turn(decide("a", ISSUED, candidates(watsonx), seed="1")) == ["m0"]
    with pytest.raises(Unauthorized):
        decide("a", ISSUED, candidates({**watsonx, "params": {"project_id": "p", "max_tokens": 5}}), seed="1")


def test_nothing_to_spend_is_refused() -> None:
    with pytest.raises(Unauthorized):
        decide("a", ISSUED, candidates({"api_key": None}, {"api_key": None}), seed="1")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e6), st.booleans()), min_size=1, max_size=6),
    st.text(max_size=40),
    st.booleans(),
)
def test_every_usable_deployment_is_in_the_plan_once_by_order(rows: list[tuple[int, float, bool]], seed: str, own: bool) -> None:
    known = candidates(*({"order": order, "weight": weight, "api_key": "k" if keyed else None} for order, weight, keyed in rows))
    caller = OWN if own else ISSUED
    usable = [number for number, (_, _, keyed) in enumerate(rows) if keyed or own]
    try:
        plan = decide("a", caller, known, seed=seed).attempts
    except GrammageError:
        assert not usable
        return
    assert sorted(int(str(each.model)[1:]) for each in plan) == usable
    orders = [each.deployment.order for each in plan]
    assert orders == sorted(orders)


def test_a_callers_key_for_one_provider_does_not_go_to_a_cloud_that_is_asked_on_the_wire() -> None:
    cloud = {"provider": "bedrock", "dialects": ["openai"], "api_base": "https://bedrock.example/openai/v1", "api_key": None}
    row = candidates({"api_key": None}, cloud)
    assert turn(decide("a", OWN, row, seed="1")) == ["m0"]
