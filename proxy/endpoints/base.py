"""What one endpoint needs to say about itself, and what a parsed request holds. It must never name a provider."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from config.providers import Dialect
from estimators.usage import Usage
from proxy.endpoints.form import Form
from proxy.endpoints.reading import object_of, text_of

_EMPTY = msgspec.Raw(b"")


class Head(msgspec.Struct):
    """The few fields that are read; all stay raw, so that a wrong type elsewhere is the provider's to judge."""

    model: msgspec.Raw = _EMPTY
    stream: msgspec.Raw = _EMPTY
    stream_options: msgspec.Raw = _EMPTY
    messages: msgspec.Raw = _EMPTY
    prompt: msgspec.Raw = _EMPTY
    input: msgspec.Raw = _EMPTY
    tools: msgspec.Raw = _EMPTY
    max_tokens: msgspec.Raw = _EMPTY
    max_completion_tokens: msgspec.Raw = _EMPTY
    max_output_tokens: msgspec.Raw = _EMPTY
    n: msgspec.Raw = _EMPTY
    metadata: msgspec.Raw = _EMPTY
    store: msgspec.Raw = _EMPTY
    user: msgspec.Raw = _EMPTY
    safety_identifier: msgspec.Raw = _EMPTY


HEAD: msgspec.json.Decoder[Head] = msgspec.json.Decoder(Head)


class Picture(NamedTuple):
    """A picture that is shown to the model: its sides in pixels, None where they are not told, and the detail that is asked for."""

    width: int | None = None
    height: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The countable parts of a request: texts, a fixed token overhead of the dialect, and what is shown, heard and offered.

    images: how many pictures; `pictures`: those that the provider counts as tokens. sound_seconds: of all recordings together.
    functions: definitions ({name, description, parameters}) of what may be called; shares_frame: there is a system message that they
    stand in; tool_texts: other tools as they were given. forced_call: the caller says which function is to be called, or that none is.
    """

    texts: tuple[str, ...]
    overhead_tokens: int = 0
    images: int = 0
    pictures: tuple[Picture, ...] = ()
    sound_seconds: float = 0.0
    functions: tuple[dict[str, Any], ...] = ()
    tool_texts: tuple[str, ...] = ()
    shares_frame: bool = False
    forced_call: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the ENDPOINTS table.

    operation: its name in records and metrics; weighed_as: the estimators' word for it. content: the request field that holds the prompt.
    writes: its answers are text, of the length that the alias's answers usually have.
    prompt, reply_text, event_text: read what can be counted, used only when the provider reports no usage.
    usage_of: the usage with what request and answer say beyond tokens; the answer is empty before there is one, and may be cut.
    terminal_events: types of the events that end a stream and carry its usage; none: a chat stream, ended by [DONE].
    forces_usage: a stream tells its usage only when asked to. binary: a whole answer is passed on as it comes, unread.
    unfinished: whether a whole answer says that the work goes on behind it. default_alias: stands for the model that is not named.
    form: whether the request is JSON, a multipart form, or either. plain: a whole answer may be text, which reply_text reads too.
    dialect: whose API it belongs to. Where {model} stands in the path, the model stands there and not in the body.
    head: reads the fields that this dialect's requests hold beside the common ones. streams: every answer comes in parts.
    usage_reader: reads the usage of this dialect; usage_key: its name in an answer. stream_text: all text of a stream that is no events.
    output_limit: the caller's own limit of a dialect that has it elsewhere. counts: it only says how many tokens a request has.
    kept_as: the id under which the provider keeps the answer, if it does. goes_on: whether the work was asked to go on behind the answer;
    it is weighed when it has ended then. refers: request fields that name what a provider keeps, and so who must serve the call.
    """

    path: str
    operation: str
    weighed_as: str
    content: str
    writes: bool
    prompt: Callable[[bytes], Prompt]
    reply_text: Callable[[bytes], tuple[str, ...]]
    event_text: Callable[[bytes], str]
    usage_of: "Callable[[Ask, bytes, Usage], Usage] | None" = None
    terminal_events: tuple[str, ...] = ()
    forces_usage: bool = False
    binary: bool = False
    unfinished: Callable[[bytes], bool] | None = None
    default_alias: str | None = None
    form: Literal["never", "either", "only"] = "never"
    plain: bool = False
    dialect: Dialect = "openai"
    head: "msgspec.json.Decoder[Head]" = HEAD
    streams: bool = False
    usage_reader: Callable[[bytes], Usage | None] | None = None
    usage_key: str = "usage"
    stream_text: Callable[[bytes], str] | None = None
    output_limit: "Callable[[Ask], int | None] | None" = None
    counts: bool = False
    kept_as: "Callable[[Ask, bytes], str | None] | None" = None
    goes_on: "Callable[[Ask], bool] | None" = None
    refers: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Ask:
    """One parsed request. `wants_usage`: the client asked for the usage chunk itself. Sizes in bytes, without inlined pictures.

    form: where its parts stand, when the body is a multipart form. asked: the request's fields as a JSON object, form or not.
    """

    endpoint: Endpoint
    body: bytes
    alias: str
    stream: bool
    wants_usage: bool
    head: Head
    content_bytes: int
    form: Form | None = None
    asked: bytes = b""

    def __post_init__(self) -> None:
        self.asked = self.asked or self.body

    def whole(self, field: str) -> int | None:
        """A request field as a positive whole number, or None."""
        raw = bytes(getattr(self.head, field))
        return int(raw) if raw.isdigit() and len(raw) < 10 and int(raw) > 0 else None

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's own limit, per choice."""
        if self.endpoint.output_limit is not None:
            return self.endpoint.output_limit(self)
        return self.whole("max_completion_tokens") or self.whole("max_tokens") or self.whole("max_output_tokens")

    @property
    def end_user(self) -> str | None:
        """Whom the caller says it acts for: an identifier, never to be kept as it is."""
        head = self.head
        if self.endpoint.dialect == "anthropic":
            metadata = object_of(head.metadata)
            user = metadata.get("user_id")
            return user if isinstance(user, str) and user else None
        if not bytes(head.safety_identifier) and not bytes(head.user):
            return None
        return self.text("safety_identifier") or self.text("user") or None

    def text(self, field: str) -> str | None:
        """A request field as a string, or None."""
        return text_of(getattr(self.head, field))
