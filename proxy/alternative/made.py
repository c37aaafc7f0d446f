"""What an alternative makes of a call, or why it cannot. It must never hold both."""

from typing import Literal, NamedTuple, Protocol

from proxy.alternative.wanted import Wanted

PictureFormat = Literal["png", "jpeg", "webp"]


class Text(NamedTuple):
    """A text that answers."""

    text: str


class Drawn(NamedTuple):
    """A picture that answers, as a file of its format."""

    raw: bytes
    form: PictureFormat


class Cannot(NamedTuple):
    """Why the alternative does not answer this call: a word for records, and the fields that it would take, if that is all it lacks."""

    reason: str
    missing: tuple[str, ...] = ()


Made = Text | Drawn


class Way(Protocol):
    """One declared alternative. slow: it belongs in a thread."""

    @property
    def slow(self) -> bool: ...

    def lacks(self, wanted: Wanted) -> Cannot | None:
        """Why it cannot answer the call, None where it should."""

    def make(self, wanted: Wanted) -> Made | Cannot:
        """The answer."""
