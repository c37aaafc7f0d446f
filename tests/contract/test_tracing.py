"""Spans of real calls at a real receiver: whose they are, what they hold, and what becomes of a call when nobody takes them."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.escalation_house import by_model, chat, chat_stream, deployment, house, policy
from tests.contract.otlp_receiver import Receiver, otlp_receiver
from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, streamed, whole
from tests.contract.socket_harness import DONE, SocketUpstream, opened, read

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
REL = 1e-9


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as made:
        yield made


@pytest.fixture(scope="module")
def traced(upstream: ScriptedUpstream, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    tracing = {"endpoint": receiver.url, "headers": {"x-scope": "tests"}, "service_name": "llm-gateway"}
    with proxy(tmp_path_factory.mktemp("traced"), upstream.url, tracing=tracing) as made:
        yield made


def traceparent(upstream: ScriptedUpstream, at: int = -1) -> list[str]:
    """Version, trace, span and flags as the provider got them."""
    value = upstream.received[at].value("traceparent")
    assert value is not None
    return value.decode().split("-")


def test_a_whole_answer_is_a_server_span_with_a_client_span_below(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat(output=50))
    before_ns = time.time_ns()
    with openai.OpenAI(base_url=traced.v1, api_key=KEY) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "a secret of ours"}],
            extra_headers={"x-grammage-tag-campaign": "noel-26"},
        )
    call_id = raw.headers["x-grammage-call-id"]
    call, attempt = receiver.of_call(call_id, 2)
    assert (call.name, call.kind, call.parent_id) == ("chat gpt-4o-mini", "server", "")
    assert (attempt.name, attempt.kind, attempt.parent_id, attempt.trace_id) == ("chat gpt-4o-mini", "client", call.span_id, call.trace_id)
    assert traceparent(upstream) == ["00", call.trace_id, attempt.span_id, "01"]
    footprint = json.loads(raw.text)["usage"]["footprint"]
    for name, key in (("co2e", "gco2e"), ("co2e.low", "gco2e_low"), ("co2e.high", "gco2e_high")):
        assert call.attributes[f"grammage.{name}"] == pytest.approx(footprint[key], rel=1e-3)
    assert call.attributes["grammage.energy"] == pytest.approx(footprint["energy_wh"] * 3600, rel=1e-3)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o-mini",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "grammage.call_id": call_id,
        "grammage.outcome": "ok",
        "grammage.policy": "none",
        "grammage.basis": "final",
        "grammage.quality": footprint["quality"],
        "grammage.method": footprint["method"],
        "grammage.grid.zone": footprint["zone"].removeprefix("assumed:"),
        "grammage.tag.campaign": "noel-26",
    }
    assert {name: call.attributes.get(name) for name in expected} == expected
    assert attempt.attributes["gen_ai.usage.input_tokens"] == 100
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 50
    assert attempt.attributes["gen_ai.response.model"] == "gpt-4o-mini"
    assert before_ns - 2_000_000 <= call.start_ns <= attempt.start_ns <= attempt.end_ns <= call.end_ns <= time.time_ns()
    assert (call.resource["service.name"], call.resource["service.version"], call.scope) == ("llm-gateway", "0.0.0", "grammage")
    assert receiver.headers[-1]["x-scope"] == "tests"
    assert not call.is_error
    assert not attempt.is_error
    assert "a secret of ours" not in repr((call, attempt))
    assert KEY not in repr((call, attempt))


def test_a_figure_stands_on_one_span_only_so_that_sums_are_true(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat())
    call, attempt = receiver.of_call(traced.chat().ours["call-id"], 2)
    summed = ("grammage.co2e", "grammage.energy", "grammage.attempt.co2e", "grammage.attempt.energy", "gen_ai.usage.output_tokens")
    for name in summed:
        assert (name in call.attributes) != (name in attempt.attributes), name
    assert attempt.attributes["grammage.attempt.co2e"] == pytest.approx(call.attributes["grammage.co2e"], rel=REL)


def test_a_stream_is_told_of_when_it_has_ended(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat_stream("A", "B", output=33))
    with openai.OpenAI(base_url=traced.v1, api_key=KEY) as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], stream=True, extra_headers={"traceparent": SAMPLED}
        )
        with stream:
            call_id = stream.response.headers["x-grammage-call-id"]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "AB"
    call, attempt = receiver.of_call(call_id, 2)
    assert (call.trace_id, call.parent_id) == (TRACE, PARENT)
    assert call.attributes["gen_ai.request.stream"] is True
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 33


def test_our_span_is_the_callers_child_and_the_providers_parent(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat())
    baggage = "userId=1,grammage.campaign=noel-26"
    answer = traced.chat(traceparent=SAMPLED, tracestate="vendor=abc,other=1", baggage=baggage)
    call, attempt = receiver.of_call(answer.ours["call-id"], 2)
    assert (call.trace_id, call.parent_id, call.state) == (TRACE, PARENT, "vendor=abc,other=1")
    assert traceparent(upstream) == ["00", TRACE, attempt.span_id, "01"]
    assert upstream.last.value("tracestate") == b"vendor=abc,other=1"
    assert upstream.last.value("baggage") == b"userId=1"


def test_a_call_that_its_caller_does_not_sample_is_not_told_of(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat())
    silent = traced.chat(traceparent=UNSAMPLED, tracestate="vendor=abc")
    assert upstream.last.value("traceparent") == UNSAMPLED.encode()
    assert upstream.last.value("tracestate") == b"vendor=abc"
    receiver.of_call(traced.chat(traceparent=SAMPLED).ours["call-id"], 2)  # sent later, and is there
    assert not [span for span in receiver.spans if span.attributes["grammage.call_id"] == silent.ours["call-id"]]


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "00-abc",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-extra",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01, {SAMPLED}",
    ],
)
def test_an_ill_formed_traceparent_begins_a_new_trace(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver, sent: str) -> None:
    upstream.answers(*chat())
    call, attempt = receiver.of_call(traced.chat(traceparent=sent, tracestate="vendor=abc").ours["call-id"], 2)
    assert call.parent_id == ""
    assert call.trace_id not in (TRACE, "0" * 32)
    assert traceparent(upstream) == ["00", call.trace_id, attempt.span_id, "01"]
    assert upstream.last.values("tracestate") == []


def test_a_traceparent_of_a_later_version_is_understood(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat())
    answer = traced.chat(traceparent=f"42-{TRACE}-{PARENT}-ff-more")
    call, attempt = receiver.of_call(answer.ours["call-id"], 2)
    assert (call.trace_id, call.parent_id) == (TRACE, PARENT)
    assert traceparent(upstream) == ["00", TRACE, attempt.span_id, "03"]


def test_a_refusal_of_the_provider_is_an_error_of_the_attempt_alone(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*whole(b'{"error":{"message":"no"}}', status=b"401 Unauthorized"))
    call, attempt = receiver.of_call(traced.chat().ours["call-id"], 2)
    assert (call.is_error, attempt.is_error, attempt.attributes["error.type"]) == (False, True, "401")
    assert call.attributes["grammage.unweighed_reason"] == "not_generated"
    assert "grammage.co2e" not in call.attributes
    assert "gen_ai.usage.output_tokens" not in attempt.attributes


def test_a_provider_that_breaks_is_an_error_of_both(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*whole(b"{}", status=b"500 Internal Server Error"))
    call, attempt = receiver.of_call(traced.chat().ours["call-id"], 2)
    assert (call.is_error, call.message, call.attributes["error.type"]) == (True, "500", "500")
    assert attempt.is_error


def test_a_stream_that_is_cut_is_told_of_with_what_was_seen(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*streamed(b'data: {"choices":[{"delta":{"content":"one two"}}]}\n\n', end=False), RESET)
    answer = traced.chat(ask(stream=True))
    assert answer.cut
    call, attempt = receiver.of_call(answer.ours["call-id"], 2)
    assert (call.is_error, call.attributes["error.type"], call.attributes["grammage.outcome"]) == (True, "upstream_cut", "upstream_cut")
    assert attempt.attributes["grammage.usage.partial"] is True
    assert attempt.attributes["gen_ai.usage.output_tokens"] > 0


def test_every_attempt_of_a_fallback_has_its_own_span(upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path) -> None:
    models = {"large": {"deployments": [deployment(upstream.url, "first", order=0), deployment(upstream.url, "second", order=1)]}}
    upstream.received.clear()
    by = {"first": whole(b"{}", status=b"503 Service Unavailable"), "second": chat(model="second")}
    upstream.script = lambda request: by[json.loads(request.body)["model"]]
    with proxy(tmp_path, models=models, tracing={"endpoint": receiver.url}) as made:
        answer = made.chat(ask(model="large"), traceparent=SAMPLED)
        assert answer.status == 200
        spans = receiver.of_call(answer.ours["call-id"], 1 + len(upstream.received))
    call, *attempts = spans
    assert call.name == "chat large"
    assert [attempt.attributes["gen_ai.request.model"] for attempt in attempts] == [json.loads(r.body)["model"] for r in upstream.received]
    assert [attempts[0].attributes["gen_ai.request.model"], attempts[-1].attributes["gen_ai.request.model"]] == ["first", "second"]
    for at, attempt in enumerate(attempts):
        assert traceparent(upstream, at) == ["00", TRACE, attempt.span_id, "01"]
        assert attempt.parent_id == call.span_id
    assert [attempt.is_error for attempt in attempts] == [True] * (len(attempts) - 1) + [False]
    starts = [attempt.start_ns for attempt in attempts]
    assert starts == sorted(set(starts))
    assert not call.is_error
    assert call.attributes["grammage.attempts"] == len(attempts)


def test_an_answer_that_gave_way_to_a_larger_models_is_weighed_on_its_own_span(
    upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path
) -> None:
    by_model(upstream, small=chat(ended="length"), large=chat(model="gpt-4o"))
    with house(tmp_path, upstream, policy(), tracing={"endpoint": receiver.url}) as made:
        answer = made.chat(ask(model="large"))
        call, first, second = receiver.of_call(answer.ours["call-id"], 3)
    assert [first.attributes["gen_ai.request.model"], second.attributes["gen_ai.request.model"]] == ["gpt-4o-mini", "gpt-4o"]
    assert first.attributes["grammage.shortcoming"] == answer.ours["escalated"]
    grams = [span.attributes["grammage.attempt.co2e"] for span in (first, second)]
    assert call.attributes["grammage.co2e"] == pytest.approx(sum(grams), rel=1e-6)
    assert [traceparent(upstream, at)[2] for at in (0, 1)] == [first.span_id, second.span_id]


def test_the_ids_that_went_out_stand_when_the_first_answer_stands_after_all(
    upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path
) -> None:
    by_model(upstream, small=chat(ended="length"), large=whole(b"{}", status=b"400 Bad Request"))
    with house(tmp_path, upstream, policy(), tracing={"endpoint": receiver.url}) as made:
        answer = made.chat(ask(model="large"))
        assert answer.ours["escalated"].startswith("failed:")
        _, larger, first = receiver.of_call(answer.ours["call-id"], 3)
    assert [larger.attributes["gen_ai.request.model"], first.attributes["gen_ai.request.model"]] == ["gpt-4o", "gpt-4o-mini"]
    assert [traceparent(upstream, at)[2] for at in (0, 1)] == [first.span_id, larger.span_id]
    assert first.start_ns < larger.start_ns


def test_the_share_that_is_told_of_is_of_calls_without_a_trace(upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path) -> None:
    upstream.answers(*chat())
    with proxy(tmp_path, upstream.url, tracing={"endpoint": receiver.url, "sample_ratio": 0}) as made:
        silent = made.chat()
        assert upstream.last.values("traceparent") == []
        receiver.of_call(made.chat(traceparent=SAMPLED).ours["call-id"], 2)
    assert not [span for span in receiver.spans if span.attributes["grammage.call_id"] == silent.ours["call-id"]]


def test_every_answer_on_a_socket_is_a_child_of_the_one_who_opened_it(provider: SocketUpstream, receiver: Receiver, tmp_path: Path) -> None:
    provider.says(DONE, DONE.replace("resp_1", "resp_2"))
    with proxy(tmp_path, provider.url, tracing={"endpoint": receiver.url}) as made:
        with opened(made, headers={"traceparent": SAMPLED, "baggage": "grammage.tool=t,other=1"}) as socket:
            socket.send("{}")
            read(socket, 2)
        ids = [row["call_id"] for row in made.recorded(2)]
        (first, first_attempt), (second, second_attempt) = (receiver.of_call(call_id, 2) for call_id in ids)
    spans = (first, first_attempt, second, second_attempt)
    assert len({span.span_id for span in spans}) == 4
    assert {span.trace_id for span in spans} == {TRACE}
    assert (first.parent_id, second.parent_id) == (PARENT, PARENT)
    assert (first.name, first_attempt.attributes["gen_ai.usage.output_tokens"]) == ("realtime gpt-realtime", 180)
    assert provider.last.headers["traceparent"] == SAMPLED
    assert provider.last.headers["baggage"] == "other=1"


def test_spans_that_come_back_to_a_proxy_that_observes_are_not_counted_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    (tmp_path / "watching").mkdir()
    (tmp_path / "serving").mkdir()
    with proxy(tmp_path / "watching", "http://127.0.0.1:9", observe={"otlp": {}}) as watching:
        tracing = {"endpoint": watching.url, "headers": watching.headers}
        with proxy(tmp_path / "serving", upstream.url, tracing=tracing) as serving:
            assert serving.chat().status == 200
            series = 'grammage_observed_spans_total{result="came_through_us"}'
            assert until(lambda: _value(watching, series) or None) == 2
            assert _value(serving, 'grammage_trace_spans_total{outcome="exported"}') == 2
        assert watching.calls() == []


def test_an_answer_that_was_kept_has_a_span_and_no_attempt(upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path) -> None:
    upstream.answers(*chat())
    keeps = {"name": "keeps", "when": {"alias": "large"}, "mode": "enforce", "apply": {"reuse": "1h"}}
    with house(tmp_path, upstream, keeps, tracing={"endpoint": receiver.url}) as made:
        made.chat(ask(model="large", temperature=0))
        again = made.chat(ask(model="large", temperature=0))
        assert again.ours["reused"]
        (call,) = receiver.of_call(again.ours["call-id"], 1)
    assert (call.attributes["grammage.instead"], call.attributes["grammage.co2e"], again.ours["gco2e"]) == ("reuse", 0.0, "0")


def test_without_tracing_the_callers_headers_pass_untouched(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*chat())
    plain.chat(traceparent="00-not-of-any-form", tracestate="vendor=abc")
    assert (upstream.last.value("traceparent"), upstream.last.value("tracestate")) == (b"00-not-of-any-form", b"vendor=abc")
    plain.chat()
    assert upstream.last.values("traceparent") == []


def timed(made: Proxy) -> Answer:
    begun = time.perf_counter()
    answer = made.chat()
    assert time.perf_counter() - begun < 2
    return answer


def test_a_receiver_that_never_answers_holds_back_no_call_and_no_end(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, says nothing
        tracing = {"endpoint": f"http://127.0.0.1:{mute.getsockname()[1]}"}
        with proxy(tmp_path, upstream.url, tracing=tracing) as made:
            for _ in range(5):
                assert timed(made).status == 200
            begun = time.perf_counter()
        assert time.perf_counter() - begun < 8


def test_lost_spans_are_counted_and_said_once(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    config = tmp_path / "grammage.yaml"
    config.write_text(
        f"ledger: {{url: 'sqlite:///{tmp_path}/calls.db'}}\nupstream: {upstream.url}/v1\n"
        f"tracing: {{endpoint: 'http://127.0.0.1:{port}', headers: {{authorization: Bearer-s3cret-of-ours}}}}\n"
    )
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        made = child.proxy(tmp_path / "calls.db")
        for _ in range(2):
            assert made.chat().status == 200
            count = until(lambda: _value(made, 'grammage_trace_spans_total{outcome="failed"}') or None)
        assert count >= 2
        child.process.terminate()
        assert child.exit_code() == 0
    lines = [line for line in child.said if "tracing backend" in line]
    assert len(lines) == 1
    assert "s3cret" not in child.text


def test_a_call_line_names_its_trace(upstream: ScriptedUpstream, receiver: Receiver, tmp_path: Path) -> None:
    upstream.answers(*chat())
    config = tmp_path / "grammage.yaml"
    config.write_text(
        f"ledger: {{url: 'sqlite:///{tmp_path}/calls.db'}}\nupstream: {upstream.url}/v1\ntracing: {{endpoint: '{receiver.url}'}}\n"
    )
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        made = child.proxy(tmp_path / "calls.db")
        call_id = made.chat(traceparent=SAMPLED).ours["call-id"]
        made.chat(traceparent=UNSAMPLED)
        child.process.terminate()
        assert child.exit_code() == 0
        receiver.of_call(call_id, 2)  # what waited at the end was sent
    lines = [json.loads(line) for line in child.said if line.startswith("{")]
    first, second = (line for line in lines if line["message"] == "call")
    assert (first["call_id"], first["trace_id"]) == (call_id, TRACE)
    assert "trace_id" not in second


def _value(made: Proxy, series: str) -> float:
    for line in made.get("/metrics").body.decode().splitlines():
        if line.startswith(series):
            return float(line.split()[-1])
    return 0.0


def test_a_burst_is_told_of_whole(upstream: ScriptedUpstream, traced: Proxy, receiver: Receiver) -> None:
    upstream.answers(*chat())
    ids: list[str] = []

    def some() -> None:
        ids.extend(traced.chat().ours["call-id"] for _ in range(25))

    threads = [threading.Thread(target=some) for _ in range(4)]
    with contextlib.ExitStack() as ends:
        for thread in threads:
            thread.start()
            ends.callback(thread.join)
    wanted = set(ids)
    assert len(wanted) == 100

    def told() -> dict[str, Any] | None:
        seen: dict[str, Any] = {}
        for span in list(receiver.spans):
            if (found := span.attributes["grammage.call_id"]) in wanted:
                seen[found] = seen.get(found, 0) + 1
        return seen if set(seen.values()) == {2} and len(seen) == 100 else None

    assert set(until(told)) == wanted
