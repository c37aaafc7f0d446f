"""One exchange with each metered endpoint as its provider writes it, and the usage that stands in it. It must never use our own reader."""

import base64
import io
import json
import wave
from typing import Any

from tests.contract.case import BOUNDARY as BOUNDARY
from tests.contract.case import Case as Case
from tests.contract.case import compact as compact
from tests.contract.case import event as event
from tests.contract.case import form as form
from tests.contract.foreign_cases import FOREIGN
from tests.contract.work_cases import WORK

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8).decode()
MP3 = b"ID3\x04" + bytes(range(256)) * 700


def wav_of(seconds: float) -> bytes:
    """Noise of that length that holds what looks like borders and keys."""
    frames = (bytes(range(256)) + b'\r\n\r\n--frontier-7f3\r\n"model"') * 400
    written = io.BytesIO()
    with wave.open(written, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(8000)
        opened.writeframes(frames[: int(seconds * 16000)])
    return written.getvalue()


CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42, "prompt_tokens_details": {"cached_tokens": 4}}
CHAT_RECORDED = {"input_tokens": 12, "cached_input_tokens": 4, "output_tokens": 30, "usage_source": "provider"}
CHAT = Case(
    path="/v1/chat/completions",
    operation="chat",
    ask={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
    answer=compact(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
            "usage": CHAT_USAGE,
        }
    ),
    recorded=CHAT_RECORDED,
    stream_ask={"stream": True, "stream_options": {"include_usage": True}},
    events=(
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini-2024-07-18",'
        b'"choices":[{"index":0,"delta":{"content":"Hi."},"finish_reason":null}],"usage":null}\n\n',
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[],"usage":'
        + compact(CHAT_USAGE)
        + b"}\n\n",
        b"data: [DONE]\n\n",
    ),
)
COMPLETIONS = Case(
    path="/v1/completions",
    operation="completions",
    ask={"model": "gpt-3.5-turbo-instruct", "prompt": "Once"},
    answer=compact(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1,
            "model": "gpt-3.5-turbo-instruct",
            "choices": [{"index": 0, "text": " upon a time", "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
        }
    ),
    recorded={"input_tokens": 1, "output_tokens": 3, "usage_source": "provider"},
)
EMBEDDINGS = Case(
    path="/v1/embeddings",
    operation="embeddings",
    ask={"model": "text-embedding-3-small", "input": "Once"},
    answer=compact(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
    ),
    recorded={"input_tokens": 1, "output_tokens": 0, "usage_source": "provider"},
)
MODERATION_ASK = {
    "model": "omni-moderation-latest",
    "input": [
        {"type": "text", "text": "Is this fair to a competitor?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/ad.png"}},
    ],
}
MODERATIONS = Case(
    path="/v1/moderations",
    operation="moderation",
    ask=MODERATION_ASK,
    answer=compact(
        {
            "id": "modr-1",
            "model": "omni-moderation-2024-09-26",
            "results": [
                {
                    "flagged": False,
                    "categories": {"violence": False},
                    "category_scores": {"violence": 0.001},
                    "category_applied_input_types": {"violence": ["text", "image"]},
                }
            ],
        }
    ),
    recorded={"input_tokens": 7, "output_tokens": 0, "input_images": 2, "usage_source": "counted"},
    tagged=False,
)
RESPONSES_USAGE = {
    "input_tokens": 81,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 1035,
    "output_tokens_details": {"reasoning_tokens": 832},
    "total_tokens": 1116,
}


def response(**changes: Any) -> dict[str, Any]:
    """A Response object in the provider's order."""
    message = {"type": "output_text", "text": 'caf\u00e9, "usage":{"input_tokens":1}', "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [message]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
        "metadata": {},
        **changes,
    }


def response_events(kind: str = "response.completed", *, named: bool = True, **changes: Any) -> tuple[bytes, ...]:
    """A Responses stream that ends with an event of this kind."""
    open_response = response(status="in_progress", usage=None, output=[])
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    done = response(status=kind.removeprefix("response."), **changes)
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": open_response},
        {"type": "response.in_progress", "response": open_response},
        {"type": "response.output_text.delta", **place, "delta": "say response.completed, ", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "caf\u00e9 \U0001f411", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "say response.completed, caf\u00e9 \U0001f411", "logprobs": []},
        {"type": kind, "response": done},
    ]
    return tuple(event({**step, "sequence_number": number}, named=named) for number, step in enumerate(steps))


RESPONSES = Case(
    path="/v1/responses",
    operation="responses",
    ask={"model": "gpt-5-mini", "input": "Describe a merino jumper.", "instructions": "Be short."},
    answer=json.dumps(response(), indent=2).encode(),
    recorded={
        "input_tokens": 81,
        "cached_input_tokens": 16,
        "output_tokens": 1035,
        "reasoning_output_tokens": 832,
        "usage_source": "provider",
    },
    stream_ask={"stream": True},
    events=response_events(),
)
IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
    "output_tokens": 8320,
    "total_tokens": 8370,
}
DRAWN: dict[str, Any] = {"created_at": 1, "size": "1024x1536", "quality": "high", "background": "opaque", "output_format": "png"}
STREAMED_IMAGE_USAGE = {**IMAGE_USAGE, "output_tokens": 6440, "total_tokens": 6490}
IMAGES = Case(
    path="/v1/images/generations",
    operation="images",
    ask={"model": "gpt-image-1", "prompt": "A merino jumper on a chair", "n": 2, "size": "auto", "quality": "auto"},
    answer=compact(
        {
            "created": 1,
            "background": "opaque",
            "output_format": "png",
            "quality": "high",
            "size": "1536x1024",
            "data": [{"b64_json": PNG}, {"b64_json": PNG}],
            "usage": IMAGE_USAGE,
        }
    ),
    recorded={
        "input_tokens": 50,
        "image_input_tokens": 10,
        "output_tokens": 8320,
        "image_output_tokens": 8320,
        "media_images": 2,
        "media_width": 1536,
        "media_height": 1024,
        "media_quality": "high",
        "usage_source": "provider",
    },
    stream_ask={"stream": True, "partial_images": 2, "n": 1},
    events=(
        event({"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": PNG, **DRAWN}),
        event({"type": "image_generation.partial_image", "partial_image_index": 1, "b64_json": PNG, **DRAWN}),
        event({"type": "image_generation.completed", "b64_json": PNG, **DRAWN, "usage": STREAMED_IMAGE_USAGE}),
    ),
    streamed={
        "output_tokens": 6440,
        "image_output_tokens": 6440,
        "media_images": 1,
        "media_width": 1024,
        "media_height": 1536,
    },
)
SPEECH = Case(
    path="/v1/audio/speech",
    operation="audio",
    ask={"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Un pull en m\u00e9rinos \U0001f411, tricot\u00e9 main."},
    answer=MP3,
    kind="audio/mpeg",
    recorded={"media_characters": 35, "output_tokens": 0, "usage_source": "counted"},
    tagged=False,
    stream_ask={"stream_format": "sse"},
    events=(
        event({"type": "speech.audio.delta", "audio": PNG}, named=False),
        event({"type": "speech.audio.delta", "audio": PNG}, named=False),
        event({"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}, named=False),
    ),
    streamed={"input_tokens": 14, "output_tokens": 101, "audio_output_tokens": 101, "usage_source": "provider"},
)
PNG_BYTES = base64.b64decode(PNG)
IMAGE_EDITS = Case(
    path="/v1/images/edits",
    operation="images",
    ask={"model": "gpt-image-1", "prompt": "The jumper in red", "n": 2, "size": "auto", "quality": "low"},
    files=(("image[]", PNG_BYTES), ("image[]", PNG_BYTES + b"\r\n--frontier-7f3\r\n"), ("mask", PNG_BYTES)),
    answer=IMAGES.answer,
    recorded={**IMAGES.recorded, "input_images": 3},
    stream_ask={"stream": True, "partial_images": 1, "n": 1},
    events=tuple(part.replace(b"image_generation.", b"image_edit.") for part in IMAGES.events),
    streamed=IMAGES.streamed,
)
IMAGE_VARIATIONS = Case(
    path="/v1/images/variations",
    operation="images",
    ask={"n": 2, "size": "512x512"},
    files=(("image", PNG_BYTES),),
    answer=compact({"created": 1, "data": [{"url": "https://example.com/1.png"}, {"url": "https://example.com/2.png"}]}),
    recorded={
        "model": "dall-e-2",
        "media_images": 2,
        "media_width": 512,
        "media_height": 512,
        "input_images": 1,
        "usage_source": "counted",
    },
    tagged=False,
)
HEARD_USAGE = {
    "type": "tokens",
    "input_tokens": 64,
    "input_token_details": {"audio_tokens": 60, "text_tokens": 4},
    "output_tokens": 9,
    "total_tokens": 73,
}
HEARD = {"input_tokens": 64, "audio_input_tokens": 60, "output_tokens": 9, "usage_source": "provider"}
TRANSCRIPTIONS = Case(
    path="/v1/audio/transcriptions",
    operation="transcription",
    ask={"model": "gpt-4o-transcribe", "response_format": "json", "prompt": "Merino, jumper."},
    files=(("file", wav_of(6.0)),),
    answer=compact({"text": "Un pull en m\u00e9rinos.", "usage": HEARD_USAGE}),
    recorded={**HEARD, "media_audio_input_seconds": 6.0},
    stream_ask={"stream": True},
    events=(
        event({"type": "transcript.text.delta", "delta": "Un pull", "logprobs": []}, named=False),
        event({"type": "transcript.text.delta", "delta": " en m\u00e9rinos."}, named=False),
        event({"type": "transcript.text.done", "text": "Un pull en m\u00e9rinos.", "usage": HEARD_USAGE}, named=False),
        b"data: [DONE]\n\n",
    ),
)
TRANSLATIONS = Case(
    path="/v1/audio/translations",
    operation="translation",
    ask={"model": "whisper-1", "response_format": "verbose_json"},
    files=(("file", MP3),),
    answer=compact({"task": "translate", "language": "english", "duration": 8.47, "text": "A merino jumper.", "segments": []}),
    recorded={"input_tokens": 0, "output_tokens": 5, "media_audio_input_seconds": 8.47, "usage_source": "counted"},
    tagged=False,
)
FORMS = (IMAGE_EDITS, IMAGE_VARIATIONS, TRANSCRIPTIONS, TRANSLATIONS)
CASES = {case.path: case for case in (CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES, IMAGES, SPEECH, *FORMS, *FOREIGN, *WORK)}
STREAMING = {path: case for path, case in CASES.items() if case.events}
