"""Frames a draft as bytes: JSON documents, server-sent events, and the ordered faults of the wire.

It must never change what an answer says, only how it travels.
"""

import asyncio
import itertools
import json
import zlib
from collections.abc import AsyncIterator

from proxy.simulate.exchange import Cut, Draft, EventStyle, JsonObject
from proxy.simulate.faults import Mood
from proxy.simulate.pace import Pace

_DONE = b"data: [DONE]\n\n"
_GZIP_WINDOW = 31
_AZURE_FILTER = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
_AZURE_FIRST: JsonObject = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _AZURE_FILTER}],
}


def document_bytes(document: JsonObject) -> bytes:
    """A unary answer as the provider writes it: indented by two."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "replace")


def event_bytes(event: JsonObject, *, named: bool = False) -> bytes:
    """One server-sent event, compact; named: with its type on a line of its own."""
    name = f"event: {event['type']}\n".encode() if named else b""
    return name + b"data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


def member_bytes(document: JsonObject, *, first: bool) -> bytes:
    """One member of an array that is written as it goes, with what stands before it."""
    return (b"[" if first else b",\r\n") + json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "replace")


def body_bytes(whole: bytes, mood: Mood) -> bytes:
    """A unary body with the faults that change its bytes."""
    if mood.has("malformed-chunk"):
        whole = whole[: len(whole) * 2 // 3]
    if mood.has("gzip"):
        packer = zlib.compressobj(wbits=_GZIP_WINDOW)
        whole = packer.compress(whole) + packer.flush()
    return whole


async def body_stream(whole: bytes, mood: Mood, pace: Pace | None, output_tokens: int) -> AsyncIterator[bytes]:
    """A unary body that comes late, in parts, never or not whole, as ordered."""
    await _wait_for_first(mood, pace, output_tokens)
    if mood.has("stall"):
        await _forever()
    if mood.has("cut"):
        yield whole[: len(whole) // 2]
        raise Cut
    if mood.has("split-utf8"):
        for part in split_inside(whole):
            yield part
        return
    yield whole


async def event_stream(draft: Draft, mood: Mood, pace: Pace | None) -> AsyncIterator[bytes]:
    """A stream of events, with the ordered faults."""
    packer = zlib.compressobj(wbits=_GZIP_WINDOW) if mood.has("gzip") else None
    await _wait_for_first(mood, pace, 0)
    async for frame in _frames(draft.events or (), draft.style, mood, pace):
        wired = frame.replace(b"\n", b"\r\n") if mood.has("crlf") else frame
        if packer is not None:
            wired = packer.compress(wired) + packer.flush(zlib.Z_SYNC_FLUSH)
        for part in split_inside(wired) if mood.has("split-utf8") else (wired,):
            yield part
    if packer is not None:
        yield packer.flush()


async def _frames(events: tuple[JsonObject, ...], style: EventStyle, mood: Mood, pace: Pace | None) -> AsyncIterator[bytes]:
    cut_at = mood.number("cut", 2) if mood.has("cut") else -1
    stall_at = mood.number("stall", 2) if mood.has("stall") else -1
    if mood.has("azure-first-chunk") and style.choices:
        yield event_bytes(_AZURE_FIRST)
    for number, event in enumerate(events):
        if number == cut_at:
            raise Cut
        if number == stall_at:
            await _forever()
        if pace is not None and number:
            await asyncio.sleep(pace.per_token_s)
        frame = member_bytes(event, first=number == 0) if style.array else event_bytes(event, named=style.named)
        yield frame[: len(frame) // 2] + b"\n\n" if number == 1 and mood.has("malformed-chunk") else frame
    if cut_at >= len(events):
        raise Cut
    if style.done:
        yield _DONE
    if style.array:
        yield b"\n]\n" if events else b"[]\n"


def split_inside(whole: bytes) -> list[bytes]:
    """The bytes in parts, split after the first byte of every multi-byte character, or in the middle if there is none."""
    cuts = [at + 1 for at, byte in enumerate(whole) if byte >= 0xC0] or [len(whole) // 2]
    edges = [0, *cuts, len(whole)]
    return [part for part in (whole[start:end] for start, end in itertools.pairwise(edges)) if part]


async def _wait_for_first(mood: Mood, pace: Pace | None, output_tokens: int) -> None:
    if mood.has("slow-first-byte"):
        await asyncio.sleep(mood.number("slow-first-byte", 250) / 1000)
    if pace is not None:
        await asyncio.sleep(pace.first_token_s + pace.per_token_s * output_tokens)


async def _forever() -> None:
    """Waits until cancelled."""
    await asyncio.get_running_loop().create_future()
