"""A program with an instrumented openai client. It must run in a process of its own: instrumentations leave traces in what they wrap."""

import importlib
import subprocess
import sys
from typing import Any

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

INSTRUMENTATIONS = {
    "OpenTelemetry": "opentelemetry.instrumentation.openai_v2",
    "OpenLLMetry": "opentelemetry.instrumentation.openai",
    "OpenInference": "openinference.instrumentation.openai",
}


class Exporter(OTLPSpanExporter):
    """The real exporter, which also tells what came of each export."""

    results: list[SpanExportResult]

    def export(self, spans: Any) -> SpanExportResult:
        found = super().export(spans)
        self.results.append(found)
        return found


def ask_all(client: openai.OpenAI) -> None:
    """A whole answer, a streamed one and an embedding."""
    messages: Any = [{"role": "user", "content": "Describe a merino jumper."}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True})
    assert list(stream)
    client.embeddings.create(model="text-embedding-3-small", input="a jumper")


def run_instrumented(whose: str, *, traces: str, collector_key: str, base_url: str, api_key: str) -> set[str]:
    """Has such a program ask all; the names of what came of its exports."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.contract.instrumented_client", whose, traces, collector_key, base_url, api_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def main(whose: str, traces: str, collector_key: str, base_url: str, api_key: str) -> None:
    """Instruments the package as its users do, asks, and prints what came of each export."""
    exporter = Exporter(endpoint=traces, headers={"authorization": f"Bearer {collector_key}"}, timeout=10)
    exporter.results = []
    provider = TracerProvider(resource=Resource.create({"service.name": "studio"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    importlib.import_module(INSTRUMENTATIONS[whose]).OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    with openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
        ask_all(client)
    provider.shutdown()
    print(*(found.name for found in exporter.results))


if __name__ == "__main__":
    main(*sys.argv[1:])
