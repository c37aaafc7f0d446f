"""oteltest's receiver of OTLP over HTTP, on a port of its own, and the spans that it was sent. It must never know who sends them."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from oteltest.sink import HttpSink
from oteltest.sink.handler import RequestHandler

from tests.contract.proxy_harness import until

KINDS = {2: "server", 3: "client"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One span as it came over the wire; ids as hexadecimal digits."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    flags: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    is_error: bool
    message: str
    resource: Mapping[str, Any]
    scope: str


@dataclass(slots=True)
class Receiver(RequestHandler):  # type: ignore[misc]  # the package has no types
    """Keeps every span, and the headers of every request."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def handle_trace(self, request: Any, headers: Mapping[str, str]) -> None:
        self.headers.append({name.lower(): value for name, value in headers.items()})
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scoped in group.scope_spans:
                self.spans += [_span(span, resource, scoped.scope.name) for span in scoped.spans]

    def handle_metrics(self, request: Any, headers: Mapping[str, str]) -> None:
        raise AssertionError("nobody sends metrics")

    def handle_logs(self, request: Any, headers: Mapping[str, str]) -> None:
        raise AssertionError("nobody sends logs")

    def of_call(self, call_id: str, count: int) -> list[Received]:
        """The spans of a call, its own first, then by the order of attempts, once there are `count` of them."""
        found = until(lambda: got if len(got := self._of(call_id)) >= count else None)
        assert len(found) == count
        return sorted(found, key=lambda span: span.attributes.get("grammage.attempt.ordinal", -1))

    def _of(self, call_id: str) -> list[Received]:
        return [span for span in list(self.spans) if span.attributes["grammage.call_id"] == call_id]


@contextlib.contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    """A receiver that serves."""
    receiver = Receiver()
    port = _free_port()
    sink = HttpSink(receiver, logging.getLogger("tests.otlp"), port)
    sink.start()
    receiver.url = f"http://127.0.0.1:{port}"
    until(lambda: True if _answers(port) else None)
    try:
        yield receiver
    finally:
        sink.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        threading.Event().wait(0.01)
        return False
    return True


def _span(span: Any, resource: Mapping[str, Any], scope: str) -> Received:
    return Received(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        flags=span.flags & 0xFF,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        is_error=span.status.code == 2,
        message=span.status.message,
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
