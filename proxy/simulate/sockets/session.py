"""The shape of a simulated session on a socket: it greets, hears a frame, says events. It must never wait: its reader sets the pace."""

import json
from collections.abc import Iterator
from typing import Protocol

from proxy.simulate.exchange import Cut, JsonObject
from proxy.simulate.faults import Mood
from proxy.upstream.socket import Frame

_EVENTS_BEFORE_CUT = 2


class Session(Protocol):
    """One session."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the handshake's answer."""

    @property
    def pause_s(self) -> float:
        """Between two events."""

    def greeting(self) -> list[str]:
        """What is said first."""

    def hear(self, frame: Frame) -> Iterator[str]:
        """What is said to a frame of the client's. Raises Cut where the connection is to break."""


def written(event: JsonObject) -> str:
    """An event as it travels."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def read(frame: Frame) -> JsonObject | None:
    """The event in a frame, None when it is none."""
    try:
        event = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def as_ordered(events: Iterator[JsonObject], mood: Mood) -> Iterator[str]:
    """An answer's events as they travel; cut, or silent from some event on, where that was ordered."""
    cut, stall = mood.has("cut"), mood.has("stall")
    last = mood.number("cut" if cut else "stall", _EVENTS_BEFORE_CUT)
    for number, event in enumerate(events):
        if (cut or stall) and number >= last:
            if cut:
                raise Cut
            return
        yield written(event)
