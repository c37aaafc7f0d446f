"""The endpoints that write down what they hear: weighed by seconds heard or tokens told. They must never listen, nor see a provider.

The text that may go with a recording is a hint of a few words; it is not counted, so that it cannot pass for the recording's tokens.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.reading import decoded, fields_of

LONGEST_S = 1e7
DELTA = "transcript.text.delta"
_GAP = re.compile(r"\s*\n\s*")
_CUE = re.compile(r"^(WEBVTT.*|\d+|[\d:.,]+ --> .*)$", re.MULTILINE)


class _Heard(msgspec.Struct):
    usage: Any = None
    duration: Any = None


class _Uploaded(msgspec.Struct):
    file: Any = None


_HEARD = msgspec.json.Decoder(_Heard)
_UPLOADED = msgspec.json.Decoder(_Uploaded)


def _prompt(body: bytes) -> Prompt:
    return Prompt(texts=())


def _reply_text(body: bytes) -> tuple[str, ...]:
    """What was written down: the `text` of a JSON answer, else the lines of a plain one less the cues of subtitles."""
    if body.lstrip()[:1] == b"{":
        reply = decoded(body)
        text = reply.get("text") if isinstance(reply, dict) else None
        return (text,) if isinstance(text, str) else ()
    try:
        return (_GAP.sub("\n", _CUE.sub("", body.decode())).strip(),)
    except UnicodeDecodeError:
        return ()


def _event_text(payload: bytes) -> str:
    """The new words of an event; the last one repeats them all."""
    event = decoded(payload)
    delta = event.get("delta") if isinstance(event, dict) and event.get("type") == DELTA else None
    return delta if isinstance(delta, str) else ""


def _usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The usage with the seconds heard: the answer's word before the recording's header."""
    return replace(usage, media=Media(audio_input_seconds=_told_seconds(answer) or _uploaded_seconds(ask)))


def _told_seconds(answer: bytes) -> float | None:
    if answer.lstrip()[:1] != b"{":
        return None
    told = fields_of(_Heard, _HEARD, answer)
    usage = told.usage if isinstance(told.usage, dict) else {}
    return _seconds(usage.get("seconds")) or _seconds(told.duration)


def _seconds(value: Any) -> float | None:
    """A length as a number, or as a provider writes one in a string; None for what cannot be one."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < LONGEST_S else None


def _uploaded_seconds(ask: Ask) -> float | None:
    files = fields_of(_Uploaded, _UPLOADED, ask.asked).file
    first = files[0] if isinstance(files, list) and files else None
    return _seconds(first.get("seconds")) if isinstance(first, dict) else None


def _listening(path: str, operation: str) -> Endpoint:
    return Endpoint(
        path=path,
        operation=operation,
        weighed_as=operation,
        content="input",
        writes=False,
        prompt=_prompt,
        reply_text=_reply_text,
        event_text=_event_text,
        usage_of=_usage_of,
        terminal_events=("transcript.text.done",),
        form="only",
        plain=True,
    )


TRANSCRIPTIONS = _listening("/v1/audio/transcriptions", "transcription")
TRANSLATIONS = _listening("/v1/audio/translations", "translation")
