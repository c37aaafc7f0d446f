"""Spans of an OTLP request in JSON. It must never decode the value of an attribute that is not read: it may be somebody's text."""

from collections.abc import Iterator
from typing import Final

import msgspec

from proxy.observe.span import BadTelemetry, Scalar, Span, Wanted, facts_of

ERROR: Final = (2, "STATUS_CODE_ERROR")
_HEX: Final = frozenset("0123456789abcdef")


class _Camel(msgspec.Struct, rename="camel"):
    pass


class _Value(_Camel):
    string_value: str | None = None
    int_value: str | int | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None


class _Attribute(_Camel):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Status(_Camel):
    code: int | str = 0


class _Span(_Camel):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Attribute] | None = None
    status: _Status | None = None


class _Scope(_Camel):
    spans: list[_Span] | None = None


class _Resource(_Camel):
    attributes: list[_Attribute] | None = None


class _ResourceSpans(_Camel):
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None


class _Request(_Camel):
    resource_spans: list[_ResourceSpans] | None = None


_request: Final = msgspec.json.Decoder(_Request)
_value: Final = msgspec.json.Decoder(_Value)


def spans(body: bytes, wanted: Wanted) -> Iterator[Span | None]:
    """The spans of the request, None for one whose ids or times are none. Raises BadTelemetry."""
    try:
        request = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadTelemetry(f"the body is no ExportTraceServiceRequest in JSON: {_plainly(error)}") from error
    for group in request.resource_spans or ():
        around = _read(group.resource.attributes if group.resource is not None else None, wanted)
        shared = wanted.tags_of(around)
        for scope in group.scope_spans or ():
            for span in scope.spans or ():
                yield _span(span, wanted, shared)


def _span(span: _Span, wanted: Wanted, shared: dict[str, str]) -> Span | None:
    trace_id, span_id, parent_id = span.trace_id.lower(), span.span_id.lower(), span.parent_span_id.lower()
    start, end = _whole(span.start_time_unix_nano), _whole(span.end_time_unix_nano)
    if not (_is_id(trace_id, 32) and _is_id(span_id, 16)) or start is None or end is None:
        return None
    read = _read(span.attributes, wanted)
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id if _is_id(parent_id, 16) else "",
        start_ns=start,
        end_ns=end,
        is_error=span.status is not None and span.status.code in ERROR,
        facts=facts_of(read),
        tags={**shared, **wanted.tags_of(read)},
    )


def _read(attributes: list[_Attribute] | None, wanted: Wanted) -> list[tuple[str, Scalar]]:
    found: list[tuple[str, Scalar]] = []
    for each in attributes or ():
        if wanted.reads(each.key) and (value := _scalar(each.value)) is not None:
            found.append((each.key, value))
    return found


def _scalar(raw: msgspec.Raw) -> Scalar | None:
    """A value of one part; None for a list, bytes or nothing."""
    try:
        value = _value.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if value.int_value is not None:
        return _whole(value.int_value)
    return next((part for part in (value.string_value, value.bool_value, value.double_value) if part is not None), None)


def _whole(value: int | str) -> int | None:
    """A 64-bit integer as JSON writes it, as a number or as text."""
    if isinstance(value, str):
        return int(value) if len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit() else None
    return value


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and set(text) <= _HEX and text.strip("0") != ""


def _plainly(error: Exception) -> str:
    """Why, without anything of what was sent: msgspec names fields and kinds only."""
    if isinstance(error, msgspec.DecodeError):
        return str(error)[:160]
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not UTF-8"
