"""Follows a live session, which tells nothing but how long it lasts, over and over. It must never add one such figure to another."""

from dataclasses import replace

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask
from proxy.sockets.exchange import Exchange
from proxy.sockets.peek import event_of, kind_of, marks_of, member, named
from proxy.sockets.realtime import LONGEST_S
from proxy.upstream.socket import Frame

TOLD = ("session.usage.updated", "session.closed")
CREATED = ("session.created", "session.updated")
MARKS = marks_of((*TOLD, *CREATED))


class Live:
    """One session's listener: a single call, known at its end. What it hears and what it says both last as long as it does."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._session: Exchange | None = None
        self._seconds = 0.0
        self._sent_bytes = 0

    def from_client(self, frame: Frame) -> None:
        """Only its length is of interest."""
        self._sent_bytes += len(frame)

    def from_provider(self, frame: Frame, now: float) -> Exchange | None:
        """The session, when the provider says that it is closed."""
        session = self._session = self._session or Exchange(ask=self._ask, began=now, first=now)
        session.response_bytes += len(frame)
        kind = kind_of(frame, MARKS)
        if kind in CREATED:
            session.served_model = named(member(event_of(frame).session, "model")) or session.served_model
            session.response_id = named(member(event_of(frame).session, "id")) or session.response_id
        elif kind in TOLD:
            seconds = member(event_of(frame).usage, "seconds")
            if isinstance(seconds, int | float) and 0 <= seconds < LONGEST_S:
                self._seconds = max(self._seconds, float(seconds))
            session.ended = kind == "session.closed"
        return self._whole(session) if session.ended else None

    def unfinished(self, now: float) -> list[Exchange]:
        """The session that was not closed by a word: by the last figure told, or by the clock where none was."""
        session = self._session
        if session is None:
            return []
        if not self._seconds:
            self._seconds = max(0.0, now - session.began)
            return [self._whole(session, told=False)]
        return [self._whole(session)]

    def _whole(self, session: Exchange, *, told: bool = True) -> Exchange:
        self._session = None
        session.request_bytes = self._sent_bytes
        media = Media(audio_input_seconds=self._seconds or None, audio_output_seconds=self._seconds or None)
        usage = Usage(source="provider" if told else "estimated", media=media)
        session.usage = usage if session.ended else replace(usage, partial=True)
        return session
