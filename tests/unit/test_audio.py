"""Speech heard and spoken. It must never let a call of unknown length weigh nothing."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.factors import Factor, FactorSet
from config.tables import load_tables
from estimators import Estimate, Usage, prepare
from estimators.choose import OPERATING_PRIORS
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.token_energy import TokenEnergy
from estimators.usage import Media, Metered
from tests.weighing_samples import US, shipped_factors

CATALOGUE = load_tables().catalogue


def weighed(usage: Usage, model: str = "whisper-1", operation: str = "audio", prior: str = "typical") -> Estimate:
    return prepare(CATALOGUE.resolve(model).card, US, shipped_factors(), operation=operation, operating_prior=prior).estimate(usage)


def heard(seconds: float) -> Usage:
    return Usage(media=Media(audio_input_seconds=seconds))


def spoken(characters: int) -> Usage:
    return Usage(media=Media(characters=characters))


def test_a_window_of_speech_worked_by_hand() -> None:
    card, factors = CATALOGUE.resolve("whisper-1").card, shipped_factors()
    value = {name: factors[f"audio.{name}"].value for name in ("encoder_params_b", "encoder_param_share", "encoder_overhead")}
    energy = call_energy(card, factors, "typical")
    read = math.ceil(30 * factors["audio.input_tokens_per_s"].value)
    written = math.ceil(30 * factors["audio.text_tokens_per_s"].value)
    tokens = TokenEnergy(energy, call_variances(factors)).gpu_energy_j(Usage(input_tokens=read, output_tokens=written)).mean
    encoder_b = min(1.55 * value["encoder_param_share"], value["encoder_params_b"])
    encoder = 30 * 50 * energy.prefill_mean_j * encoder_b / 1.55 * value["encoder_overhead"]
    found = prepare(card, US, factors, operation="audio").gpu_energy_j(heard(30)).mean
    assert found == pytest.approx(tokens + encoder, rel=1e-9)


def test_an_hour_is_its_windows_and_not_one_long_context() -> None:
    window, hour = weighed(heard(30)).gco2e.mean, weighed(heard(3600)).gco2e.mean
    assert hour == pytest.approx(120 * window, rel=0.02)


def test_a_short_clip_pays_for_the_whole_window_of_the_encoder() -> None:
    assert weighed(heard(1)).gco2e.mean > weighed(heard(30)).gco2e.mean / 30


def test_a_short_clip_lies_in_the_published_order_of_magnitude_where_the_batch_is_small() -> None:
    found = weighed(heard(30), "whisper-large-v3", prior="low_traffic").facility_energy_wh
    assert found.p5 < 0.1
    assert found.p95 > 0.05


def test_the_providers_tokens_go_before_the_rates() -> None:
    counted = Usage(input_tokens=600, audio_input_tokens=600, output_tokens=150)
    found = weighed(counted, "gpt-4o-transcribe")
    assert found.quality_parts.usage == "A"
    assert not [word for word in found.warnings if word.startswith("audio-")]
    assert found.gco2e.mean < weighed(replace(counted, output_tokens=300), "gpt-4o-transcribe").gco2e.mean


def test_larger_speech_models_weigh_more() -> None:
    tiny, turbo, large = (weighed(heard(60), name).gco2e.mean for name in ("whisper-tiny", "whisper-large-v3-turbo", "whisper-large-v3"))
    assert tiny < turbo < large
    plain, high = (weighed(spoken(1000), name).gco2e.mean for name in ("tts-1", "tts-1-hd"))
    assert plain < high
    mini, full = (
        weighed(Usage(input_tokens=500, audio_input_tokens=500, output_tokens=120), name).gco2e.mean
        for name in ("gpt-4o-mini-transcribe", "gpt-4o-transcribe")
    )
    assert mini < full


def test_speech_of_known_seconds_goes_before_its_characters() -> None:
    by_text = weighed(spoken(1500), "tts-1")
    by_time = weighed(Usage(media=Media(characters=1500, audio_output_seconds=100.0)), "tts-1")
    assert "audio-length-from-text" in by_text.warnings
    assert "audio-length-from-text" not in by_time.warnings
    assert by_text.gco2e.mean == pytest.approx(by_time.gco2e.mean, rel=0.02), "15 characters a second"
    assert by_text.gco2e.variance.call > by_time.gco2e.variance.call
    assert by_text.quality_parts.usage == "E"


def test_text_read_aloud_weighs_more_than_the_same_time_written_down() -> None:
    assert weighed(Usage(media=Media(audio_output_seconds=60)), "tts-1").gco2e.mean > weighed(heard(60), "whisper-1").gco2e.mean


def test_a_call_that_says_nothing_weighs_the_usual_length_and_says_so() -> None:
    for model, operation in (("whisper-1", "audio"), ("tts-1", "audio"), ("whisper-1", "transcription"), ("tts-1", "speech")):
        found = weighed(Usage(), model, operation)
        assert "audio-length-unknown" in found.warnings
        assert "operation-not-of-model" not in found.warnings
        assert found.quality_parts.usage == "E"
        assert found.gco2e.p5 > 0
        assert found.gco2e.p95 / found.gco2e.p5 > 100


def test_no_speech_model_is_better_known_than_tier_d() -> None:
    assert CATALOGUE.resolve("whisper-large-v3").card.tier == "C"
    assert weighed(heard(30), "whisper-large-v3").quality_parts.model == "D"
    assert weighed(heard(30), "some-unknown-speech-model").quality_parts.model == "E"


def test_audio_inside_a_chat_is_weighed_by_its_tokens() -> None:
    usage = Usage(input_tokens=200, audio_input_tokens=150, output_tokens=300, audio_output_tokens=250)
    assert weighed(usage, "gpt-4o-audio-preview", "chat").method == "tokens"
    both_ways = weighed(usage, "gpt-realtime")
    assert both_ways.method == "audio"
    assert both_ways.gco2e.mean > 0


def test_the_coefficient_of_a_second_is_that_of_a_minute() -> None:
    card = CATALOGUE.resolve("tts-1").card
    prepared = prepare(card, US, shipped_factors(), operation="audio")
    minute = prepared.gpu_energy_j(Usage(media=Media(audio_output_seconds=60.0)))
    line = prepared.lines.facility_energy_wh.p50
    assert prepared.coefficients.facility_wh.audio_second == pytest.approx(minute.p50 / 60 * line, rel=1e-9)


@settings(deadline=None)
@given(
    st.sampled_from(("whisper-1", "tts-1", "gpt-4o-transcribe", "gpt-realtime", "kokoro-82m")),
    st.none() | st.floats(0, 90_000),
    st.none() | st.floats(0, 90_000),
    st.none() | st.integers(0, 500_000),
    st.integers(0, 50_000),
    st.integers(0, 50_000),
)
def test_every_call_is_finite_and_longer_ones_never_weigh_less(
    model: str, seconds_in: float | None, seconds_out: float | None, characters: int | None, n_in: int, n_out: int
) -> None:
    prepared = prepare(CATALOGUE.resolve(model).card, US, shipped_factors(), operation="audio")
    media = Media(audio_input_seconds=seconds_in, audio_output_seconds=seconds_out, characters=characters)
    usage = Usage(input_tokens=n_in, output_tokens=n_out, media=media)
    found = prepared.estimate(usage).gco2e
    assert 0 < found.p5 <= found.p50 <= found.p95 < math.inf
    assert found.p50 <= found.mean
    if seconds_in:
        longer = replace(usage, media=replace(media, audio_input_seconds=seconds_in * 1.5))
        assert prepared.estimate(longer).gco2e.mean >= found.mean * (1 - 1e-9)
    if seconds_out:
        longer = replace(usage, media=replace(media, audio_output_seconds=seconds_out * 1.5))
        assert prepared.estimate(longer).gco2e.mean >= found.mean * (1 - 1e-9)


class Reading(FactorSet):
    """Factors that note which rows were asked for."""

    def __init__(self, factors: FactorSet) -> None:
        super().__init__(dict(factors), version="test", fingerprint="f" * 64)
        self.read: set[str] = set()

    def __getitem__(self, factor_id: str) -> Factor:
        self.read.add(factor_id)
        return super().__getitem__(factor_id)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()


def test_every_factor_row_of_audio_and_image_tokens_is_read() -> None:
    used = Reading(shipped_factors())
    media = [
        Media(images=1, quality=quality, width=width, height=height)
        for quality in ("low", "medium", "high", None)
        for width, height in ((1024, 1024), (1024, 1536), (1536, 1024))
    ]
    for model in ("gpt-image-1", "gpt-image-2", "gemini-2.5-flash-image", "gemini-3-pro-image"):
        prepared = prepare(CATALOGUE.resolve(model).card, US, used, operation="images", operating_prior=OPERATING_PRIORS[0])
        for one in media:
            prepared.estimate(Usage(media=one))
    prepare(CATALOGUE.resolve("whisper-1").card, US, used, operation="audio")
    rows = {name for name in shipped_factors() if name.startswith(("audio.", "image_tokens."))}
    assert len(rows) > 30
    assert rows - used.read == set()


def test_a_metered_call_assumes_nothing() -> None:
    metered = Usage(metered=Metered(energy_wh=0.01, boundary="gpu", source="neuralwatt"))
    found = weighed(metered)
    assert found.method == "metered"
    assert not [word for word in found.warnings if word.startswith("audio-")]
    assert weighed(Usage()).quality_parts.usage == "E"
