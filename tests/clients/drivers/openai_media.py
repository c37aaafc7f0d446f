"""The official Python SDK, any version: pictures, speech, transcripts, moderations. It must never write a file that it leaves behind."""

import base64
import io
import math
import struct
import wave
from typing import Any

import openai

from tests.clients.drivers.checks import BASE, KEY, check, headed, last_seen, weighed

client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
NAME = "\u00e9t\u00e9 \u65e5\u672c.wav"


def sound(seconds: float) -> bytes:
    """A tone as a WAV file."""
    rate = 8000
    kept = io.BytesIO()
    with wave.open(kept, "wb") as writing:
        writing.setnchannels(1)
        writing.setsampwidth(2)
        writing.setframerate(rate)
        count = int(rate * seconds)
        writing.writeframes(struct.pack(f"<{count}h", *(int(9000 * math.sin(at / 9)) for at in range(count))))
    return kept.getvalue()


WAV = sound(2)


@check("b64_json", "url")
def images(form: str) -> Any:
    more: Any = {} if form == "b64_json" else {"response_format": "url"}
    raw = client.images.with_raw_response.generate(model="gpt-image-1" if form == "b64_json" else "dall-e-3", prompt="x", **more)
    headed(raw.headers, basis="final")
    reply = raw.parse()
    picture = (reply.data or [])[0]
    if form == "url":
        assert (picture.url or "").startswith("http")
        assert reply.usage is None
        return None
    assert base64.b64decode(picture.b64_json or "").startswith(b"\x89PNG")
    weighed(reply.usage)
    assert reply.usage is not None
    return reply.usage.total_tokens


@check
def images_streamed() -> Any:
    with client.images.generate(model="gpt-image-1", prompt="x", stream=True, partial_images=2) as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "image_generation.completed"
    weighed(last.usage)
    return [event.type for event in events]


@check
def images_edited() -> Any:
    reply = client.images.edit(model="gpt-image-1", image=[("a.png", PNG), ("b.png", PNG)], mask=("m.png", PNG), prompt="bluer", n=2)
    assert len(reply.data or []) == 2
    weighed(reply.usage)
    assert last_seen()["body"].count('name="image[]"') == 2


@check
def images_varied() -> Any:
    raw = client.images.with_raw_response.create_variation(image=("a.png", PNG), n=2)
    headed(raw.headers)
    assert len(raw.parse().data or []) == 2


@check("mp3", "wav", "pcm")
def speech(form: Any) -> Any:
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Warm and light.", response_format=form)
    headed(spoken.response.headers)
    assert len(spoken.content) > 500
    return spoken.response.headers["content-type"], len(spoken.content)


@check
def speech_streamed() -> Any:
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Warm.") as streaming:
        heard = b"".join(streaming.iter_bytes(1000))
    assert heard == client.audio.speech.create(model="tts-1", voice="alloy", input="Warm.").content


@check
def speech_as_events() -> Any:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Warm.", stream_format="sse"
    ) as streaming:
        lines = [line for line in streaming.iter_lines() if line.startswith("data: ")]
    assert "speech.audio.done" in lines[-1]
    return len(lines)


@check("json", "verbose_json", "text", "srt", "vtt")
def transcriptions(form: Any) -> Any:
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=(NAME, WAV), response_format=form)
    headed(raw.headers, basis="final")
    reply: Any = raw.parse()
    assert last_seen()["bytes"] > len(WAV)
    return raw.headers["content-type"], reply if isinstance(reply, str) else reply.text


@check
def transcriptions_streamed() -> Any:
    with client.audio.transcriptions.create(model="gpt-4o-transcribe", file=(NAME, WAV), stream=True) as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "transcript.text.done"
    weighed(last.usage)
    return [event.type for event in events]


@check
def transcriptions_by_tokens() -> Any:
    reply = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=io.BytesIO(WAV), include=["logprobs"])
    usage: Any = reply.usage
    weighed(usage)
    return usage.type


@check("json", "text")
def translations(form: Any) -> Any:
    reply: Any = client.audio.translations.create(model="whisper-1", file=("a.wav", WAV), response_format=form)
    return reply if isinstance(reply, str) else reply.text


@check("text", "parts")
def moderations(kind: str) -> Any:
    parts: Any = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    raw = client.moderations.with_raw_response.create(model="omni-moderation-latest", input="a" if kind == "text" else parts)
    headed(raw.headers)
    assert "usage" not in raw.text
    return len(raw.parse().results)
