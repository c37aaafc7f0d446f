"""The official SDK against the simulated provider alone, over a socket: every endpoint it speaks is parsed into the SDK's own types."""

import base64
import io
import urllib.request
import wave
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import TranscriptionVerbose
from pydantic import BaseModel

from proxy.clock import Clock
from proxy.simulate import sound
from proxy.simulate.app import create_simulated_provider
from proxy.simulate.picture import draw
from proxy.simulate.sniff import size_of
from tests.serving import serve

PNG = draw("input", 1024, 1024)
WAV = sound.wav("input", 3.0)
FACTS = "Product: Ridge 3\nMaterial: recycled polyester mesh\nWeight: 280 g"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(create_simulated_provider(clock=Clock())) as base:
        yield base


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def test_a_response_streams_to_the_same_end_as_it_answers_whole(client: OpenAI) -> None:
    whole = client.responses.create(model="sim-large", input="Explain tea", instructions="Be brief.")
    with client.responses.stream(model="sim-large", input="Explain tea", instructions="Be brief.") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == whole.output_text == final.output_text
    assert final.usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens


class Copy(BaseModel):
    headline: str
    weight: str


def test_a_response_fills_a_schema_and_calls_a_function(client: OpenAI) -> None:
    parsed = client.responses.parse(model="sim-large", input=FACTS, text_format=Copy).output_parsed
    assert parsed is not None
    assert parsed.weight == "280 g"
    parameters = {"type": "object", "properties": {"weight": {"type": "string"}}, "required": ["weight"], "additionalProperties": False}
    tool: Any = {"type": "function", "name": "save", "parameters": parameters, "strict": True}
    with client.responses.stream(model="sim-large", input=FACTS, tools=[tool]) as stream:
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("save", '{"weight": "280 g"}')
    after: Any = [
        {"role": "user", "content": FACTS},
        call.to_dict(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "ok"},
    ]
    assert "Ridge 3" in client.responses.create(model="sim-large", input=after, tools=[tool]).output_text


def test_a_response_in_the_background_is_polled_to_its_end(client: OpenAI) -> None:
    made = client.responses.create(model="sim-large", input="tea", background=True)
    seen = [made.status]
    while made.status in ("queued", "in_progress"):
        made = client.responses.retrieve(made.id)
        seen.append(made.status)
    assert seen == ["queued", "in_progress", "completed"]
    assert made.usage is not None
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    assert client.responses.input_tokens.count(model="sim-large", input="tea").input_tokens == made.usage.input_tokens
    assert client.responses.compact(model="sim-large", input="tea").output[-1].type == "compaction"


async def test_the_async_client_streams_a_response(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="any") as client:
        stream = await client.responses.create(model="sim-reasoning", input="tea", stream=True)
        kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_pictures_come_as_bytes_with_usage_or_as_an_address_without(client: OpenAI) -> None:
    counted = client.images.generate(model="sim-image-tokens", prompt="A shoe on a rock", n=2, quality="low", size="1536x1024")
    assert counted.usage is not None
    assert counted.usage.output_tokens == 800
    assert (counted.size, counted.quality) == ("1536x1024", "low")
    assert [size_of(base64.b64decode(image.b64_json or "")) for image in counted.data or []] == [(1536, 1024)] * 2
    linked = client.images.generate(model="sim-image", prompt="A shoe on a rock")
    assert linked.usage is None
    address = (linked.data or [])[0].url
    assert address is not None
    with urllib.request.urlopen(address, timeout=10) as reply:
        assert size_of(reply.read()) == (1024, 1024)


def test_pictures_stream_edit_and_vary(client: OpenAI) -> None:
    stream = client.images.generate(model="sim-image-tokens", prompt="A shoe", stream=True, partial_images=2)
    assert [event.type.rpartition(".")[2] for event in stream] == ["partial_image", "partial_image", "completed"]
    two: Any = [("é.png", PNG, "image/png"), ("b.png", PNG, "image/png")]
    edited = client.images.edit(model="sim-image-tokens", prompt="Blue", image=two, mask=PNG)
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.image_tokens == 3 * (65 + 4 * 129)
    *_, last = client.images.edit(model="sim-image-tokens", prompt="Blue", image=PNG, stream=True)
    assert last.type == "image_edit.completed"
    assert last.usage.input_tokens_details.image_tokens == 65 + 4 * 129
    assert len(client.images.create_variation(model="sim-image", image=PNG, n=3).data or []) == 3


@pytest.mark.parametrize(("form", "kind"), [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("pcm", "audio/pcm")])
def test_speech_is_as_long_as_its_text(client: OpenAI, form: Any, kind: str) -> None:
    said = client.audio.speech.create(model="sim-speech", voice="any", input="x" * 150, response_format=form)
    assert said.response.headers["content-type"] == kind
    bytes_per_s = {"mp3": 8_000, "wav": 48_000, "pcm": 48_000}[form]
    assert len(said.content) / bytes_per_s == pytest.approx(10, abs=0.03)
    if form == "wav":
        with wave.open(io.BytesIO(said.content)) as opened:
            assert opened.getnframes() == 240_000


def test_speech_streams_as_events_with_usage(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="sim-speech", voice="any", input="x" * 150, response_format="pcm", stream_format="sse"
    ) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert len(lines) == 21
    assert lines[-1] == 'data: {"type":"speech.audio.done","usage":{"input_tokens":22,"output_tokens":200,"total_tokens":222}}'


def test_recordings_are_written_down_in_every_format(client: OpenAI) -> None:
    def write(model: str, **more: Any) -> Any:
        return client.audio.transcriptions.create(model=model, file=("été.wav", WAV), **more)

    by_seconds, by_tokens = write("sim-transcribe"), write("sim-transcribe-tokens")
    assert (by_seconds.usage.type, by_seconds.usage.seconds) == ("duration", 3)
    assert (by_tokens.usage.type, by_tokens.usage.input_token_details.audio_tokens) == ("tokens", 30)
    verbose = write("sim-transcribe", response_format="verbose_json", language="de", timestamp_granularities=["word", "segment"])
    assert isinstance(verbose, TranscriptionVerbose)
    assert (verbose.language, verbose.duration) == ("german", 3.0)
    assert len(verbose.words or []) == 8
    assert (verbose.segments or [])[0].start == 0
    assert write("sim-transcribe", response_format="text").strip() == by_seconds.text
    assert write("sim-transcribe", response_format="vtt").startswith("WEBVTT")
    assert write("sim-transcribe", response_format="srt").startswith("1\n00:00:00,000")
    *deltas, done = write("sim-transcribe-tokens", stream=True)
    assert "".join(event.delta for event in deltas) == done.text == by_tokens.text
    assert done.usage.total_tokens == by_tokens.usage.total_tokens
    assert client.audio.translations.create(model="sim-transcribe", file=("a.wav", WAV)).text


def test_texts_are_judged(client: OpenAI) -> None:
    answer = client.moderations.create(model="sim-moderate", input=["tea", "graphic violence"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence
    assert answer.results[1].category_applied_input_types.violence == ["text"]


def test_faults_surface_as_the_sdks_own_errors(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        client.images.generate(model="sim-image", prompt="x", extra_headers={"x-simulate-fault": "429=9"})
    assert limited.value.response.headers["retry-after"] == "9"
    with pytest.raises(openai.InternalServerError):
        client.audio.transcriptions.create(model="sim-transcribe", file=("a.wav", WAV), extra_headers={"x-simulate-fault": "500"})
    stream = client.responses.create(model="sim-large", input="x", stream=True, extra_headers={"x-simulate-fault": "cut=4"})
    with pytest.raises(Exception, match=r"incomplete chunked read"):
        list(stream)
