"""A change is explained in full: by hand-made cases, and whatever the numbers are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.cells import Cell
from proxy.reports.change import EFFECTS, explain
from proxy.reports.lmdi import Term, decompose, logarithmic_mean
from tests.report_cells import cell

ABC = ("a", "b", "c")
FACTOR = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))


def test_one_factor_that_doubles_explains_all() -> None:
    parts = decompose([Term((10.0, 0.5, 2.0), (20.0, 0.5, 2.0), ABC)], ABC)
    assert parts == pytest.approx({"a": 10.0, "b": 0.0, "c": 0.0})


def test_two_factors_that_change_alike_share_the_change() -> None:
    parts = decompose([Term((2.0, 3.0), (4.0, 6.0), ("a", "b"))], ("a", "b"))
    assert parts == pytest.approx({"a": 9.0, "b": 9.0})


def test_opposite_factors_cancel_without_a_rest() -> None:
    parts = decompose([Term((2.0, 3.0), (3.0, 2.0), ("a", "b"))], ("a", "b"))
    assert parts["a"] == pytest.approx(-parts["b"])
    assert parts["a"] == pytest.approx(6 * math.log(1.5))


def test_what_appears_or_goes_belongs_to_the_first_factor_that_is_nothing() -> None:
    terms = [Term((5.0, 0.0, 0.0), (5.0, 0.4, 2.0), ABC), Term((5.0, 0.6, 3.0), (5.0, 0.6, 0.0), ABC)]
    assert decompose(terms, ABC) == pytest.approx({"a": 0.0, "b": 4.0, "c": -9.0})


def test_nothing_on_both_sides_explains_nothing() -> None:
    assert decompose([Term((0.0, 1.0), (0.0, 2.0), ("a", "b"))], ("a", "b")) == {"a": 0.0, "b": 0.0}


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_the_logarithmic_mean_lies_between_its_numbers(a: float, b: float) -> None:
    mean = logarithmic_mean(a, b)
    assert min(a, b) * (1 - 1e-9) <= mean <= max(a, b) * (1 + 1e-9)
    assert mean == pytest.approx(logarithmic_mean(b, a), rel=1e-9)


@given(st.lists(st.tuples(st.tuples(FACTOR, FACTOR, FACTOR), st.tuples(FACTOR, FACTOR, FACTOR)), max_size=12))
def test_the_parts_are_the_whole_change(pairs: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    parts = decompose([Term(before, now, ABC) for before, now in pairs], ABC)
    change = math.fsum(math.prod(now) for _, now in pairs) - math.fsum(math.prod(before) for before, _ in pairs)
    size = max(1.0, *(math.prod(side) for pair in pairs for side in pair)) if pairs else 1.0
    assert math.fsum(parts.values()) == pytest.approx(change, rel=1e-9, abs=1e-9 * size)


def test_twice_the_calls_is_volume() -> None:
    parts = explain([cell(attempts=10, grams=5.0, tokens=1000)], [cell(attempts=20, grams=10.0, tokens=2000)])
    assert parts == pytest.approx({"volume": 5.0, "mix": 0.0, "length": 0.0, "region": 0.0, "method": 0.0})


def test_longer_calls_are_length() -> None:
    parts = explain([cell(attempts=10, grams=5.0, tokens=1000)], [cell(attempts=10, grams=15.0, tokens=3000)])
    assert parts == pytest.approx({"volume": 0.0, "mix": 0.0, "length": 10.0, "region": 0.0, "method": 0.0})


def test_other_factors_are_method_and_the_same_factors_length() -> None:
    before = cell(attempts=10, grams=5.0, tokens=1000)
    parts = {name: explain([before], [cell(attempts=10, grams=8.0, tokens=1000, factor_set=name)]) for name in ("new", "old")}
    assert parts["new"]["method"] == pytest.approx(3.0)
    assert parts["old"]["length"] == pytest.approx(3.0)


def test_another_model_is_mix() -> None:
    before = [cell(model="large", attempts=10, grams=9.0, tokens=1000), cell(model="small", attempts=10, grams=1.0, tokens=1000)]
    now = [cell(model="large", attempts=5, grams=4.5, tokens=500), cell(model="small", attempts=15, grams=1.5, tokens=1500)]
    parts = explain(before, now)
    assert parts["mix"] == pytest.approx(-4.0)
    assert parts["volume"] == pytest.approx(0.0)


def test_another_zone_is_region_even_where_the_old_one_is_gone() -> None:
    parts = explain([cell(zone="US", attempts=10, grams=9.0, tokens=1000)], [cell(zone="SE", attempts=10, grams=1.0, tokens=1000)])
    assert parts == pytest.approx({"volume": 0.0, "mix": 0.0, "length": 0.0, "region": -8.0, "method": 0.0})


def test_a_period_after_nothing_is_all_volume() -> None:
    assert explain([], [cell(attempts=10, grams=5.0, tokens=1000)])["volume"] == pytest.approx(5.0)


CELLS = st.lists(
    st.builds(
        cell,
        model=st.sampled_from(["m1", "m2", "m3"]),
        zone=st.sampled_from(["US", "SE", "FR"]),
        operation=st.sampled_from(["chat", "images"]),
        factor_set=st.sampled_from(["old", "new"]),
        attempts=st.integers(1, 10_000),
        grams=FACTOR,
        tokens=st.integers(0, 10**7),
        images=st.integers(0, 100),
    ),
    max_size=8,
)


@given(CELLS, CELLS)
def test_whatever_changed_the_effects_add_up_to_it(before: list[Cell], now: list[Cell]) -> None:
    parts = explain(before, now)
    grams = [math.fsum(each.opinions.lines["gco2e"].mean for each in side) for side in (before, now)]
    assert set(parts) == set(EFFECTS)
    assert math.fsum(parts.values()) == pytest.approx(grams[1] - grams[0], rel=1e-9, abs=1e-9 * max(*grams, 1.0))
