"""A difference is explained without a rest, and a change of one factor is told as that factor's alone."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.compare_queries import Pair, Side
from proxy.restate.explain import FACTORS, MEANING, effects, explain

RATIOS = {"gpu_time": 2.0, "power": 0.3, "pue": 1.2, "intensity": 0.4, "embodied": 0.05}
FIGURE = st.floats(1e-6, 1e6)


def side(method: str = "tokens@1", profile: str = "sci-consumer", beyond: float = 0.0, ratios: dict[str, float] | None = None) -> Side:
    each = RATIOS | (ratios or {})
    it_wh = each["gpu_time"] * each["power"]
    facility_wh = it_wh * each["pue"]
    operational, embodied = facility_wh * each["intensity"], each["gpu_time"] * each["embodied"]
    lines = {
        "gpu_seconds": each["gpu_time"],
        "it_energy_wh": it_wh,
        "facility_energy_wh": facility_wh,
        "operational_gco2e": operational,
        "embodied_gco2e": embodied,
        "gco2e": operational + embodied + beyond,
    }
    return Side(method=method, profile=profile, lines=lines)


def pair(a: Side | None, b: Side | None, attempts: int = 3) -> Pair:
    return Pair(provider="p", model="m", zone="FR", attempts=attempts, a=a, b=b)


@pytest.mark.parametrize("factor", RATIOS)
def test_a_change_of_one_factor_is_that_factors_alone(factor: str) -> None:
    found = explain([pair(side(), side(ratios={factor: RATIOS[factor] * 1.7}))])
    others = [grams for name, grams in found.by_factor.items() if name != factor]
    assert found.by_factor[factor] == pytest.approx(found.difference, rel=1e-12)  # type: ignore[index]  # a factor's name
    assert others == pytest.approx([0.0] * len(others), abs=1e-12)


@given(st.tuples(*[FIGURE] * 5), st.tuples(*[FIGURE] * 5), FIGURE, FIGURE)
def test_the_effects_add_up_to_the_difference(a: tuple[float, ...], b: tuple[float, ...], beyond_a: float, beyond_b: float) -> None:
    one, other = (side(beyond=beyond, ratios=dict(zip(RATIOS, each, strict=True))) for each, beyond in ((a, beyond_a), (b, beyond_b)))
    found = explain([pair(one, other)])
    scale = abs(found.a_gco2e) + abs(found.b_gco2e)
    assert math.fsum(found.by_factor.values()) == pytest.approx(found.difference, abs=1e-9 * scale)


def test_swapping_the_two_turns_every_effect_round() -> None:
    a, b = side(), side(ratios={"gpu_time": 3.0, "pue": 1.1, "intensity": 0.9})
    there, back = effects(pair(a, b)), effects(pair(b, a))
    assert {factor: -grams for factor, grams in there.items()} == pytest.approx(back)


def test_another_method_another_boundary_and_attempts_of_one_alone_have_lines_of_their_own() -> None:
    pairs = [
        pair(side(), side(method="ecologits@1", ratios={"gpu_time": 9.0})),
        pair(side(), side(method="tokens@2")),
        pair(side(), side(profile="ghgp-cat1", beyond=0.5)),
        pair(side(), side(beyond=0.25)),
        pair(None, side(), 5),
        pair(side(), None, 7),
    ]
    found = explain(pairs)
    assert (found.attempts, found.only_b, found.only_a) == (12, 5, 7)
    assert found.by_factor["boundary"] == pytest.approx(0.5)
    assert found.by_factor["beyond_serving"] == pytest.approx(0.25)
    assert found.by_factor["coverage"] == pytest.approx(0.0, abs=1e-12)
    assert math.fsum(found.by_factor.values()) == pytest.approx(found.difference, rel=1e-12)


def test_lines_that_are_not_known_or_nothing_leave_no_rest() -> None:
    unknown = side()
    without = replace(unknown, lines={**unknown.lines, "gpu_seconds": None, "it_energy_wh": 0.0})
    found = explain([pair(unknown, without), pair(without, side(ratios={"intensity": 0.8})), pair(side(ratios={"intensity": 0.0}), side())])
    assert math.fsum(found.by_factor.values()) == pytest.approx(found.difference, rel=1e-12)


def test_nothing_to_explain_is_nothing() -> None:
    found = explain([])
    assert (found.difference, found.by_factor) == (0.0, {})
    assert set(MEANING) == set(FACTORS)
