"""A grid near its threshold does not flap from one side to the other."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.hysteresis import Side, side_of


def after(*figures: float, threshold: float = 100.0) -> list[bool]:
    """Whether the grid counts as below after each figure."""
    side: Side | None = None
    answers = []
    for at_s, figure in enumerate(figures):
        side = side_of(side, figure, float(at_s), threshold=threshold)
        answers.append(side.is_below)
    return answers


def test_a_grid_stays_on_its_side_until_it_leaves_it_by_a_margin_or_for_three_readings() -> None:
    assert after(100.0) == [True]
    assert after(100.1) == [False]
    assert after(90, 105, 95, 109, 95) == [True] * 5
    assert after(90, 111, 95, 89) == [True, False, False, True]
    assert after(90, 105, 105, 105, 99, 99, 99) == [True, True, True, False, False, False, True]


def test_the_same_reading_seen_again_says_nothing_new() -> None:
    side = side_of(None, 90, 0, threshold=100)
    for _ in range(9):
        side = side_of(side, 105, 1, threshold=100)
    assert (side.is_below, side.against) == (True, 1)


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=60), st.floats(1, 1000))
def test_it_never_changes_side_more_often_than_the_bare_threshold_would(figures: list[float], threshold: float) -> None:
    bare = [figure <= threshold for figure in figures]
    kept = after(*figures, threshold=threshold)
    assert kept[0] == bare[0]
    assert _changes(kept) <= _changes(bare)


def _changes(answers: list[bool]) -> int:
    return sum(one != other for one, other in pairwise(answers))
