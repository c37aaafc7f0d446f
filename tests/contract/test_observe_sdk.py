"""Real telemetry: the OpenTelemetry SDK, its OTLP exporter and an instrumentation of the openai client, against a real proxy."""

import gzip
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind

from proxy.observe import otlp_json, otlp_protobuf
from proxy.observe.span import NoProtobuf, Span, Wanted
from tests.contract.instrumented_client import INSTRUMENTATIONS, Exporter, run_instrumented
from tests.contract.proxy_harness import Proxy, proxy, simulated
from tests.contract.spans import CHAT, body, span
from tests.contract.test_observe import counted

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
KEYS = [{"key": "the-collector-key", "name": "collector", "role": "observer"}, {"key": "the-admin-key", "name": "boss", "role": "admin"}]


@contextmanager
def watching(folder: Path, **otlp: Any) -> Iterator[Proxy]:
    """A proxy that takes spans from holders of a key."""
    observe = {"otlp": {"tags": {"tool": "service.name"}, **otlp}}
    with proxy(folder, "http://127.0.0.1:9", keys=KEYS, observe=observe) as served:
        served.headers = {"authorization": "Bearer the-admin-key"}
        yield served


@contextmanager
def tracing(served: Proxy, compression: Compression = Compression.Gzip, key: str = "the-collector-key") -> Iterator[tuple[Any, Exporter]]:
    """A tracer provider whose spans leave as they end, and its exporter."""
    exporter = Exporter(endpoint=f"{served.url}{PATH}", headers={"authorization": f"Bearer {key}"}, compression=compression, timeout=10)
    exporter.results = []
    provider = TracerProvider(resource=Resource.create({"service.name": "studio"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    try:
        yield provider, exporter
    finally:
        provider.shutdown()


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression, Compression.Deflate])
def test_the_sdks_exporter_hands_in_calls(tmp_path: Path, compression: Compression) -> None:
    with watching(tmp_path) as served, tracing(served, compression) as (provider, exporter):
        tracer = provider.get_tracer("a test")
        with (
            tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
            tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT, attributes=CHAT) as current,
        ):
            current.set_attribute("gen_ai.input.messages", "a secret")
            current.set_attribute("gen_ai.response.finish_reasons", ["stop"])
        assert exporter.results == [SpanExportResult.SUCCESS, SpanExportResult.SUCCESS]
        call = served.call()
        assert (call["caller_id"], call["input_tokens"], call["output_tokens"]) == ("observe:collector", 120, 40)
        assert '"tool":"studio"' in call["tags"].replace(" ", "")
        assert call["gco2e"] > 0
        assert counted(served) == {"counted": 1, "around_calls": 1}


def test_the_sdks_exporter_hears_of_refusals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watching(tmp_path) as served:
        with tracing(served, key="nobody") as (provider, exporter):
            provider.get_tracer("a test").start_span("chat", attributes=CHAT).end()
            assert exporter.results == [SpanExportResult.FAILURE]
        assert not served.calls()
        raw = _message(body_of(own=1), bad=2)
        answer = served.send("POST", PATH, raw, {"content-type": PROTOBUF})
        assert answer.value("content-type") == PROTOBUF
        told = ExportTraceServiceResponse.FromString(answer.body)
        assert told.partial_success.rejected_spans == 2
        assert "2 without valid ids" in told.partial_success.error_message
        nothing_wrong = served.send("POST", PATH, _message(body_of(own=2)), {"content-type": PROTOBUF})
        assert (nothing_wrong.status, nothing_wrong.body) == (200, b"")
        broken = served.send("POST", PATH, b"\x0a\xff\xff", {"content-type": PROTOBUF})
        assert (broken.status, broken.value("content-type")) == (400, PROTOBUF)
        assert b"malformed_otlp" in broken.body
        bomb = served.send("POST", PATH, gzip.compress(bytes(50_000_000)), {"content-type": PROTOBUF, "content-encoding": "gzip"})
        assert bomb.status == 413
        assert len(served.calls()) == 2


def body_of(**changes: Any) -> bytes:
    """A request of one span, in JSON."""
    return body(span(**changes))


def _message(raw: bytes, bad: int = 0) -> bytes:
    """The same request in protobuf, with so many spans without ids beside it."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    (told,) = [each for each in otlp_json.spans(raw, Wanted({})) if each is not None]
    made = group.spans.add(
        trace_id=bytes.fromhex(told.trace_id),
        span_id=bytes.fromhex(told.span_id),
        start_time_unix_nano=told.start_ns,
        end_time_unix_nano=told.end_ns,
    )
    for name, found in told.facts.items():
        value = made.attributes.add(key=name).value
        if isinstance(found, int):
            value.int_value = found
        else:
            value.string_value = str(found)
    for _ in range(bad):
        group.spans.add(trace_id=b"short", span_id=bytes(8))
    return bytes(request.SerializeToString())


def test_json_and_protobuf_of_one_span_are_read_alike() -> None:
    raw = body_of(own=7)
    wanted = Wanted({})
    (told,) = otlp_json.spans(raw, wanted)
    (again,) = otlp_protobuf.spans(_message(raw), wanted)
    assert isinstance(told, Span)
    assert told == again


def test_without_the_extra_protobuf_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    with pytest.raises(NoProtobuf, match=r"grammage\[otel\]"):
        list(otlp_protobuf.spans(b"", Wanted({})))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not otlp_protobuf.is_installed()


@pytest.mark.parametrize("whose", INSTRUMENTATIONS)
def test_an_instrumented_client_that_goes_to_the_provider_is_observed(tmp_path: Path, whose: str) -> None:
    with simulated() as upstream, watching(tmp_path) as served:
        sender = {"traces": f"{served.url}{PATH}", "collector_key": "the-collector-key"}
        assert run_instrumented(whose, **sender, base_url=f"{upstream}/v1", api_key="sk-direct") == {"SUCCESS"}
        calls = served.calls()
        assert [call["operation"] for call in calls] == ["chat", "chat", "embeddings"]
        assert [call["alias"] for call in calls] == ["gpt-4o-mini", "gpt-4o-mini", "text-embedding-3-small"]
        assert all(call["gco2e"] > 0 and call["input_tokens"] for call in calls)
        assert calls[0]["output_tokens"]
        assert calls[1]["output_tokens"]


@pytest.mark.parametrize("whose", INSTRUMENTATIONS)
def test_an_instrumented_client_that_goes_through_the_proxy_is_counted_once(tmp_path: Path, whose: str) -> None:
    keys = [*KEYS, {"key": "the-caller-key", "name": "app", "role": "caller"}]
    models = {"*": {"deployments": [{"provider": "simulated"}]}}
    with proxy(tmp_path, keys=keys, models=models, observe={"otlp": {}}) as served:
        served.headers = {"authorization": "Bearer the-admin-key"}
        sender = {"traces": f"{served.url}{PATH}", "collector_key": "the-collector-key"}
        assert run_instrumented(whose, **sender, base_url=served.v1, api_key="the-caller-key") == {"SUCCESS"}
        assert [call["caller_id"] for call in served.calls()] == ["app"] * 3
        assert counted(served) == {"came_through_us": 3}
