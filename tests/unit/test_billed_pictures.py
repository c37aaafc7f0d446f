"""Pictures that are billed at more than they take are weighed by what they take; nothing else of a usage changes."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators import Estimate, Usage, prepare
from estimators.image_billing import ROW, family_of
from estimators.prepared import Prepared
from proxy.meter.picture_tokens import bills_more_than_computed, picture_tokens
from tests.weighing_samples import CLOSED_FRONTIER, US, shipped_card, shipped_factors, with_factor

MULTIPLIED = (
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o4-mini",
    "codex-mini-latest",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5.2",
    "gpt-6-sol",
)
counts = st.tuples(*(st.integers(0, 60_000),) * 4)


def weighed(usage: Usage, card_id: str = "gpt-4o-mini") -> Estimate:
    return prepare(replace(CLOSED_FRONTIER, id=card_id), US, shipped_factors()).estimate(usage)


def of(text: int, shown: int, cached: int, written: int) -> Usage:
    return Usage(input_tokens=text + shown, image_input_tokens=shown, cached_input_tokens=min(cached, text + shown), output_tokens=written)


def test_a_picture_for_gpt_4o_mini_weighs_what_gpt_4os_tokens_weigh_on_the_same_model() -> None:
    """2833 + 5667 a tile is 33 times 85 + 170."""
    tiles = 4
    billed, computed = of(40, 2833 + tiles * 5667, 0, 100), of(40, 85 + tiles * 170, 0, 100)
    found, alone = weighed(billed), weighed(computed, "house-model")
    assert found.gco2e.mean == pytest.approx(alone.gco2e.mean, rel=0.01)
    assert weighed(billed, "house-model").gco2e.mean > 3 * found.gco2e.mean
    assert found.gco2e.variance.model > alone.gco2e.variance.model
    assert found.gco2e.p5 < alone.gco2e.p5 < alone.gco2e.p95 < found.gco2e.p95


def test_text_alone_weighs_as_it_did() -> None:
    text = of(1000, 0, 300, 200)
    assert weighed(text) == weighed(text, "house-model")


@given(counts, st.sampled_from(("gpt-4o-mini", "gpt-4.1-nano", "gpt-6-sol")), st.integers(0, 3), st.integers(0, 3))
def test_more_of_anything_never_weighs_less_and_a_cached_token_never_more(
    tokens: tuple[int, int, int, int], card_id: str, more: int, which: int
) -> None:
    grown = [*tokens]
    grown[which] += more * 5000
    before, after = weighed(of(*tokens), card_id), weighed(of(*grown), card_id)
    assert 0 < before.gco2e.p5 < before.gco2e.mean < before.gco2e.p95
    for line in ("mean", "p95"):
        one, other = getattr(before.gco2e, line), getattr(after.gco2e, line)
        assert (other <= one * (1 + 1e-9)) if which == 2 else (other >= one * (1 - 1e-9))
    assert weighed(of(*tokens)).gco2e.mean <= weighed(of(*tokens), "house-model").gco2e.mean * (1 + 1e-9)


def test_pictures_that_are_only_numbered_take_their_usual_tokens_undivided() -> None:
    numbered = Usage(input_tokens=1000, input_images=2, output_tokens=10)
    assert weighed(numbered).gco2e == weighed(numbered, "house-model").gco2e


@pytest.mark.parametrize("name", MULTIPLIED)
def test_counting_and_weighing_know_the_same_factor(name: str) -> None:
    family = family_of(shipped_card(name).id)
    assert family is not None
    ratio = shipped_factors()[ROW + family].value
    assert bills_more_than_computed(name)
    computed = 765 if name == "gpt-4o-mini" else (1024 // 32) ** 2
    assert picture_tokens(name, 1024, 1024) / ratio == pytest.approx(computed, rel=0.002)


def test_every_family_that_multiplies_has_a_row_and_the_others_have_none() -> None:
    rows = {name.removeprefix(ROW) for name in shipped_factors() if name.startswith(ROW)}
    assert {family_of(shipped_card(name).id) for name in MULTIPLIED} == rows
    for name in ("gpt-4o", "gpt-5", "gpt-5.1", "o3", "gpt-4.1", "gpt-image-1", "claude-sonnet-4-5", "gemini-2.5-flash", "gpt-oss-120b"):
        assert family_of(shipped_card(name).id) is None
        assert not bills_more_than_computed(name)


def test_the_row_is_what_divides() -> None:
    usage = of(0, 10_000, 0, 0)
    card = replace(CLOSED_FRONTIER, id="gpt-4o-mini")
    grams = [prepare(card, US, with_factor(f"{ROW}gpt_4o_mini", value=value)).estimate(usage).gco2e.mean for value in (20.0, 40.0)]
    assert 1.8 < grams[0] / grams[1] < 2.2


def spent_us(prepared: Prepared, usage: Usage) -> float:
    """Processor time of one estimate, the best of several rounds."""
    best = float("inf")
    for _ in range(7):
        start = time.process_time()
        for _ in range(500):
            prepared.estimate(usage, network_bytes=5000)
        best = min(best, (time.process_time() - start) / 500)
    return best * 1e6


def test_a_call_with_pictures_is_weighed_in_microseconds() -> None:
    prepared = prepare(shipped_card("gpt-4o-mini"), US, shipped_factors())
    assert spent_us(prepared, of(100, 25_501, 0, 200)) < 100, "on a busy machine; about a fifth of that on a free one"
