"""One answer on a socket, gathered from the frames that pass. It must never keep a sound, a picture or more text than it counts."""

from dataclasses import dataclass, field
from typing import Protocol

from estimators.usage import Usage
from proxy.attribute import Tags
from proxy.call import Outcome
from proxy.endpoints.base import Ask
from proxy.keys.limits import Ticket
from proxy.policy.decide import Decision
from proxy.upstream.socket import Frame

LONGEST_TEXT = 256 * 1024
"""Characters kept to be counted; what goes beyond counts by its length."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A call on a socket. Times are monotonic seconds. answer: the event that ended it, for its facts beyond tokens; may be empty.

    read_tokens, heard_s: what went in, as far as it was seen, for an answer that is never told whole. usage: the provider's.
    decision: of this very call, None for that of the socket. ticket: what it reserved of its key's limits.
    """

    ask: Ask
    began: float
    tags: Tags | None = None
    decision: Decision | None = None
    ticket: Ticket | None = None
    first: float | None = None
    response_id: str | None = None
    served_model: str | None = None
    texts: list[str] = field(default_factory=list)
    text_length: int = 0
    spoken_s: float = 0.0
    read_tokens: int = 0
    heard_s: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    usage: Usage | None = None
    answer: bytes = b""
    ended: bool = False
    generated: bool = True
    status: int = 200
    outcome: Outcome = "ok"

    def write(self, text: str, now: float) -> None:
        """Some more of its text."""
        self.first = self.first or now
        if self.text_length < LONGEST_TEXT:
            self.texts.append(text)
        self.text_length += len(text)

    def speak(self, seconds: float, now: float) -> None:
        """Some more of its sound."""
        self.first = self.first or now
        self.spoken_s += seconds

    @property
    def text(self) -> str:
        """The text that was kept."""
        return "".join(self.texts)

    @property
    def has_content(self) -> bool:
        """True when a part of an answer was seen."""
        return bool(self.text_length or self.spoken_s)


class Listener(Protocol):
    """Follows one socket's frames."""

    def from_client(self, frame: Frame) -> None:
        """A frame that leaves for the provider."""

    def from_provider(self, frame: Frame, now: float) -> Exchange | None:
        """A frame that comes from the provider; the call that it ends, if it ends one."""

    def unfinished(self, now: float) -> list[Exchange]:
        """Calls under way when the socket ends, and those that are known at its end only; handed out once."""


class Deaf:
    """Follows nothing: frames of an unmetered socket."""

    def from_client(self, frame: Frame) -> None:
        """Nothing is read."""

    def from_provider(self, frame: Frame, now: float) -> Exchange | None:
        """Nothing is read."""
        return None

    def unfinished(self, now: float) -> list[Exchange]:
        """There are none."""
        return []
