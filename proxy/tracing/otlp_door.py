"""The one door of OpenTelemetry: takes spans as plain values and sends them by OTLP over HTTP. It must never be opened on the event loop.

It is imported only where tracing is configured: its packages take a third of a second. Spans are handed to the SDK's exporter as they
are once they have ended; its pipeline, which would make them while calls run, costs the event loop ten times what is kept here.
"""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from proxy.gen_ai_names import SERVICE_NAME, SERVICE_VERSION
from proxy.tracing.spans import Kind, Span

SCOPE = "grammage"
KINDS: Mapping[Kind, api.SpanKind] = {"server": api.SpanKind.SERVER, "client": api.SpanKind.CLIENT}
NO_STATE = api.TraceState()


class OtlpDoor:
    """Belongs to one thread. `close` may be called from another one, and ends a waiting `export`."""

    def __init__(self, *, url: str, headers: Mapping[str, str], service_name: str, version: str, timeout_s: float) -> None:
        """url: the whole address spans are posted to. timeout_s: how long one export may take, its repeats included."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # who asks for an export says what became of it, once
        self._resource = Resource.create({SERVICE_NAME: service_name, SERVICE_VERSION: version})
        self._scope = InstrumentationScope(SCOPE, version)
        self._exporter = OTLPSpanExporter(endpoint=url, headers=dict(headers), timeout=timeout_s)

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends the spans in one request; True when they were taken."""
        return self._exporter.export([self._ended(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Gives up what is being sent."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the library has no types there

    def _ended(self, span: Span) -> ReadableSpan:
        state = api.TraceState.from_header([span.state]) if span.state else NO_STATE
        trace_id, flags = int(span.trace_id, 16), api.TraceFlags(span.flags)
        from_afar = span.kind == "server"
        parent = None if span.parent_id is None else api.SpanContext(trace_id, int(span.parent_id, 16), from_afar, flags, state)
        return ReadableSpan(
            span.name,
            context=api.SpanContext(trace_id, int(span.span_id, 16), False, flags, state),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            kind=KINDS[span.kind],
            status=api.Status() if span.error is None else api.Status(api.StatusCode.ERROR, span.error),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )
