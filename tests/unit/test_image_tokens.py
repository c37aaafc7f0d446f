"""Pictures that a language model writes as tokens. It must never read a benchmark."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.tables import load_tables
from estimators import Estimate, Usage, prepare
from estimators.energy import call_variances
from estimators.image_token_counts import TABLE_OF_FAMILY, ImageTokenTable
from estimators.physics_call import call_energy
from estimators.token_energy import TokenEnergy
from estimators.usage import Media
from tests.weighing_samples import US, shipped_factors

CATALOGUE = load_tables().catalogue
SQUARE = Media(images=1, width=1024, height=1024, quality="medium")


def weighed(usage: Usage, model: str = "gpt-image-1", operation: str = "images") -> Estimate:
    return prepare(CATALOGUE.resolve(model).card, US, shipped_factors(), operation=operation).estimate(usage)


def picture(**changes: object) -> Usage:
    return Usage(input_tokens=50, media=replace(SQUARE, **changes))  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("quality", "width", "height", "tokens"),
    [
        ("low", 1024, 1024, 272),
        ("low", 1024, 1536, 408),
        ("low", 1536, 1024, 400),
        ("medium", 1024, 1024, 1056),
        ("standard", 1024, 1024, 1056),
        ("medium", 1024, 1536, 1584),
        ("high", 1536, 1024, 6208),
        ("hd", 1024, 1024, 4160),
    ],
)
def test_tokens_by_size_and_quality_are_those_of_the_providers_table(quality: str, width: int, height: int, tokens: int) -> None:
    one = ImageTokenTable("gpt-image", shipped_factors()).of(quality, width, height)
    assert (one.tokens.value, one.tokens.low, one.tokens.high, one.known) == (tokens, tokens, tokens, True)
    assert one.pixels == width * height


def test_every_token_billed_family_has_cards_and_a_table() -> None:
    for family in TABLE_OF_FAMILY:
        cards = [card for card in CATALOGUE.cards() if card.family == family]
        assert cards, family
        assert all("images" in card.operations for card in cards), family
        assert ImageTokenTable(family, shipped_factors()).of(None, None, None).tokens.value > 100


def test_a_gemini_picture_has_the_same_tokens_in_every_shape() -> None:
    table = ImageTokenTable("gemini-image", shipped_factors())
    assert {table.of(None, *size).tokens.value for size in ((1024, 1024), (1344, 768), (None, None))} == {1290}
    newer = ImageTokenTable("gemini-3-image", shipped_factors())
    assert newer.of(None, 1024, 1024).tokens.value == 1120
    assert 1900 < newer.of(None, 4096, 4096).tokens.value < 2600, "2,000 to 2,520 at 4K"


def test_a_size_outside_the_table_follows_the_providers_calculator() -> None:
    table = ImageTokenTable("gpt-image-2", shipped_factors())
    assert table.of("high", 1024, 1024).tokens.value == 7024
    assert table.of("high", 3584, 2048).tokens.value == pytest.approx(12329, rel=0.2)


def test_a_picture_is_its_tokens_and_its_decoder_worked_by_hand() -> None:
    card, factors = CATALOGUE.resolve("gpt-image-1").card, shipped_factors()
    tokens = TokenEnergy(call_energy(card, factors, "typical"), call_variances(factors))
    by_hand = tokens.gpu_energy_j(Usage(input_tokens=50, output_tokens=1056)).mean + factors["image_tokens.decoder_j_per_megapixel"].value
    found = prepare(card, US, factors, operation="images").gpu_energy_j(picture())
    assert found.mean == pytest.approx(by_hand, rel=1e-9)


def test_the_providers_token_count_goes_before_the_table_and_is_counted_once() -> None:
    stated = weighed(Usage(input_tokens=50, output_tokens=1056, image_output_tokens=1056, media=SQUARE))
    from_table = weighed(picture())
    assert stated.gco2e.mean == pytest.approx(from_table.gco2e.mean, rel=1e-9)
    with_partial_images = weighed(Usage(input_tokens=50, output_tokens=1356, image_output_tokens=1356, media=SQUARE))
    assert stated.gco2e.mean < with_partial_images.gco2e.mean


def test_quality_size_and_number_raise_the_weight_in_order() -> None:
    by_quality = [weighed(picture(quality=word)).gco2e.mean for word in ("low", "medium", "high")]
    assert by_quality == sorted(by_quality)
    assert by_quality[2] > 5 * by_quality[0]
    assert weighed(picture(height=1536)).gco2e.mean > weighed(picture()).gco2e.mean
    assert weighed(picture(images=4)).gco2e.mean > 3.9 * weighed(picture()).gco2e.mean


def test_a_smaller_model_weighs_less() -> None:
    assert weighed(picture(), "gpt-image-1-mini").gco2e.mean < weighed(picture()).gco2e.mean


def test_an_edit_weighs_more_than_a_picture_from_nothing() -> None:
    edit = replace(picture(), input_images=2)
    assert weighed(edit).gco2e.mean > weighed(picture()).gco2e.mean
    uncounted = weighed(replace(edit, source="estimated"))
    assert uncounted.gco2e.mean > weighed(replace(picture(), source="estimated")).gco2e.mean


def test_an_unknown_quality_is_assumed_widely_and_said() -> None:
    unknown, medium = weighed(picture(quality="auto")), weighed(picture())
    assert "image-tokens-assumed" in unknown.warnings
    assert unknown.quality_parts.usage == "E"
    assert unknown.gco2e.mean == pytest.approx(medium.gco2e.mean, rel=1e-9)
    assert unknown.gco2e.p5 < medium.gco2e.p5
    assert unknown.gco2e.p95 / unknown.gco2e.p5 > medium.gco2e.p95 / medium.gco2e.p5


def test_an_unknown_size_is_said_too() -> None:
    assert "image-tokens-assumed" in weighed(picture(width=None, height=None)).warnings
    assert "image-tokens-assumed" not in weighed(picture()).warnings


def test_a_call_of_which_nothing_is_known_made_one_picture() -> None:
    found = weighed(Usage())
    assert {"image-count-assumed", "image-tokens-assumed"} <= set(found.warnings)
    assert found.gco2e.mean > 0
    assert found.quality_parts.usage == "E"


def test_in_a_chat_text_alone_is_weighed_as_tokens_and_a_picture_more() -> None:
    text = Usage(input_tokens=50, output_tokens=1290)
    chat = weighed(text, "gemini-2.5-flash-image", "chat")
    assert chat.method == "image_tokens"
    plain = prepare(CATALOGUE.resolve("gemini-2.5-flash-image").card, US, shipped_factors(), method="tokens").estimate(text)
    assert chat.gco2e == plain.gco2e
    drawn = weighed(replace(text, image_output_tokens=1290), "gemini-2.5-flash-image", "chat")
    assert drawn.gco2e.mean > chat.gco2e.mean


def test_a_model_that_bills_by_pixels_is_another_methods() -> None:
    found = prepare(CATALOGUE.resolve("stable-diffusion-3.5-large").card, US, shipped_factors(), operation="images").estimate(picture())
    assert found.method != "image_tokens"


def test_an_image_token_picture_is_tier_d_and_wide() -> None:
    found = weighed(picture())
    assert found.quality_parts.model == "D"
    assert found.gco2e.p95 / found.gco2e.p5 > 10


def test_the_coefficient_of_an_image_is_that_of_a_picture() -> None:
    prepared = prepare(CATALOGUE.resolve("gpt-image-1").card, US, shipped_factors(), operation="images")
    per_unit = prepared.coefficients.facility_wh
    assert per_unit.image > 1000 * per_unit.output_token
    assert per_unit.image < weighed(picture()).facility_energy_wh.p95


@settings(deadline=None)
@given(
    st.sampled_from(("gpt-image-1", "gpt-image-2", "gemini-2.5-flash-image", "gemini-3-pro-image")),
    st.sampled_from((None, "low", "medium", "high", "auto", "odd")),
    st.none() | st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    st.integers(0, 10),
    st.integers(0, 20_000),
    st.integers(0, 4),
)
def test_every_picture_is_finite_and_one_more_never_weighs_less(
    model: str, quality: str | None, size: tuple[int, int] | None, images: int, tokens: int, inputs: int
) -> None:
    width, height = size or (None, None)
    usage = Usage(output_tokens=tokens, input_images=inputs, media=Media(images=images, width=width, height=height, quality=quality))
    prepared = prepare(CATALOGUE.resolve(model).card, US, shipped_factors(), operation="images")
    found = prepared.estimate(usage).gco2e
    assert 0 < found.p5 <= found.p50 <= found.p95 < math.inf
    assert found.p50 <= found.mean
    media = usage.media
    assert media is not None
    if images:
        assert prepared.estimate(replace(usage, media=replace(media, images=images + 1))).gco2e.mean >= found.mean
    assert prepared.estimate(replace(usage, input_images=inputs + 1)).gco2e.mean > found.mean
