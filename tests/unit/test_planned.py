"""A plan becomes an operation and a usage. It must never become a weight without the number that decides it."""

import pytest

from config.model_card import ModelCard
from config.tables import load_tables
from estimators.planned import OPERATIONS, PlanIncomplete, Planned, operation_of, usage_of
from estimators.usage import Media

CATALOGUE = load_tables().catalogue


def card(name: str) -> ModelCard:
    return CATALOGUE.resolve(name).card


@pytest.mark.parametrize(
    ("model", "planned", "operation"),
    [
        ("gpt-4o", Planned(), "chat"),
        ("starcoder2-15b", Planned(), "completions"),
        ("text-embedding-3-small", Planned(), "embeddings"),
        ("omni-moderation-latest", Planned(), "moderation"),
        ("gpt-image-1", Planned(), "images"),
        ("sora-2", Planned(), "video"),
        ("whisper-1", Planned(), "audio"),
        ("gemini-2.5-flash-image", Planned(), "chat"),
        ("gemini-2.5-flash-image", Planned(images=2), "images"),
        ("gemini-2.5-flash-image", Planned(quality="high"), "images"),
        ("voxtral-mini", Planned(), "chat"),
        ("voxtral-mini", Planned(audio_seconds=9.0), "audio"),
        ("gpt-4o", Planned(images=2), "chat"),
        ("tts-1", Planned(operation="speech"), "audio"),
        ("whisper-1", Planned(operation="translation"), "audio"),
        ("gpt-4o", Planned(operation="embeddings"), "embeddings"),
    ],
)
def test_the_operation_is_named_or_suggested_or_what_the_model_does(model: str, planned: Planned, operation: str) -> None:
    assert operation_of(planned, card(model)) == operation


@pytest.mark.parametrize(
    ("model", "planned", "field"),
    [
        ("gpt-4o", Planned(), "input_tokens"),
        ("gpt-4o", Planned(input_tokens=1), "output_tokens"),
        ("gpt-4o", Planned(input_tokens=1, output_tokens=1, cached_input_tokens=2), "cached_input_tokens"),
        ("text-embedding-3-small", Planned(), "input_tokens"),
        ("omni-moderation-latest", Planned(), "input_tokens"),
        ("sora-2", Planned(), "video_seconds"),
        ("tts-1", Planned(), "audio_seconds"),
        ("whisper-1", Planned(operation="transcription"), "audio_seconds"),
        ("gpt-image-1", Planned(width=1024), "width"),
        ("gpt-4o", Planned(operation="dance", input_tokens=1, output_tokens=1), "operation"),
    ],
)
def test_a_plan_without_the_number_that_decides_is_refused_by_its_field(model: str, planned: Planned, field: str) -> None:
    with pytest.raises(PlanIncomplete) as caught:
        usage_of(planned, card(model))
    assert caught.value.field == field
    assert str(caught.value)


def test_seconds_are_heard_by_a_model_that_listens_and_spoken_by_one_that_speaks() -> None:
    plan = Planned(audio_seconds=12.0)
    assert usage_of(plan, card("whisper-1")).media == Media(audio_input_seconds=12.0)
    assert usage_of(plan, card("tts-1")).media == Media(audio_output_seconds=12.0)
    assert usage_of(Planned(audio_seconds=12.0, operation="transcription"), card("tts-1")).media == Media(audio_input_seconds=12.0)
    assert usage_of(Planned(characters=80), card("tts-1")).media == Media(characters=80)


def test_one_picture_and_one_clip_are_meant_where_no_number_stands() -> None:
    picture = usage_of(Planned(width=1024, height=1536, quality="hd"), card("gpt-image-1")).media
    assert picture == Media(images=1, width=1024, height=1536, quality="hd")
    clip = usage_of(Planned(video_seconds=5.0, width=1280, height=720), card("sora-2")).media
    assert clip == Media(clips=1, video_seconds=5.0, width=1280, height=720)


def test_what_only_reads_writes_nothing_whatever_the_plan_says() -> None:
    assert usage_of(Planned(input_tokens=10, output_tokens=99), card("text-embedding-3-small")).output_tokens == 0
    assert usage_of(Planned(input_images=3), card("embed-v4.0")).input_images == 3


def test_every_operation_of_the_catalogue_can_be_planned() -> None:
    assert {name for one in CATALOGUE.cards() for name in one.operations} <= set(OPERATIONS)
