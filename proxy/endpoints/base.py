"""What one endpoint needs to say about itself, and what a parsed request holds. It must never name a provider."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from config.providers import Dialect
from estimators.usage import Usage
from proxy.endpoints.form import MULTIPART, Form, asked_in, is_form, read_form
from proxy.errors import BadRequest, UnsupportedMediaType
from proxy.splice import decode_leniently, find_member

S = TypeVar("S", bound=msgspec.Struct)
_EMPTY = msgspec.Raw(b"")
LONGEST_ALIAS = 256
LONGEST_LENIENT_BYTES = 64 * 1024
DEEPEST_CONTENT = 16
UNNAMED_MODEL = "unnamed"
"""Stands for the model of a form that has not come to it, and of one that never names it."""

NOT_NAMED = (b"", b"null")
NOT_AN_OBJECT = 'the request body is JSON but not an object; send {"model": ..., ...}.'


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
            metadata = _object(head.metadata)
            user = metadata.get("user_id")
            return user if isinstance(user, str) and user else None
        if not bytes(head.safety_identifier) and not bytes(head.user):
            return None
        return self.text("safety_identifier") or self.text("user") or None

    def text(self, field: str) -> str | None:
        """A request field as a string, or None."""
        return text_of(getattr(self.head, field))


def text_of(raw: msgspec.Raw) -> str | None:
    """The string in a raw JSON value, or None if it is not one."""
    try:
        return msgspec.json.decode(raw, type=str) if bytes(raw)[:1] == b'"' else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def parse(endpoint: Endpoint, body: bytes, content_type: bytes = b"", *, model: str | None = None) -> Ask:
    """The request in `body`. model: stands in its path, and goes before the body's own.

    Raises BadRequest (malformed_json, malformed_form, missing_model, invalid_type), UnsupportedMediaType.
    """
    if endpoint.form == "never" or (endpoint.form == "either" and not is_form(content_type)):
        return _ask(endpoint, body, _head_of(endpoint, body), model=model)
    if not is_form(content_type):
        shown = content_type[:40].decode("latin-1")
        raise UnsupportedMediaType(
            f"{endpoint.path} takes a file, got content-type {shown!r}; send it as {MULTIPART.decode()}.", code="unsupported_content_type"
        )
    form = read_form(content_type, body)
    asked = asked_in(form, body)
    return _ask(endpoint, body, _head_of(endpoint, asked), form, asked, model=model)


def parse_fields(endpoint: Endpoint, asked: bytes, form: Form, *, model: str | None, complete: bool) -> Ask:
    """The request of a form that is not held, by its fields. complete: they are all there, or the one that names the model is.

    Raises BadRequest (missing_model, invalid_type) for a complete one; of another one only what can be read counts.
    """
    if complete:
        return _ask(endpoint, b"", _head_of(endpoint, asked), form, asked, model=model)
    try:
        return _ask(endpoint, b"", _head_of(endpoint, asked), form, asked, model=model)
    except BadRequest:
        return _ask(endpoint, b"", endpoint.head.type(), form, asked, model=model or endpoint.default_alias or UNNAMED_MODEL)


def _head_of(endpoint: Endpoint, body: bytes) -> Head:
    try:
        return decode_leniently(endpoint.head, body)
    except msgspec.ValidationError as error:
        raise BadRequest(NOT_AN_OBJECT, code="invalid_type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if len(body) > LONGEST_LENIENT_BYTES:
            raise BadRequest(f"the request body is not valid JSON: {error}; send a JSON object.", code="malformed_json") from error
        return _lenient_head(endpoint.head.type, body)


def _ask(endpoint: Endpoint, body: bytes, head: Head, form: Form | None = None, asked: bytes = b"", *, model: str | None = None) -> Ask:
    """The request of which `head` was read. Raises BadRequest (missing_model, invalid_type)."""
    alias = text_of(head.model) if model is None else model
    if alias is None and bytes(head.model) in NOT_NAMED:
        alias = endpoint.default_alias
    if not alias or len(alias) > LONGEST_ALIAS or not alias.isprintable():
        raise _bad_model(head, model)
    stream = endpoint.streams or _flag(head.stream, "stream")
    options = _object(head.stream_options) if stream else {}
    content = memoryview(getattr(head, endpoint.content)).nbytes
    pictures = 0 if form is not None else _picture_bytes(body)
    return Ask(
        endpoint=endpoint,
        body=body,
        alias=alias,
        stream=stream,
        wants_usage=options.get("include_usage") is True,
        head=head,
        content_bytes=content - pictures if content > pictures else content,
        form=form,
        asked=asked,
    )


def _lenient_head(kind: type[Head], body: bytes) -> Head:
    """The head of short JSON that only a lenient reader takes: NaN, a byte order mark. Raises BadRequest (malformed_json, invalid_type)."""
    try:
        request = json.loads(body)
    except RecursionError as error:
        raise BadRequest("the request body is nested too deeply to be read; flatten it.", code="malformed_json") from error
    except ValueError as error:
        raise BadRequest(f"the request body is not valid JSON: {error}; send a JSON object.", code="malformed_json") from error
    if not isinstance(request, dict):
        raise BadRequest(NOT_AN_OBJECT, code="invalid_type")
    found = {name: find_member(body, name) for name in kind.__struct_fields__}
    return kind(**{name: msgspec.Raw(body[at.value : at.end]) for name, at in found.items() if at is not None})


def _bad_model(head: Head, model: str | None) -> BadRequest:
    raw = bytes(head.model) if model is None else repr(model).encode("utf-8", "replace")
    if not raw:
        return BadRequest('the request names no model; add "model": "<alias>".', code="missing_model", param="model")
    shown = raw[:40].decode("utf-8", "replace")
    return BadRequest(
        f"model must be a printable string of 1 to {LONGEST_ALIAS} characters, got {shown}.", code="invalid_type", param="model"
    )


def _flag(raw: msgspec.Raw, name: str) -> bool:
    value = bytes(raw)
    if value in (b"", b"false", b"null"):
        return False
    if value == b"true":
        return True
    shown = value[:40].decode("utf-8", "replace")
    raise BadRequest(f"{name} must be true or false, got {shown}.", code="invalid_type", param=name)


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    if bytes(raw)[:1] != b"{":
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _picture_bytes(body: bytes) -> int:
    """Bytes of base64 payloads, which say nothing of the token count; they stand in the prompt, or all of them beside it."""
    size = 0
    at = body.find(b";base64,")
    while at >= 0:
        end = body.find(b'"', at)
        if end < 0:
            break
        size += end - at
        at = body.find(b";base64,", end)
    return size


def decoded(raw: bytes) -> Any:
    """The JSON value in `raw`, or None when it is absent or cannot be read."""
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def fields_of(kind: type[S], decoder: msgspec.json.Decoder[S], body: bytes) -> S:
    """The few members of the JSON object `body` that `kind` names, as they are; nothing where it cannot be read."""
    try:
        return decode_leniently(decoder, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = decoded(body)
        known = {name: found[name] for name in kind.__struct_fields__ if name in found} if isinstance(found, dict) else {}
        return kind(**known)


def joined(value: Any, depth: int = 0) -> str:
    """All text in a content value: a string, or the `text`/`content`/`refusal` of its parts."""
    if isinstance(value, str):
        return value
    if depth > DEEPEST_CONTENT:
        return ""
    if isinstance(value, list):
        return "".join(joined(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return "".join(joined(value.get(key), depth + 1) for key in ("text", "content", "refusal", "reasoning", "reasoning_content"))
    return ""


def no_text(body: bytes) -> tuple[str, ...]:
    """The text of answers that hold none."""
    return ()


def no_event_text(payload: bytes) -> str:
    """The text of events that hold none."""
    return ""
