"""Makes an Ask of a request's bytes. It must never judge a field that is the provider's to judge."""

import json

import msgspec

from proxy.endpoints.base import Ask, Endpoint, Head
from proxy.endpoints.form import MULTIPART, Form, asked_in, is_form, read_form
from proxy.endpoints.reading import object_of, text_of
from proxy.errors import BadRequest, UnsupportedMediaType
from proxy.splice import decode_leniently, find_member

LONGEST_ALIAS = 256
LONGEST_LENIENT_BYTES = 64 * 1024
UNNAMED_MODEL = "unnamed"
"""Stands for the model of a form that has not come to it, and of one that never names it."""

NOT_NAMED = (b"", b"null")
NOT_AN_OBJECT = 'the request body is JSON but not an object; send {"model": ..., ...}.'


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
    options = object_of(head.stream_options) if stream else {}
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
