"""The values of one exchange with the simulated provider: what was asked, what an endpoint drafts, what is answered.

They hold facts only; nothing here does I/O.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from proxy.simulate.shelf import Shelf

# A JSON document of a foreign dialect: the wire's own shape, checked where it is read.
JsonObject: TypeAlias = dict[str, Any]

UsagePlace = Literal["as_asked", "last_chunk", "every_chunk", "nowhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived. `path` is without its query; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file of a multipart form."""

    filename: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What an endpoint is given: the parsed body, the id and time to write in the answer, where usage goes, and the answers kept.

    files: the uploads of a multipart form by field; a field `image[]` is called `image`.
    """

    asked: Asked
    body: JsonObject
    call_id: str
    created_s: int
    shelf: Shelf
    files: Mapping[str, tuple[Upload, ...]] = field(default_factory=dict)
    usage_place: UsagePlace = "as_asked"

    def usage(self, usage: JsonObject | None) -> JsonObject:
        """The usage key of a whole answer or of a closing event; empty when there is none, or none may be given."""
        return {} if usage is None or self.usage_place == "nowhere" else {"usage": usage}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStyle:
    """How a stream is written. named: each event with its type as `event:` line. done: [DONE] ends it. choices: chunks hold choices.

    array: no events at all, but one JSON array whose members come one by one.
    """

    named: bool = False
    done: bool = True
    choices: bool = False
    array: bool = False


CHUNKS = EventStyle(choices=True)
NAMED_EVENTS = EventStyle(named=True, done=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an endpoint answers, before faults and framing: a JSON document, a list of events, or plain bytes."""

    status: int = 200
    document: JsonObject | None = None
    events: tuple[JsonObject, ...] | None = None
    style: EventStyle = CHUNKS
    plain: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    model: str = ""
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer as bytes. A stream that raises `Cut` broke in the middle and must never look like a clean end."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | AsyncIterator[bytes] = field(repr=False)
    declared_length: int | None = None


def as_object(value: object) -> JsonObject:
    """The value if it is a JSON object, else an empty one: foreign bodies hold anything anywhere."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


class Refused(Exception):
    """The provider refuses the request; drawn as its error envelope."""

    def __init__(
        self, status: int, message: str, *, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param

    def document(self) -> JsonObject:
        """The error in the provider's envelope."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


class Cut(Exception):
    """The provider's connection breaks here."""
