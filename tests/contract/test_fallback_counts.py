"""What is counted when a provider tells nothing, or tells it in several places: texts, pictures shown and drawn, words written down."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.simulate.picture import draw
from tests.contract.case import compact, event
from tests.contract.endpoint_cases import DRAWN, IMAGES, PNG, TRANSCRIPTIONS, form, wav_of
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, scripted_upstream, streamed, whole
from tests.contract.test_endpoints import holds, only_row
from tests.unit.test_count_tokens import KNOWN, TEXTS, WEATHER


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("counts"), upstream.url) as running:
        yield running


def said(text: str, model: str) -> bytes:
    return compact({"id": "c", "object": "chat.completion", "model": model, "choices": [{"index": 0, "message": {"content": text}}]})


def chunks(text: str, model: str) -> list[bytes]:
    parts = [text[at : at + 5] for at in range(0, len(text), 5)]
    events = [event({"model": model, "choices": [{"index": 0, "delta": {"content": part}}]}, named=False) for part in parts]
    return [*events, b"data: [DONE]\n\n"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "mistral-small-latest", "deepseek-chat"])
@pytest.mark.parametrize("language", TEXTS)
def test_texts_are_counted_as_their_provider_would(
    upstream: ScriptedUpstream, made: Proxy, model: str, language: str, stream: bool
) -> None:
    text, known = TEXTS[language], KNOWN[model][list(TEXTS).index(language)]
    upstream.answers(*(streamed(*chunks(text, model)) if stream else whole(said(text, model))))
    answer = made.chat({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]})
    row = only_row(made, answer.ours["call-id"])
    holds(row, {"output_tokens": known, "input_tokens": known + 3 + 1 + 3, "usage_source": "counted"})


def test_the_served_model_says_whose_tokens_count(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(said(TEXTS["ja"], "gpt-4-0613")))
    answer = made.chat({"model": "house-model", "messages": [{"role": "user", "content": TEXTS["ja"]}]})
    assert only_row(made, answer.ours["call-id"])["output_tokens"] == KNOWN["gpt-4"][list(TEXTS).index("ja")]


def test_tools_and_pictures_of_a_prompt_are_counted(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(said("Warm.", "gpt-4o")))
    shown = "data:image/png;base64," + base64.b64encode(draw("seen", 512, 512)).decode()
    parts: list[dict[str, Any]] = [{"type": "text", "text": "Describe it."}, {"type": "image_url", "image_url": {"url": shown}}]
    tools = [{"type": "function", "function": WEATHER}]
    answer = made.chat({"model": "gpt-4o", "messages": [{"role": "user", "content": parts}], "tools": tools})
    row = only_row(made, answer.ours["call-id"])
    holds(row, {"image_input_tokens": 255, "input_images": 1})
    assert row["input_tokens"] == 255 + 3 + 3 + 1 + 3 + 63 + 9  # picture, text, message, role, reply, tools, their frame


def test_pictures_that_tell_no_usage_are_counted_by_quality_size_and_partials(upstream: ScriptedUpstream, made: Proxy) -> None:
    asked = {"model": "gpt-image-1", "prompt": "A jumper", "n": 2, "size": "1024x1536", "quality": "medium"}
    upstream.answers(*whole(compact({"created": 1, "data": [{"b64_json": PNG}, {"b64_json": PNG}]})))
    answer = made.post(IMAGES.path, asked)
    holds(only_row(made, answer.ours["call-id"]), {"output_tokens": 2 * 1584, "image_output_tokens": 2 * 1584, "media_images": 2})
    upstream.answers(*streamed(event({"type": "image_generation.completed", "b64_json": PNG})))
    answer = made.post(IMAGES.path, {**asked, "n": 1, "stream": True, "partial_images": 3})
    holds(only_row(made, answer.ours["call-id"]), {"output_tokens": 1584 + 300, "media_images": 1})


def test_the_usage_of_each_of_several_streamed_pictures_counts(upstream: ScriptedUpstream, made: Proxy) -> None:
    usage = {"input_tokens": 9, "output_tokens": 1056, "total_tokens": 1065, "input_tokens_details": {"text_tokens": 7, "image_tokens": 2}}
    done = [event({"type": "image_generation.completed", "b64_json": PNG, **DRAWN, "usage": usage}) for _ in range(3)]
    upstream.answers(*streamed(*done))
    answer = made.post(IMAGES.path, {"model": "gpt-image-1", "prompt": "x", "n": 3, "stream": True})
    row = only_row(made, answer.ours["call-id"])
    holds(row, {"input_tokens": 27, "image_input_tokens": 6, "output_tokens": 3168, "image_output_tokens": 3168, "media_images": 3})


def test_what_a_drawing_as_text_took_counts_beside_the_pictures(upstream: ScriptedUpstream, made: Proxy) -> None:
    reply = json.loads(IMAGES.answer)
    upstream.answers(*whole(compact({**reply, "svg_usage": {"input_tokens": 20, "output_tokens": 700, "total_tokens": 720}})))
    row = only_row(made, made.post(IMAGES.path, IMAGES.ask).ours["call-id"])
    holds(row, {"input_tokens": 70, "output_tokens": 9020, "image_output_tokens": 8320})


def test_a_streamed_transcript_without_usage_has_its_words_and_seconds_counted(upstream: ScriptedUpstream, made: Proxy) -> None:
    words = TEXTS["fr"]
    parts = [event({"type": "transcript.text.delta", "delta": words[at : at + 9]}, named=False) for at in range(0, len(words), 9)]
    upstream.answers(*streamed(*parts, event({"type": "transcript.text.done", "text": words}, named=False)))
    body = form({"model": "gpt-4o-transcribe", "stream": "true"}, (("file", wav_of(2.0)),))
    answer = made.send("POST", TRANSCRIPTIONS.path, body, TRANSCRIPTIONS.headers)
    row = only_row(made, answer.ours["call-id"])
    holds(row, {"output_tokens": KNOWN["gpt-4o"][0], "media_audio_input_seconds": 2.0, "usage_source": "counted"})


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("/v1/chat/completions", {"messages": [], "max_tokens": 999_999_999}),
        ("/v1/chat/completions", {"messages": [], "max_tokens": 999_999_999, "n": 999_999_999}),
        ("/v1/images/generations", {"prompt": "A jumper", "n": 99_999}),
        ("/v1/images/generations", {"prompt": "A jumper", "size": "99999x99999"}),
        ("/v1/images/generations", {"prompt": "A jumper", "width": 99_999, "height": 99_999, "steps": 99_999}),
        ("/v1/videos", {"prompt": "A jumper", "size": "99999x99999"}),
    ],
)
def test_what_nobody_saw_does_not_weigh_what_a_request_claims(
    upstream: ScriptedUpstream, made: Proxy, path: str, claims: dict[str, Any]
) -> None:
    upstream.answers(RESET)
    assert made.post(path, {"model": "some-model", **claims}).status == 502
    assert 0 < made.calls()[-1]["gco2e"] < 100_000
