"""Speaks WS /v1/live/sessions: a session that tells how long it lasts. It must never read a clock: its time is the sound it was sent."""

from collections.abc import Iterator

from proxy.simulate import sound
from proxy.simulate.exchange import Asked, JsonObject
from proxy.simulate.faults import Mood
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import read, written
from proxy.upstream.socket import Frame

_BYTES_PER_S = sound.RATE_HZ * 2
_BASE64 = 0.75


class LiveSession:
    """One session. Every sound is a part of its length, told as the sum so far."""

    def __init__(self, provider: SimulatedProvider, asked: Asked, mood: Mood, model: str | None) -> None:
        self._model = model or "sim-speech"
        self._id = provider.identity()[0]
        self._seconds = 0.0
        self.headers = (("x-request-id", f"req_{self._id}"), ("x-simulated", "true"))
        self.pause_s = 0.0

    def greeting(self) -> list[str]:
        """The session as it begins."""
        return [written({"type": "session.created", "session": {"id": f"live_{self._id}", "model": self._model}})]

    def hear(self, frame: Frame) -> Iterator[str]:
        """How long the session has lasted; its end where that is asked for."""
        event: JsonObject = (read(frame) if isinstance(frame, str) else None) or {}
        if event.get("type") == "session.close":
            yield self._told("session.closed")
            return
        payload = event.get("audio")
        size = len(frame) if isinstance(frame, bytes) else len(payload) * _BASE64 if isinstance(payload, str) else 0
        self._seconds += size / _BYTES_PER_S
        yield self._told("session.usage.updated")

    def _told(self, kind: str) -> str:
        return written({"type": kind, "usage": {"seconds": round(self._seconds, 3)}})
