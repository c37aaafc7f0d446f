"""Gemini's endpoints: contents in, candidates out, usage in every part of a stream, the last is whole. They must never see a provider."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Head, Picture, Prompt
from proxy.endpoints.chat import TOKENS_PER_MESSAGE, TOKENS_TO_PRIME
from proxy.endpoints.chat_parts import sound_seconds_of
from proxy.endpoints.reading import decoded, no_event_text, no_text
from proxy.probe.picture_size import size_of_base64

MOST_TOKENS = 1e15
USAGE_KEY = "usageMetadata"
_DATA = re.compile(rb"^data:[ ]?(\{.*?)\r?$", re.MULTILINE)
_DRAWN = re.compile(rb'"mime_?[tT]ype"\s*:\s*"image/')
_FINDER = json.JSONDecoder()


class _Head(Head):
    contents: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")
    requests: msgspec.Raw = msgspec.Raw(b"")
    generationConfig: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815  # the wire's own name
    generation_config: msgspec.Raw = msgspec.Raw(b"")


_HEAD: msgspec.json.Decoder[Head] = msgspec.json.Decoder(_Head)


def read_usage(raw: bytes) -> Usage | None:
    """The usage in `raw` (usageMetadata), made inclusive: thoughts and what tools brought in stand beside the other counts there."""
    wire = decoded(raw)
    if not isinstance(wire, dict) or not any(name.endswith("TokenCount") for name in wire):
        return None
    input_tokens = _count(wire, "promptTokenCount") + _count(wire, "toolUsePromptTokenCount")
    thoughts = _count(wire, "thoughtsTokenCount")
    written = max(_count(wire, "candidatesTokenCount") + thoughts, _count(wire, "totalTokenCount") - input_tokens)
    given, made = _modalities(wire.get("promptTokensDetails")), _modalities(wire.get("candidatesTokensDetails"))
    pictures_in = min(given.get("IMAGE", 0) + given.get("VIDEO", 0), input_tokens)
    thoughts = min(thoughts, written)
    sound = min(made.get("AUDIO", 0), written - thoughts)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(_count(wire, "cachedContentTokenCount"), input_tokens),
        image_input_tokens=pictures_in,
        audio_input_tokens=min(given.get("AUDIO", 0), input_tokens - pictures_in),
        output_tokens=written,
        reasoning_output_tokens=thoughts,
        audio_output_tokens=sound,
        image_output_tokens=min(made.get("IMAGE", 0), written - thoughts - sound),
        source="provider",
    )


def _count(found: dict[str, Any], name: str) -> int:
    number = found.get(name)
    return int(number) if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < MOST_TOKENS else 0


def _modalities(details: Any) -> dict[str, int]:
    """Tokens by kind of content."""
    rows = [row for row in details if isinstance(row, dict)] if isinstance(details, list) else []
    return {str(row.get("modality")): _count(row, "tokenCount") for row in rows}


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    if not isinstance(request, dict):
        return Prompt(texts=())
    inner = request.get("generateContentRequest")
    request = inner if isinstance(inner, dict) else request
    told = request.get("systemInstruction") or request.get("system_instruction")
    turns = [turn for turn in _list(request.get("contents")) if isinstance(turn, dict)]
    given = [turn for turn in (told, request.get("content"), *turns, *_embedded(request)) if isinstance(turn, dict)]
    texts = [_parts_text(turn) for turn in given] + [str(turn.get("role") or "") for turn in turns]
    if request.get("tools"):
        texts.append(json.dumps(request["tools"], ensure_ascii=False))
    pictures = tuple(picture for turn in given for picture in _pictures(turn))
    return Prompt(
        texts=tuple(text for text in texts if text),
        overhead_tokens=TOKENS_PER_MESSAGE * len(turns) + TOKENS_TO_PRIME if turns else 0,
        images=len(pictures),
        pictures=pictures,
        sound_seconds=sum(sound_seconds_of(data) for turn in given for kind, data in _inlined(turn) if kind.startswith("audio/")),
    )


def _embedded(request: dict[str, Any]) -> list[Any]:
    """The contents of a batch to embed."""
    return [one.get("content") for one in _list(request.get("requests")) if isinstance(one, dict)]


def _list(value: Any) -> list[Any]:
    """Contents may be one where a list is meant."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _parts(turn: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in _list(turn.get("parts")) if isinstance(part, dict)]


def _parts_text(turn: dict[str, Any]) -> str:
    return "".join(_part_text(part) for part in _parts(turn))


def _part_text(part: dict[str, Any]) -> str:
    """Words as they are, a call to a tool and its answer as their JSON."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    tools = ("functionCall", "functionResponse", "function_call", "function_response", "executableCode", "codeExecutionResult")
    return "".join(json.dumps(part[name], ensure_ascii=False) for name in tools if name in part)


def _inlined(turn: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, base64) of the files in a turn; empty base64 for one that stands elsewhere."""
    found = (part.get("inlineData") or part.get("inline_data") or part.get("fileData") or part.get("file_data") for part in _parts(turn))
    return [
        (str(file.get("mimeType") or file.get("mime_type") or ""), str(file.get("data") or "")) for file in found if isinstance(file, dict)
    ]


def _pictures(turn: dict[str, Any]) -> list[Picture]:
    return [Picture(*(size_of_base64(data) or (None, None))) for kind, data in _inlined(turn) if kind.startswith("image/")]


def _candidates_text(reply: Any) -> tuple[str, ...]:
    found = reply.get("candidates") if isinstance(reply, dict) else None
    contents = [one.get("content") for one in _list(found) if isinstance(one, dict)]
    return tuple(_parts_text(content) for content in contents if isinstance(content, dict))


def _reply_text(body: bytes) -> tuple[str, ...]:
    return _candidates_text(decoded(body))


def _event_text(payload: bytes) -> str:
    return "".join(_candidates_text(decoded(payload)))


def _stream_text(data: bytes) -> str:
    """All text of a stream, of events or of a JSON array, cut or not."""
    if not data.lstrip().startswith(b"["):
        return "".join(_event_text(payload) for payload in _DATA.findall(data))
    return "".join("".join(_candidates_text(one)) for one in _members(data))


def _members(data: bytes) -> Iterator[Any]:
    """The members of a JSON array as far as they are whole."""
    text = data.decode("utf-8", "replace")
    at = text.find("{")
    while at >= 0:
        try:
            one, end = _FINDER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield one
        at = text.find("{", end)


def _output_limit(ask: Ask) -> int | None:
    raw = bytes(ask.head.generationConfig) or bytes(ask.head.generation_config) if isinstance(ask.head, _Head) else b""
    config = decoded(raw)
    limit = (config.get("maxOutputTokens") or config.get("max_output_tokens")) if isinstance(config, dict) else None
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < MOST_TOKENS else None


def _usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The usage with the pictures that were made."""
    images = len(_DRAWN.findall(answer)) if usage.image_output_tokens else 0
    return replace(usage, media=Media(images=images or 1)) if usage.image_output_tokens else usage


GENERATE = Endpoint(
    path="/v1beta/models/{model}:generateContent",
    operation="generate_content",
    weighed_as="chat",
    content="contents",
    writes=True,
    prompt=_prompt,
    reply_text=_reply_text,
    event_text=_event_text,
    usage_of=_usage_of,
    dialect="gemini",
    head=_HEAD,
    usage_reader=read_usage,
    usage_key=USAGE_KEY,
    stream_text=_stream_text,
    output_limit=_output_limit,
)
STREAM_GENERATE = replace(GENERATE, path="/v1beta/models/{model}:streamGenerateContent", operation="stream_generate_content", streams=True)
EMBED = Endpoint(
    path="/v1beta/models/{model}:embedContent",
    operation="embed_content",
    weighed_as="embeddings",
    content="content",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
    dialect="gemini",
    head=_HEAD,
    usage_reader=read_usage,
    usage_key=USAGE_KEY,
)
BATCH_EMBED = replace(EMBED, path="/v1beta/models/{model}:batchEmbedContents", operation="batch_embed_contents", content="requests")
COUNT = replace(EMBED, path="/v1beta/models/{model}:countTokens", operation="count_tokens", content="contents", counts=True)
