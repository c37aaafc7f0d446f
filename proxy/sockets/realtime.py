"""Follows a realtime session: answers, what they used, what was written down of what was heard. It must never know who listens."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask
from proxy.endpoints.realtime import HEARD, ask_of
from proxy.meter.fallback import BYTES_PER_TOKEN
from proxy.meter.usage import read_usage
from proxy.sockets.exchange import Exchange
from proxy.sockets.peek import Event, event_of, kind_of, marks_of, member, named
from proxy.upstream.socket import Frame

DONE = "response.done"
CREATED = "response.created"
WRITTEN_DOWN = "conversation.item.input_audio_transcription.completed"
TOLD = ("session.created", "session.updated", "transcription_session.created", "transcription_session.updated")
TEXT = (
    "response.output_text.delta",
    "response.text.delta",
    "response.output_audio_transcript.delta",
    "response.audio_transcript.delta",
    "response.function_call_arguments.delta",
)
SOUND = ("response.output_audio.delta", "response.audio.delta")
MARKS = marks_of((DONE, CREATED, WRITTEN_DOWN, *TOLD))
APPEND = "input_audio_buffer.append"
LONGEST_READ = 64 * 1024
"""A longer frame of the client holds a picture or a sound; its length says nothing of its tokens."""

MOST_REMEMBERED = 256
BASE64_BYTES = 0.75
G711_BYTES_PER_S = 8_000
PCM_BYTES_PER_SAMPLE = 2
PCM_HZ = 24_000
LONGEST_S = 1e7


class Realtime:
    """One session's listener. Several answers may be under way at once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._open: dict[str, Exchange] = {}
        self._done: dict[str, None] = {}
        self._model: str | None = None
        self._hearing: str | None = None
        self._in_bytes_per_s = self._out_bytes_per_s = float(PCM_HZ * PCM_BYTES_PER_SAMPLE)
        self._context_tokens = 0
        self._said_tokens = 0
        self._heard_s = self._unwritten_s = 0.0
        self._sent_bytes = 0

    def from_client(self, frame: Frame) -> None:
        """What goes in, by its length: it counts only if the provider never tells."""
        self._sent_bytes += len(frame)
        if isinstance(frame, str) and kind_of(frame, ()) == APPEND:
            heard_s = payload_length(frame, '"audio"') * BASE64_BYTES / self._in_bytes_per_s
            self._heard_s += heard_s
            self._unwritten_s += heard_s
        elif len(frame) <= LONGEST_READ:
            self._said_tokens += len(frame) // BYTES_PER_TOKEN

    def from_provider(self, frame: Frame, now: float) -> Exchange | None:
        """The answer, or what was written down, that this frame ends."""
        if isinstance(frame, bytes):
            return None
        kind = kind_of(frame, MARKS)
        under_way = self._only()
        if under_way is not None:
            under_way.response_bytes += len(frame)
        act = _ACTS.get(kind)
        return None if act is None else act(self, frame, now)

    def unfinished(self, now: float) -> list[Exchange]:
        """Answers that were not ended."""
        left, self._open = list(self._open.values()), {}
        for exchange in left:
            exchange.read_tokens, exchange.heard_s = self._context_tokens + self._said_tokens, self._heard_s
        return left

    def _tell(self, frame: str, now: float) -> None:
        """The session says its models and how its sound is written."""
        session = event_of(frame).session
        self._model = named(member(session, "model")) or self._model
        self._hearing = (
            named(member(session, "audio", "input", "transcription", "model"))
            or named(member(session, "input_audio_transcription", "model"))
            or self._hearing
        )
        self._in_bytes_per_s = _rate(member(session, "audio", "input", "format"), member(session, "input_audio_format"))
        self._out_bytes_per_s = _rate(member(session, "audio", "output", "format"), member(session, "output_audio_format"))

    def _create(self, frame: str, now: float) -> None:
        answer = event_of(frame).answer
        key = named(answer.id) or ""
        exchange = Exchange(ask=self._ask, began=now, response_id=key or None, request_bytes=self._sent_bytes, response_bytes=len(frame))
        self._sent_bytes = 0
        self._open[key] = exchange

    def _write(self, frame: str, now: float) -> None:
        event = event_of(frame)
        exchange = self._of(event)
        if exchange is not None and isinstance(event.delta, str):
            exchange.write(event.delta, now)

    def _speak(self, frame: str, now: float) -> None:
        exchange = self._only() or self._of(event_of(frame))
        if exchange is not None:
            exchange.speak(payload_length(frame, '"delta"') * BASE64_BYTES / self._out_bytes_per_s, now)

    def _end(self, frame: str, now: float) -> Exchange | None:
        answer = event_of(frame).answer
        key = named(answer.id) or ""
        if key and key in self._done:
            return None
        exchange = self._open.pop(key, None) or Exchange(ask=self._ask, began=now, response_id=key or None, response_bytes=len(frame))
        self._remember(key)
        exchange.ended = True
        exchange.served_model = named(answer.model) or self._model
        exchange.usage = read_usage(bytes(answer.usage)) if bytes(answer.usage) else None
        exchange.read_tokens, exchange.heard_s = self._context_tokens + self._said_tokens, self._heard_s
        exchange.generated = exchange.usage is not None or answer.status != "failed" or exchange.has_content
        if exchange.usage is not None:
            self._context_tokens = exchange.usage.input_tokens + exchange.usage.output_tokens
        self._said_tokens, self._heard_s = 0, 0.0
        return exchange

    def _note(self, frame: str, now: float) -> Exchange:
        """What was written down of what was heard, by its own model."""
        event = event_of(frame)
        raw = bytes(event.usage)
        usage = read_usage(raw) if raw else None
        seconds = _number(member(event.usage, "seconds"))
        if usage is None and seconds is not None:
            usage = Usage(source="provider", media=Media(audio_input_seconds=seconds))
        model = named(event.model) or self._hearing
        heard_s, self._unwritten_s = self._unwritten_s, 0.0
        ask = ask_of(HEARD, model or self._ask.alias)
        return Exchange(
            ask=ask, began=now, first=now, served_model=model, usage=usage, ended=True, response_bytes=len(frame), heard_s=heard_s
        )

    def _only(self) -> Exchange | None:
        return next(iter(self._open.values())) if len(self._open) == 1 else None

    def _of(self, event: Event) -> Exchange | None:
        return self._open.get(named(event.response_id) or "") or self._only()

    def _remember(self, key: str) -> None:
        """An answer that has ended does so once, whatever comes again."""
        if len(self._done) >= MOST_REMEMBERED:
            del self._done[next(iter(self._done))]
        if key:
            self._done[key] = None


_ACTS: Mapping[str, Callable[[Realtime, str, float], Exchange | None]] = MappingProxyType(
    {
        **dict.fromkeys(TOLD, Realtime._tell),
        **dict.fromkeys(TEXT, Realtime._write),
        **dict.fromkeys(SOUND, Realtime._speak),
        CREATED: Realtime._create,
        DONE: Realtime._end,
        WRITTEN_DOWN: Realtime._note,
    }
)


def payload_length(frame: str, key: str) -> int:
    """Characters of the string at `key`, which holds no escape; 0 where there is none."""
    at = frame.find(key)
    start = frame.find('"', frame.find(":", at + len(key))) if at >= 0 else -1
    end = frame.find('"', start + 1) if start >= 0 else -1
    return max(0, end - start - 1)


def partial_usage(exchange: Exchange, output_tokens: int, rates: "tuple[float, float]", *, partial: bool) -> Usage:
    """The usage of an answer that the provider did not tell: `output_tokens` of text, sound by its length.

    rates: tokens a second of sound, in and out.
    """
    heard, spoken = round(exchange.heard_s * rates[0]), round(exchange.spoken_s * rates[1])
    usage = Usage(
        input_tokens=exchange.read_tokens + heard,
        audio_input_tokens=heard,
        output_tokens=output_tokens + spoken,
        audio_output_tokens=spoken,
        source="estimated",
        partial=partial,
    )
    if not exchange.spoken_s and not exchange.heard_s:
        return usage
    return replace(usage, media=Media(audio_input_seconds=exchange.heard_s or None, audio_output_seconds=exchange.spoken_s or None))


def _rate(form: Any, older: Any) -> float:
    """Bytes a second of a sound format: the present shape {type, rate}, or the older word."""
    kind = form.get("type") if isinstance(form, dict) else older
    if isinstance(kind, str) and ("pcmu" in kind or "pcma" in kind or "g711" in kind):
        return G711_BYTES_PER_S
    hertz = _number(form.get("rate")) if isinstance(form, dict) else None
    return (hertz or PCM_HZ) * PCM_BYTES_PER_SAMPLE


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LONGEST_S
    return float(value) if known else None
