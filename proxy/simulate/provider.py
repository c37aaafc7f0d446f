"""The simulated provider itself: one request in, one labelled answer out, without a socket.

It must never touch the network or store what it was asked; some answers it keeps for a while, as providers do.
"""

import hashlib
import json
from collections.abc import AsyncIterator

from proxy.clock import Clock
from proxy.simulate import framing
from proxy.simulate.endpoints.table import Spoken, spoken_at
from proxy.simulate.envelope import envelope_of
from proxy.simulate.exchange import Answered, Ask, Asked, Draft, JsonObject, Refused, Upload
from proxy.simulate.faults import HEADER, Faults, Mood, read_mood
from proxy.simulate.form import MULTIPART, read_form
from proxy.simulate.pace import PACE_HEADER, Pace, pace_of
from proxy.simulate.shelf import Shelf

EVENT_STREAM = "text/event-stream; charset=utf-8"
_NOTHING_ORDERED = read_mood("")


class SimulatedProvider:
    """Answers requests. Ids differ from call to call but come from the clock and a counter, so a fixed clock gives fixed bytes."""

    def __init__(self, *, clock: Clock, faults: Faults | None = None, pace: bool = False) -> None:
        self._clock = clock
        self._faults = faults or Faults()
        self._pace = pace
        self._calls = 0
        self._shelf = Shelf()

    def answer(self, asked: Asked) -> Answered:
        """The answer, never an exception: what the provider refuses is an error envelope."""
        started_s = self._clock.perf()
        self._calls += 1
        mood = _NOTHING_ORDERED
        extra: tuple[tuple[str, str], ...] = ()
        try:
            mood = read_mood(asked.headers.get(HEADER) or self._faults.next())
            if mood.error is not None:
                refused, extra = mood.error
                raise refused
            draft = self._draft(asked, mood)
        except Refused as refused:
            draft = Draft(status=refused.status, document=envelope_of(refused, asked), headers=extra)
        paced = self._pace or asked.headers.get(PACE_HEADER) == "on"
        return self._framed(draft, mood, pace_of(draft.model) if paced and draft.model else None, started_s)

    def mood(self, asked: Asked) -> Mood:
        """The faults ordered for a socket. Raises Refused for an error among them."""
        mood = read_mood(asked.headers.get(HEADER) or self._faults.next())
        if mood.error is not None:
            raise mood.error[0]
        return mood

    def draft(self, asked: Asked, mood: Mood) -> Draft:
        """What is answered, unframed. Raises Refused."""
        self._calls += 1
        return self._draft(asked, mood)

    def paces(self, asked: Asked, model: str) -> Pace | None:
        """How fast a socket's answers are written, None for at once."""
        return pace_of(model) if self._pace or asked.headers.get(PACE_HEADER) == "on" else None

    def identity(self) -> tuple[str, int]:
        """An id and the time in seconds since 1970, for an answer that is told bit by bit."""
        self._calls += 1
        return self._id(), self._clock.now_ms() // 1000

    def _draft(self, asked: Asked, mood: Mood) -> Draft:
        spoken = spoken_at(asked.method, asked.path)
        body, files = _read(asked, spoken)
        if mood.has("refuse-stream-options") and "stream_options" in body:
            raise Refused(400, "Simulated: unknown field 'stream_options'.", param="stream_options")
        created_s = self._clock.now_ms() // 1000
        ask = Ask(
            asked=asked,
            body=body,
            files=files,
            call_id=self._id(),
            created_s=created_s,
            shelf=self._shelf,
            usage_place=mood.usage_place,
        )
        return spoken.answer(ask)

    def _id(self) -> str:
        return "sim" + hashlib.sha256(f"{self._clock.now_ms()}:{self._calls}".encode()).hexdigest()[:26]

    def _framed(self, draft: Draft, mood: Mood, pace: Pace | None, started_s: float) -> Answered:
        processing_ms = round((self._clock.perf() - started_s) * 1000) + 1
        headers = [
            ("content-type", EVENT_STREAM if draft.events is not None and not draft.style.array else draft.content_type),
            ("x-request-id", f"req_{self._id()}"),
            ("openai-processing-ms", str(processing_ms)),
            ("openai-version", "2020-10-01"),
            ("openai-organization", "simulated"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-remaining-tokens", str(max(0, 2_000_000 - draft.output_tokens))),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-reset-tokens", "0s"),
            ("x-simulated", "true"),
            *draft.headers,
        ]
        if mood.has("gzip"):
            headers.append(("content-encoding", "gzip"))
        body, length = _body_of(draft, mood, pace)
        pairs = tuple((name.encode(), value.encode("latin-1", "replace")) for name, value in headers)
        return Answered(status=draft.status, headers=pairs, body=body, declared_length=length)


def _body_of(draft: Draft, mood: Mood, pace: Pace | None) -> tuple[bytes | AsyncIterator[bytes], int | None]:
    if draft.events is not None:
        return framing.event_stream(draft, mood, pace), None
    whole = draft.plain if draft.plain is not None else framing.document_bytes(draft.document or {})
    whole = framing.body_bytes(whole, mood)
    if pace is None and not any(map(mood.has, ("stall", "cut", "split-utf8", "slow-first-byte"))):
        return whole, len(whole)
    return framing.body_stream(whole, mood, pace, draft.output_tokens), len(whole)


def _read(asked: Asked, spoken: Spoken) -> tuple[JsonObject, dict[str, tuple[Upload, ...]]]:
    """The body's fields and files, as the endpoint takes them."""
    content_type = asked.headers.get("content-type", "")
    if spoken.body == "form" or (spoken.body == "form_or_json" and content_type.lower().startswith(MULTIPART)):
        return read_form(content_type, asked.body)
    return ({}, {}) if spoken.body == "none" else (_json_of(asked), {})


def _json_of(asked: Asked) -> JsonObject:
    try:
        document = json.loads(asked.body)
    except (ValueError, RecursionError):
        message = "Simulated: the body of your request could not be parsed as JSON."
        raise Refused(400, message, code=None) from None
    if not isinstance(document, dict):
        raise Refused(400, "Simulated: the body of your request must be a JSON object.")
    return document
