"""The official SDK on each endpoint, over a socket: it reads what the provider wrote, and the footprint beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.endpoint_cases import IMAGES, MODERATION_ASK, MODERATIONS, MP3, PNG, RESPONSES, SPEECH
from tests.contract.proxy_harness import KEY, Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, streamed, whole

PARTS: Any = MODERATION_ASK["input"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("clients"), upstream.url) as running:
        yield running


@pytest.fixture
def client(made: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as opened:
        yield opened


def test_moderations_create(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*whole(MODERATIONS.answer))
    raw = client.moderations.with_raw_response.create(input=PARTS)
    found = raw.parse()
    assert (found.model, found.results[0].flagged) == ("omni-moderation-2024-09-26", False)
    assert float(raw.headers["x-grammage-gco2e"]) > 0
    assert raw.content == MODERATIONS.answer


def test_responses_create(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*whole(RESPONSES.answer))
    response = client.responses.create(**RESPONSES.ask)
    assert response.output_text.startswith("caf\u00e9")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.output_tokens_details.reasoning_tokens) == (
        81,
        1035,
        832,
    )
    assert response.usage.footprint["gco2e"] > 0


def test_responses_stream(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*streamed(*RESPONSES.events))
    with client.responses.create(**RESPONSES.ask, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(RESPONSES.events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert last.response.usage.footprint["gco2e"] > 0


def test_responses_stream_helper(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    steps = [part for part in RESPONSES.events if b"output_text" not in part or b"response.completed" in part.split(b"\n")[0]]
    upstream.answers(*streamed(*steps))
    with client.responses.stream(**RESPONSES.ask) as stream:
        final = stream.get_final_response()
    assert final.output_text.startswith("caf\u00e9")


def test_images_generate(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*whole(IMAGES.answer))
    pictures = client.images.generate(prompt="A merino jumper", model="gpt-image-1", n=2)
    assert [picture.b64_json for picture in pictures.data or []] == [PNG, PNG]
    usage: Any = pictures.usage
    assert usage.output_tokens == 8320
    assert usage.footprint["gco2e"] > 0


def test_images_generate_streamed(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*streamed(*IMAGES.events))
    with client.images.generate(prompt="A merino jumper", model="gpt-image-1", stream=True, partial_images=2) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert last.usage.output_tokens == 6440


def test_audio_speech_create(upstream: ScriptedUpstream, client: openai.OpenAI, tmp_path: Path) -> None:
    upstream.answers(*streamed(MP3[:1000], MP3[1000:], kind=b"audio/mpeg"))
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Warm and light.")
    assert spoken.content == MP3
    assert float(spoken.response.headers["x-grammage-gco2e"]) > 0
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Warm and light.") as streaming:
        streaming.stream_to_file(tmp_path / "speech.mp3")
    assert (tmp_path / "speech.mp3").read_bytes() == MP3


def test_audio_speech_as_events(upstream: ScriptedUpstream, client: openai.OpenAI) -> None:
    upstream.answers(*streamed(*SPEECH.events))
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Warm.", stream_format="sse"
    ) as streaming:
        lines = [line for line in streaming.iter_lines() if line.startswith("data: ")]
    assert len(lines) == len(SPEECH.events)
    assert '"footprint":{' in lines[-1]
