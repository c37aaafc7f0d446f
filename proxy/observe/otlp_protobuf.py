"""The door of OTLP's protobuf messages, which an extra brings. It must never be needed by a proxy that takes JSON alone."""

import importlib.util
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from proxy.observe.span import BadTelemetry, NoProtobuf, Scalar, Span, Wanted, facts_of

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
ERROR: Final = 2
MISSING: Final = (
    "protobuf cannot be read here: install the extra (pip install 'grammage[otel]'), or let the exporter send JSON "
    "(OTEL_EXPORTER_OTLP_PROTOCOL=http/json)"
)


def is_installed() -> bool:
    """Whether protobuf can be read here."""
    try:
        return importlib.util.find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False


def spans(body: bytes, wanted: Wanted) -> Iterator[Span | None]:
    """The spans of the request, None for one whose ids are none. Raises BadTelemetry, NoProtobuf."""
    try:  # slow to import, and an extra: only for a request that is written so
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError as error:
        raise NoProtobuf(MISSING) from error
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise BadTelemetry("the body is no ExportTraceServiceRequest in protobuf") from error
    for group in request.resource_spans:
        shared = wanted.tags_of(_read(group.resource.attributes, wanted))
        for scope in group.scope_spans:
            for span in scope.spans:
                yield _span(span, wanted, shared)


def _span(span: "Message", wanted: Wanted, shared: dict[str, str]) -> Span | None:
    if not (len(span.trace_id) == TRACE_ID_BYTES and len(span.span_id) == SPAN_ID_BYTES and any(span.trace_id) and any(span.span_id)):
        return None
    read = _read(span.attributes, wanted)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() if len(span.parent_span_id) == SPAN_ID_BYTES else "",
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=span.status.code == ERROR,
        facts=facts_of(read),
        tags={**shared, **wanted.tags_of(read)},
    )


def _read(attributes: "Iterable[KeyValue]", wanted: Wanted) -> list[tuple[str, Scalar]]:
    found: list[tuple[str, Scalar]] = []
    for each in attributes:
        if wanted.reads(each.key) and (kind := each.value.WhichOneof("value")) in _SCALARS:
            found.append((each.key, getattr(each.value, kind)))
    return found


_SCALARS: Final = ("string_value", "int_value", "double_value", "bool_value")
