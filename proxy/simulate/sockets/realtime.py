"""Speaks WS /v1/realtime: a session, items, answers in text or sound with their usage. It must never listen to what it is sent.

Sound in counts 10 tokens a second, sound out 20; it is heard when the client commits it, or when a response is asked for. What is said
in it is worded from its bytes, and written down where the session asks for that.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from proxy.simulate import sound, tokens, wording
from proxy.simulate.endpoints.choice import Choice, choose
from proxy.simulate.exchange import Asked, JsonObject, Refused, as_list, as_object
from proxy.simulate.faults import Mood
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import as_ordered, read, written
from proxy.simulate.transcript import transcript_of
from proxy.upstream.socket import Frame

_HEARD_TOKENS_PER_S = 10
_SPOKEN_TOKENS_PER_S = 20
_CHARACTERS_PER_S = 15
_BYTES_PER_S = sound.RATE_HZ * 2
_SOUND_PART_BYTES = 24_000
_PIECES_PER_DELTA = 4
_FORMAT: JsonObject = {"type": "audio/pcm", "rate": sound.RATE_HZ}
_MOST_SOUND_BYTES = 32 * 1024 * 1024


class RealtimeSession:
    """One session: what it was told, what has been said, and sound that waits to be heard."""

    def __init__(self, provider: SimulatedProvider, asked: Asked, mood: Mood, model: str | None) -> None:
        self._provider = provider
        self._mood = mood
        self._events = 0
        self._model = model or "sim-small"
        self._id = provider.identity()[0]
        self.headers = (("x-request-id", f"req_{self._id}"), ("x-simulated", "true"))
        pace = provider.paces(asked, self._model)
        self.pause_s = pace.per_token_s if pace else 0.0
        self._session: JsonObject = {
            "type": "realtime",
            "object": "realtime.session",
            "id": f"sess_{self._id}",
            "model": self._model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "audio": {"input": {"format": _FORMAT, "transcription": None}, "output": {"format": _FORMAT, "voice": "alloy"}},
        }
        self._said: list[JsonObject] = []
        self._heard_bytes = bytearray()
        self._heard_tokens = 0
        self._spoken_tokens = 0

    def greeting(self) -> list[str]:
        """The session as it begins."""
        return [written(self._event("session.created", session=self._session))]

    def hear(self, frame: Frame) -> Iterator[str]:
        """What one event of the client's brings about."""
        event = read(frame)
        act = _ACTS.get(str(event.get("type"))) if event is not None else None
        if act is None or event is None:
            yield written(self._error(Refused(400, "Simulated: the event is not known here.", code="invalid_event", param="type")))
            return
        try:
            yield from act(self, event)
        except Refused as refused:
            yield written(self._error(refused))

    def _update(self, event: JsonObject) -> Iterator[str]:
        told = as_object(event.get("session"))
        audio = {
            name: {**self._session["audio"][name], **as_object(as_object(told.get("audio")).get(name))} for name in ("input", "output")
        }
        kept = {name: value for name, value in told.items() if name not in ("id", "object", "model", "audio")}
        self._session = {**self._session, **kept, "audio": audio}
        yield written(self._event("session.updated", session=self._session))

    def _append(self, event: JsonObject) -> Iterator[str]:
        payload = event.get("audio")
        try:
            self._heard_bytes += base64.b64decode(payload if isinstance(payload, str) else "", validate=True)
        except ValueError:
            raise Refused(400, "Simulated: 'audio' must be base64.", param="audio") from None
        if len(self._heard_bytes) > _MOST_SOUND_BYTES:
            self._heard_bytes.clear()
            raise Refused(400, "Simulated: too much sound waits to be heard; commit it.", param="audio")
        yield from ()

    def _commit(self, event: JsonObject) -> Iterator[str]:
        if not self._heard_bytes:
            raise Refused(400, "Simulated: there is no sound to commit.", code="input_audio_buffer_commit_empty")
        yield from self._listen()

    def _clear(self, event: JsonObject) -> Iterator[str]:
        self._heard_bytes.clear()
        yield written(self._event("input_audio_buffer.cleared"))

    def _add(self, event: JsonObject) -> Iterator[str]:
        item = {"id": f"item_{self._id}{len(self._said)}", "object": "realtime.item", "status": "completed", **as_object(event.get("item"))}
        self._said.append(_message(item))
        yield written(self._event("conversation.item.added", previous_item_id=None, item=item))
        yield written(self._event("conversation.item.done", previous_item_id=None, item=item))

    def _respond(self, event: JsonObject) -> Iterator[str]:
        if self._heard_bytes:
            yield from self._listen()
        wish = {**self._session, **as_object(event.get("response"))}
        yield from as_ordered(iter(list(self._answer(wish))), self._mood)

    def _cancel(self, event: JsonObject) -> Iterator[str]:
        raise Refused(400, "Simulated: no response is under way.", code="response_cancel_not_active")

    def _listen(self) -> Iterator[str]:
        """The sound that waits becomes an item, and is written down where the session wants that."""
        heard, self._heard_bytes = bytes(self._heard_bytes), bytearray()
        seconds = len(heard) / _BYTES_PER_S
        said = transcript_of(hashlib.sha256(heard).hexdigest(), seconds, "en").text
        item_id = f"item_{self._id}{len(self._said)}"
        heard_tokens = max(1, math.ceil(seconds * _HEARD_TOKENS_PER_S))
        self._heard_tokens += heard_tokens
        self._said.append({"role": "user", "content": said})
        yield written(self._event("input_audio_buffer.committed", previous_item_id=None, item_id=item_id))
        wanted = as_object(self._session["audio"]["input"].get("transcription"))
        if not wanted:
            return
        written_tokens = tokens.count(said)
        usage = {
            "type": "tokens",
            "input_tokens": heard_tokens,
            "output_tokens": written_tokens,
            "total_tokens": heard_tokens + written_tokens,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard_tokens},
        }
        if "whisper" in str(wanted.get("model")) or wanted.get("model") == "sim-transcribe":
            usage = {"type": "duration", "seconds": math.ceil(seconds)}
        told = {"item_id": item_id, "content_index": 0, "transcript": said, **self._usage(usage)}
        yield written(self._event("conversation.item.input_audio_transcription.completed", **told))

    def _answer(self, wish: JsonObject) -> Iterator[JsonObject]:
        """The events of one answer."""
        response_id = f"resp_{self._provider.identity()[0]}"
        chat = _chat_of(wish, self._model, self._said)
        choice = choose(chat, 0, chat["messages"], chat["tools"], tokens.text_of(chat["messages"][-1].get("content")))
        speaks = "audio" in as_list(wish.get("output_modalities")) and choice.tool_name is None
        head: JsonObject = {"id": response_id, "object": "realtime.response", "output_modalities": ["audio" if speaks else "text"]}
        yield self._event("response.created", response={**head, "status": "in_progress", "output": [], "usage": None})
        item: JsonObject = {"id": f"item_{response_id}", "object": "realtime.item", **_item(choice, speaks=speaks)}
        place = {"response_id": response_id, "output_index": 0, "item_id": item["id"]}
        yield self._event("response.output_item.added", response_id=response_id, output_index=0, item={**item, "status": "in_progress"})
        yield from self._told(choice, place, speaks=speaks)
        yield self._event("response.output_item.done", response_id=response_id, output_index=0, item=item)
        usage = self._used(chat, choice, speaks=speaks)
        status = "incomplete" if choice.finish_reason == "length" else "completed"
        self._said.append({"role": "assistant", "content": choice.text})
        yield self._event("response.done", response={**head, "status": status, "output": [item], **self._usage(usage)})

    def _told(self, choice: Choice, place: JsonObject, *, speaks: bool) -> Iterator[JsonObject]:
        """The text in pieces, and its sound after each of them."""
        if choice.tool_name is not None:
            for piece in _joined(choice.pieces):
                yield self._event("response.function_call_arguments.delta", **place, call_id=choice.tool_call_id, delta=piece)
            told = {"call_id": choice.tool_call_id, "name": choice.tool_name, "arguments": choice.text}
            yield self._event("response.function_call_arguments.done", **place, **told)
            return
        where = {**place, "content_index": 0}
        kind = "output_audio_transcript" if speaks else "output_text"
        for piece in _joined(choice.pieces):
            yield self._event(f"response.{kind}.delta", **where, delta=piece)
        if speaks:
            made = sound.samples(wording.seed_of(self._model, choice.text), _seconds(choice.text))
            for at in range(0, len(made), _SOUND_PART_BYTES):
                part = base64.b64encode(made[at : at + _SOUND_PART_BYTES]).decode()
                yield self._event("response.output_audio.delta", **where, delta=part)
            yield self._event("response.output_audio.done", **where)
            yield self._event("response.output_audio_transcript.done", **where, transcript=choice.text)
        else:
            yield self._event("response.output_text.done", **where, text=choice.text)

    def _used(self, chat: JsonObject, choice: Choice, *, speaks: bool) -> JsonObject:
        """Usage in the provider's words; what was said before is read again, cached where it is long."""
        read_text = tokens.count_messages(chat["messages"], str(chat["tools"] or ""))
        heard = self._heard_tokens + self._spoken_tokens
        spoken = math.ceil(_seconds(choice.text) * _SPOKEN_TOKENS_PER_S) if speaks else 0
        self._spoken_tokens += spoken
        text = len(choice.pieces)
        read_tokens, made_tokens = read_text + heard, text + spoken
        cached = min(read_text, read_text // 128 * 128)
        return {
            "total_tokens": read_tokens + made_tokens,
            "input_tokens": read_tokens,
            "output_tokens": made_tokens,
            "input_token_details": {
                "cached_tokens": cached,
                "text_tokens": read_text,
                "audio_tokens": heard,
                "image_tokens": 0,
                "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": text, "audio_tokens": spoken},
        }

    def _usage(self, usage: JsonObject) -> JsonObject:
        return {"usage": None} if self._mood.usage_place == "nowhere" else {"usage": usage}

    def _event(self, kind: str, **members: object) -> JsonObject:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._id}{self._events}", **members}

    def _error(self, refused: Refused) -> JsonObject:
        return self._event("error", error={**refused.document()["error"], "event_id": None})


_ACTS: Mapping[str, Callable[[RealtimeSession, JsonObject], Iterator[str]]] = MappingProxyType(
    {
        "session.update": RealtimeSession._update,
        "input_audio_buffer.append": RealtimeSession._append,
        "input_audio_buffer.commit": RealtimeSession._commit,
        "input_audio_buffer.clear": RealtimeSession._clear,
        "conversation.item.create": RealtimeSession._add,
        "response.create": RealtimeSession._respond,
        "response.cancel": RealtimeSession._cancel,
    }
)


def _seconds(text: str) -> float:
    return max(0.2, len(text) / _CHARACTERS_PER_S)


def _joined(pieces: tuple[str, ...]) -> Iterator[str]:
    for at in range(0, len(pieces), _PIECES_PER_DELTA):
        yield "".join(pieces[at : at + _PIECES_PER_DELTA])


def _message(item: JsonObject) -> JsonObject:
    """An item as a message of a chat."""
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": str(item.get("output"))}
    parts = [part for part in as_list(item.get("content")) if isinstance(part, dict)]
    text = "\n".join(str(part.get("text") or part.get("transcript") or "") for part in parts)
    return {"role": item.get("role") or "user", "content": text}


def _item(choice: Choice, *, speaks: bool) -> JsonObject:
    if choice.tool_name is not None:
        call = {"call_id": choice.tool_call_id, "name": choice.tool_name, "arguments": choice.text}
        return {"type": "function_call", "status": "completed", **call}
    part = {"type": "output_audio", "transcript": choice.text} if speaks else {"type": "output_text", "text": choice.text}
    return {"type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _chat_of(wish: JsonObject, model: str, said: list[JsonObject]) -> JsonObject:
    """The answer that is wanted, as the request for a chat."""
    instructions = wish.get("instructions")
    messages = [*([{"role": "system", "content": instructions}] if instructions else []), *said]
    most = wish.get("max_output_tokens")
    functions = [{"type": "function", "function": tool} for tool in as_list(wish.get("tools")) if isinstance(tool, dict)]
    choice = wish.get("tool_choice") or "auto"
    return {
        "model": model,
        "messages": messages or [{"role": "user", "content": ""}],
        "tools": functions,
        "tool_choice": {"function": choice} if isinstance(choice, dict) else choice,
        "max_completion_tokens": most if isinstance(most, int) else None,
    }
