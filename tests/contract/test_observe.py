"""Calls that spans tell of: a real proxy takes them in, weighs them, and counts each once."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import Proxy, ask, proxy, simulated
from tests.contract.spans import CHAT, body, many, now_ns, span

OBSERVE: dict[str, Any] = {"otlp": {}}
PATH = "/v1/traces"


@contextmanager
def watching(folder: Path, **otlp: Any) -> Iterator[Proxy]:
    """A proxy that takes spans and serves no call."""
    with proxy(folder, "http://127.0.0.1:9", observe={"otlp": otlp}) as served:
        yield served


def sent(served: Proxy, *spans: dict[str, Any], **resource: Any) -> dict[str, Any]:
    """What the receiver answers to the spans; fails unless it takes them."""
    answer = served.post(PATH, body(*spans, resource=resource))
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def counted(served: Proxy) -> dict[str, int]:
    """Spans by what became of them, as /metrics has it."""
    lines = served.get("/metrics").body.decode().splitlines()
    found = [line.split('result="')[1].split('"} ') for line in lines if line.startswith("grammage_observed_spans_total{")]
    return {result: int(float(number)) for result, number in found if float(number)}


def test_a_span_becomes_a_weighed_call_that_is_marked_observed(tmp_path: Path) -> None:
    with watching(tmp_path) as served:
        start = now_ns(60)
        assert sent(served, span(start_ns=start, seconds=2.5, gen_ai__usage__cache_read__input_tokens=20)) == {}
        call = served.call()
        assert call["caller_id"].startswith("observe:")
        assert (call["operation"], call["alias"], call["provider"], call["served_model"]) == (
            "chat",
            "gpt-4o-mini",
            "openai",
            "gpt-4o-mini-2024-07-18",
        )
        assert (call["input_tokens"], call["output_tokens"], call["cached_input_tokens"]) == (120, 40, 20)
        assert call["started_ms"] == start // 1_000_000
        assert call["latency_s"] == pytest.approx(2.5)
        assert call["gco2e"] > 0
        assert "observed" in call["warnings"].split(",")
        assert counted(served) == {"counted": 1}


def test_an_observed_call_weighs_what_the_same_call_through_the_proxy_weighs(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, observe=OBSERVE, models=_simulated(upstream)) as served:
        served.chat()
        through = served.call()
        told = span(
            gen_ai__usage__input_tokens=through["input_tokens"],
            gen_ai__usage__output_tokens=through["output_tokens"],
            gen_ai__request__model="gpt-4o-mini",
            gen_ai__response__model=through["served_model"],
            start_ns=now_ns(3600),
        )
        sent(served, told)
        beside = served.calls()[1]
        assert beside["gco2e"] == pytest.approx(through["gco2e"], rel=0.02)


def _simulated(upstream: str) -> dict[str, Any]:
    return {"gpt-4o-mini": {"deployments": [{"provider": "openai", "api_base": f"{upstream}/v1", "api_key": "sk-test"}]}}


def test_a_batch_that_is_sent_again_doubles_nothing(tmp_path: Path) -> None:
    batch = body(*many(20))
    with watching(tmp_path) as served:
        for _ in range(3):
            assert served.post(PATH, batch).json == {}
        assert len(served.calls()) == 20
        assert counted(served) == {"counted": 20, "repeated": 40}
        grams = _grams(served)
    with watching(tmp_path) as served:  # a restart forgets, the ledger does not
        served.post(PATH, batch)
        assert len(served.calls()) == 20
        assert counted(served) == {"repeated": 20}
        assert _grams(served) == 0
    assert grams > 0


def _grams(served: Proxy) -> float:
    lines = served.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("grammage_emissions_co2e_grams_total{"))


def test_former_names_of_attributes_are_understood(tmp_path: Path) -> None:
    former = {
        "gen_ai.system": "mistral_ai",
        "gen_ai.request.model": "mistral-small-latest",
        "llm.request.type": "chat",
        "gen_ai.usage.prompt_tokens": 7,
        "gen_ai.usage.completion_tokens": 9,
        "gen_ai.usage.cache_read_input_tokens": 3,
    }
    inference = {
        "openinference.span.kind": "LLM",
        "llm.provider": "anthropic",
        "llm.model_name": "claude-sonnet-4-5",
        "llm.token_count.prompt": 11,
        "llm.token_count.completion": 13,
        "llm.token_count.completion_details.reasoning": 5,
    }
    with watching(tmp_path) as served:
        assert sent(served, span(former, own=1, seconds=3), span(inference, own=2)) == {}
        first, second = served.calls()
        assert (first["provider"], first["input_tokens"], first["output_tokens"], first["cached_input_tokens"]) == ("mistral", 7, 9, 3)
        assert (second["provider"], second["input_tokens"], second["output_tokens"]) == ("anthropic", 11, 13)
        assert second["reasoning_output_tokens"] == 5


def test_spans_around_calls_are_not_counted_beside_them(tmp_path: Path) -> None:
    agent = span({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 500, "gen_ai.request.model": "gpt-4o"}, own=1)
    framework = span(own=2, parent=1, seconds=5, server__address=None)
    task = span({"traceloop.span.kind": "task"}, own=3, parent=2, seconds=4)
    call = span(own=4, parent=3)
    with watching(tmp_path) as served:
        sent(served, agent, framework, task, call)
        assert served.call()["input_tokens"] == 120
        assert counted(served) == {"counted": 1, "around_calls": 2, "other": 1}


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_span_around_a_call_is_known_over_several_requests(tmp_path: Path, inner_first: bool) -> None:
    outer, inner = span(own=1, seconds=5), span(own=2, parent=1)
    with watching(tmp_path) as served:
        for each in (inner, outer) if inner_first else (outer, inner):
            sent(served, each)
        assert len(served.calls()) == 1
        assert counted(served) == {"counted": 1, "around_calls": 1}


def test_missing_usage_is_said_and_never_taken_for_nothing(tmp_path: Path) -> None:
    silent = span(own=1, seconds=4, gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None)
    half = span(own=2, seconds=3, gen_ai__usage__output_tokens=None)
    failed = span(own=3, seconds=2, error=True, error__type="429", gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None)
    late = span(own=4, error=True, error__type="APITimeoutError", gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None)
    with watching(tmp_path) as served:
        assert sent(served, silent, half, failed, late) == {}
        first, second, third, fourth = served.calls()
        assert (first["unweighed_reason"], first["gco2e"], first["input_tokens"]) == ("usage_unknown", None, None)
        assert (second["partial"], second["input_tokens"], second["output_tokens"]) == (1, 120, 0)
        assert second["gco2e"] > 0
        assert "observed-output-unknown" in second["warnings"]
        assert (third["unweighed_reason"], third["status"], third["outcome"]) == ("not_generated", 429, "upstream_error")
        assert fourth["unweighed_reason"] == "usage_unknown"


def test_prompts_and_answers_in_spans_reach_neither_ledger_nor_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "the secret of the client"
    spans = [
        span(own=1, gen_ai__input__messages=text, gen_ai__output__messages=[text], gen_ai__prompt=text, user__id=text, llm__prompts=text),
        span({**CHAT, "gen_ai.operation.name": text}, own=2),
    ]
    with watching(tmp_path) as served:
        sent(served, *spans)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    said = capfd.readouterr()
    assert text.encode() not in kept
    assert b"a secret answer" not in kept
    assert text not in said.out + said.err


def test_calls_that_came_through_the_proxy_are_counted_once(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, observe={"otlp": {"own_addresses": ["llm.corp"]}}) as served:
        host, port = served.address
        answers = [served.chat(ask(max_tokens=number + 5)) for number in range(4)]
        usages = [answer.json["usage"] for answer in answers]
        asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
        tokens = [
            {"gen_ai.usage.input_tokens": each["prompt_tokens"], "gen_ai.usage.output_tokens": each["completion_tokens"]} for each in usages
        ]
        by_id = {"grammage.call_id": answers[0].ours["call-id"]}
        by_address = {"server.address": host, "server.port": port}
        by_name = {"gen_ai.openai.api_base": "https://llm.corp/v1"}
        told = [asked | tokens[0] | by_id, asked | tokens[1] | by_address, asked | tokens[2] | by_name, asked | tokens[3]]
        sent(served, *(span(each, own=number + 1, seconds=10) for number, each in enumerate(told)))
        assert len(served.calls()) == 4
        assert counted(served) == {"came_through_us": 4}
        elsewhere = asked | tokens[3] | {"server.address": "api.openai.com"}
        sent(served, span(elsewhere, own=9, seconds=10), span(asked | tokens[3], own=10, seconds=10))
        assert len(served.calls()) == 6, "a call to a provider's own address, and a second one with the same counts, are others"


def test_the_place_is_what_the_address_and_the_configuration_tell(tmp_path: Path) -> None:
    bedrock = {"server.address": "bedrock-runtime.eu-west-3.amazonaws.com", "gen_ai.provider.name": "aws.bedrock"}
    named = {"gen_ai.provider.name": "aws.bedrock", "cloud.region": "eu-north-1", "server.address": None}
    private = {"gen_ai.provider.name": "openai", "server.address": "vllm.corp.internal", "server.port": 8000}
    ours = {"gen_ai.provider.name": "openai", "server.address": "own.example", "gen_ai.request.model": "llama-3.1-8b"}
    told = [{**CHAT, "gen_ai.response.model": None, **each} for each in (bedrock, named, private, ours)]
    models = {"llama-3.1-8b": {"deployments": [{"provider": "vllm", "api_base": "https://own.example/v1", "zone": "FR"}]}}
    with proxy(tmp_path, observe=OBSERVE, models=models) as served:
        sent(served, *(span(each, own=number + 1, seconds=9 - number) for number, each in enumerate(told)))
        with closing(_database(served)) as database:
            rows = database.execute(
                "SELECT a.provider, a.region, a.zone FROM calls c JOIN attempts a USING (call_id) ORDER BY c.started_ms"
            )
            found = [tuple(row) for row in rows]
    assert found[0] == ("aws-bedrock", "eu-west-3", "FR")
    assert found[1][1:] == ("eu-north-1", "SE-SE3") or found[1][1] == "eu-north-1"
    assert found[2][0] == "unknown"
    assert found[3] == ("vllm", None, "FR")


def _database(served: Proxy) -> Any:
    return sqlite3.connect(f"file:{served.ledger}?mode=ro", uri=True)


def test_tags_come_from_the_key_the_span_and_configured_attributes(tmp_path: Path) -> None:
    keys = [{"key": "the-collector-key", "name": "collector", "role": "observer", "tags": {"brand": "acme"}}]
    with proxy(tmp_path, "http://127.0.0.1:9", keys=keys, observe={"otlp": {"tags": {"tool": "service.name"}}}) as served:
        served.headers = {"authorization": "Bearer the-collector-key"}
        spans = span(grammage__tag__campaign="noel-26", grammage__tag__brand="other", grammage__tag__Bad="x", grammage__tag__market="\x07")
        sent(served, spans, **{"service.name": "studio"})
        call = served.call()
        assert json.loads(call["tags"]) == {"brand": "acme", "campaign": "noel-26", "tool": "studio"}
        assert call["caller_id"] == "observe:collector"


def test_only_observers_and_admins_may_hand_in_calls(tmp_path: Path) -> None:
    roles = ("caller", "viewer", "observer", "admin")
    keys = [{"key": f"the-key-of-a-{role}", "name": role, "role": role} for role in roles]
    with proxy(tmp_path, "http://127.0.0.1:9", keys=keys, observe=OBSERVE) as served:
        found = {role: served.post(PATH, body(span()), authorization=f"Bearer the-key-of-a-{role}") for role in roles}
        assert {role: answer.status for role, answer in found.items()} == {"caller": 403, "viewer": 403, "observer": 200, "admin": 200}
        assert found["caller"].json["error"]["code"] == "observer_only"
        assert served.post(PATH, body(span()), authorization="Bearer nobody's").status == 401
        assert served.chat(authorization="Bearer the-key-of-a-observer").status == 403


def test_without_the_setting_there_is_no_receiver(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream) as served:
        served.post(PATH, body(span()))
        assert "observe:" not in served.call()["caller_id"]
        assert "grammage_observed_spans_total{" not in served.get("/metrics").body.decode()


def test_the_path_is_configured_and_stands_below_the_base_path(tmp_path: Path) -> None:
    with proxy(tmp_path, "http://127.0.0.1:9", observe={"otlp": {"path": "/otel/v1/traces"}}, server={"base_path": "/llm"}) as served:
        assert served.post("/llm/otel/v1/traces", body(span())).status == 200
        assert served.call()["operation"] == "chat"


BAD = [
    (b"{", 400, "malformed_otlp", {}),
    (b'{"resourceSpans": 7}', 400, "malformed_otlp", {}),
    (b"\xff\xfe", 400, "malformed_otlp", {}),
    (b"[" * 100_000, 400, "malformed_otlp", {}),
    (b"not gzip", 400, "malformed_encoding", {"content_encoding": "gzip"}),
    (gzip.compress(body(span()))[:40], 400, "malformed_encoding", {"content_encoding": "gzip"}),
    (gzip.compress(b"") * 40_000, 400, "malformed_encoding", {"content_encoding": "gzip"}),
    (gzip.compress(bytes(40_000_000)), 413, "body_too_large", {"content_encoding": "gzip"}),
    (bytes(1_100_000), 413, "body_too_large", {}),
    (body(span()), 415, "unsupported_content_encoding", {"content_encoding": "zstd"}),
    (body(span()), 415, "unsupported_content_type", {"content_type": "text/plain"}),
]


@pytest.mark.parametrize(("raw", "status", "code", "headers"), BAD)
def test_bad_requests_are_refused_with_a_reason(tmp_path: Path, raw: bytes, status: int, code: str, headers: dict[str, str]) -> None:
    with watching(tmp_path, body_mb=1) as served:
        answer = served.post(PATH, raw, **headers)
        assert (answer.status, answer.json["error"]["code"]) == (status, code)
        assert answer.json["message"].startswith(code)
        assert served.post(PATH, gzip.compress(body(span())), content_encoding="gzip").status == 200
        assert served.get(PATH).status == 405
        assert len(served.calls()) == 1


def test_spans_that_are_not_taken_are_a_partial_success(tmp_path: Path) -> None:
    spans = [
        span(own=1),
        span(own=2, gen_ai__request__model=None, gen_ai__response__model=None),
        span(own=3, gen_ai__usage__input_tokens=-4),
        span(own=4, gen_ai__operation__name="levitate"),
        span(own=5, start_ns=now_ns(8 * 86_400)),
        span(own=6, start_ns=now_ns(-7200)),
        {**span(own=7), "traceId": "0" * 32},
        span(own=9, seconds=30, start_ns=now_ns(0) - 1) | {"endTimeUnixNano": str(now_ns(-7200))},
        span(own=8),
    ]
    with watching(tmp_path, spans=8) as served:
        told = sent(served, *spans)["partialSuccess"]
        assert told["rejectedSpans"] == "8"
        assert "1 of an operation that is not known here" in told["errorMessage"]
        assert "3 that began too long ago, or in the future" in told["errorMessage"]
        assert "1 beyond the most of one request" in told["errorMessage"]
        assert len(served.calls()) == 1


def test_a_ledger_that_cannot_be_read_is_a_reason_to_send_again(tmp_path: Path) -> None:
    with watching(tmp_path) as served:
        batch = body(span(own=1))
        with closing(sqlite3.connect(served.ledger)) as database:
            database.execute("PRAGMA legacy_alter_table=ON")  # the views stay as they are
            database.execute("ALTER TABLE kept_calls RENAME TO gone")
            answer = served.post(PATH, batch)
            database.execute("PRAGMA legacy_alter_table=ON")  # the views stay as they are
            database.execute("ALTER TABLE gone RENAME TO kept_calls")
        assert (answer.status, answer.value("retry-after"), answer.json["error"]["code"]) == (503, "5", "ledger_unavailable")
        assert served.post(PATH, batch).status == 200
        assert len(served.calls()) == 1
        assert counted(served) == {"counted": 1}


def test_exports_of_many_senders_at_once_are_all_taken_or_sent_again(tmp_path: Path) -> None:
    with watching(tmp_path) as served, ThreadPoolExecutor(24) as senders:
        batches = [body(*(span(trace=number + 1, own=own + 1) for own in range(50))) for number in range(24)]

        def hand_in(batch: bytes) -> int:
            for tries in range(200):
                answer = served.post(PATH, batch)
                if answer.status == 200:
                    return tries
                assert (answer.status, answer.value("retry-after")) == (429, "5")
            raise AssertionError("never taken")

        list(senders.map(hand_in, batches))
        assert len(served.calls()) == 24 * 50
        assert counted(served) == {"counted": 24 * 50}


def test_calls_through_the_proxy_go_on_while_spans_come_in(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, observe=OBSERVE) as served, ThreadPoolExecutor(2) as senders:
        under_way = [senders.submit(served.post, PATH, body(*many(2000, trace=number + 1))) for number in range(2)]
        assert all(served.chat().status == 200 for _ in range(20))
        assert [each.result().status for each in under_way] == [200, 200]
        observed = [call for call in served.calls() if call["caller_id"].startswith("observe:")]
        assert len(observed) == 4000


def test_a_call_that_a_balancer_sent_past_the_proxy_is_counted(tmp_path: Path) -> None:
    with watching(tmp_path, own_addresses=["llm.corp"]) as served:
        sent(served, span(server__address="llm.corp"))
        call = served.call()
        assert (call["provider"], call["input_tokens"]) == ("openai", 120)
        assert counted(served) == {"counted": 1}
