"""Answers that are kept: what is asked upstream, what the client gets, and what ledger and metrics say of it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.clock import Clock
from proxy.ledger.queries import Selection
from proxy.reports.render import notes
from proxy.reports.summary import summarise
from tests.contract.proxy_harness import KEY, Answer, ask, serve_command, until, without_footprint
from tests.contract.reuse_house import (
    BODY,
    EVENTS,
    MESSAGES,
    OK,
    OTHER_KEY,
    POLICY,
    STREAM,
    VECTORS,
    VIEWER,
    counted,
    house,
    instead,
    kept,
    metrics,
    request,
)
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, scripted_upstream, streamed, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def test_an_identical_question_is_answered_without_a_provider(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made, openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        first = client.chat.completions.with_raw_response.create(model="small", messages=MESSAGES, temperature=0)
        kept(made)
        again = client.chat.completions.with_raw_response.create(temperature=0.0, messages=MESSAGES, model="small", user="someone")
        assert len(upstream.received) == 1
        source = first.headers["x-grammage-call-id"]
        assert again.headers["x-grammage-reused"] == source
        assert again.headers["x-grammage-call-id"] != source
        assert {again.headers[f"x-grammage-{name}"] for name in ("gco2e", "gco2e-low", "gco2e-high", "energy-wh")} == {"0"}
        assert (again.headers["x-grammage-policy"], again.headers["content-type"]) == ("ask-once", "application/json")
        assert "x-ratelimit-remaining-requests" not in again.headers
        assert "x-request-id" not in again.headers
        assert again.parse() == first.parse().model_copy(update={"usage": again.parse().usage})
        usage = again.parse().usage
        assert usage is not None
        assert usage.total_tokens == 150
        footprint = json.loads(again.content)["usage"]["footprint"]
        assert (footprint["gco2e"], footprint["reused_from"], footprint["instead"]) == (0, source, "reuse")
        assert footprint["call_id"] == again.headers["x-grammage-call-id"]
        assert without_footprint(again.content) == BODY
        rows = made.calls()
        assert [(row["status"], row["outcome"], row["provider"], row["output_tokens"]) for row in rows] == [
            (200, "ok", "azure", 50),
            (200, "ok", None, None),
        ]
        (row,) = instead(made)
        assert (row["kind"], row["source_call_id"], row["ref"]) == ("reuse", source, None)
        told = made.get(f"/v1/footprint/{again.headers['x-grammage-call-id']}").json
        assert (told["gco2e"], told["attempts"], told["usage"]) == (0, [], None)
        assert told["instead"]["source_call_id"] == source
        assert told["instead"]["source"]["gco2e"] == made.get(f"/v1/footprint/{source}").json["gco2e"] > 0
        assert (counted(made, "hit"), counted(made, "miss"), counted(made, "stored")) == (1, 1, 1)
        report = summarise(f"sqlite:///{made.ledger}", Selection(by="model"))
        assert (report.instead, report.whole.calls, report.whole.attempts) == ({"reuse": 1}, 2, 1)
        assert any("no provider answered: 1 (reuse 1)" in note for note in notes(report))
        told = metrics(made)
        assert 'grammage_output_tokens_total{model="small"} 50.0' in told
        size = next(float(line.split()[1]) for line in told.splitlines() if line.startswith("grammage_reuse_store_bytes "))
        assert len(BODY) < size < 2 * len(BODY) + 300


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_given_again_as_a_stream(tmp_path: Path, upstream: ScriptedUpstream, wants_usage: bool) -> None:
    """The first client did not ask for usage, so that it was forced; the second one sees it when it asked."""
    with house(tmp_path, upstream) as made, openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        upstream.answers(*STREAM)
        seen = made.chat(request(stream=True))
        kept(made)
        more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wants_usage else {}
        raw = client.chat.completions.with_raw_response.create(model="small", messages=MESSAGES, temperature=0, stream=True, **more)
        chunks = list(raw.parse())
        assert len(upstream.received) == 1
        assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Soft"
        assert raw.headers["content-type"] == "text/event-stream"
        assert raw.headers["x-grammage-reused"] == seen.ours["call-id"]
        usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
        assert len(usages) == wants_usage
        if wants_usage:
            assert usages[0].completion_tokens == 50
            assert usages[0].model_dump()["footprint"]["gco2e"] == 0
        first, again = made.recorded(2)
        assert (first["output_tokens"], first["stream_complete"]) == (50, 1)
        assert (again["provider"], again["stream"], again["stream_complete"]) == (None, 1, 1)
        plain = made.chat(request(stream=True))
        assert plain.body == seen.body
        assert b"footprint" not in plain.body


def test_a_budget_at_its_end_does_not_have_made_anew_what_is_kept(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    budget = {"name": "tight", "limit_kgco2e": 1e-6, "period": "all", "on_exceed": "route_smallest", "smallest": ["small"]}
    with house(tmp_path, upstream, budgets=[budget]) as made:
        first = made.chat(request(model="large"))
        assert first.ours["policy"] == "budget:tight"
        kept(made)
        again = made.chat(request(model="large"))
        assert (again.ours["reused"], again.ours["gco2e"]) == (first.ours["call-id"], "0")
        assert (len(upstream.received), counted(made, "hit")) == (1, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_kept_passes_a_budget_at_its_end_and_nothing_else_does(tmp_path: Path, upstream: ScriptedUpstream, stream: bool) -> None:
    budget = {"name": "tight", "match": {"campaign": "noel"}, "limit_kgco2e": 1e-6, "period": "all", "on_exceed": "refuse"}
    tag = {"x_grammage_tag_campaign": "noel"}
    with house(tmp_path, upstream, budgets=[budget]) as made:
        upstream.answers(*(STREAM if stream else OK))
        first = made.chat(request(model="large", stream=stream))
        kept(made)
        again = made.chat(request(model="large", stream=stream), **tag)
        assert (again.status, again.ours["reused"], again.ours["gco2e"]) == (200, first.ours["call-id"], "0")
        assert again.ours["budget"].endswith("state=exceeded")
        others: list[tuple[dict[str, Any], dict[str, str]]] = [
            ({"seed": 7}, {}),
            ({"temperature": 1}, {}),
            ({}, {"cache_control": "no-cache"}),
            ({}, {"x_grammage_policy": "off"}),
        ]
        for changes, more in others:
            refused = made.chat(request(model="large", stream=stream, **changes), **tag, **more)
            assert (refused.status, refused.error["code"]) == (402, "carbon_budget_exceeded")
            assert refused.ours["budget"].endswith("state=exceeded")
            assert [name for name, _ in refused.headers].count(b"x-grammage-budget") == 1
        assert len(upstream.received) == 1, "nobody was asked"
        assert len(made.calls()) == 2, "a refusal is no call"
        series = 'grammage_budget_exceeded_calls_total{action="refuse",budget="tight"} 4'
        assert series in metrics(made).replace("4.0", "4")


def test_an_escalation_of_what_is_kept_asks_nobody_at_the_end_of_a_budget(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    budget = {"name": "tight", "match": {"campaign": "noel"}, "limit_kgco2e": 1e-6, "period": "all", "on_exceed": "refuse"}
    plain = {**POLICY, "name": "plain", "when": {"tags": {"step": "first"}}}
    climbing = {**POLICY, "escalate": {"to": "large", "must_match": "wool"}}
    with house(tmp_path, upstream, plain, climbing, budgets=[budget]) as made:
        first = made.chat(request(), x_grammage_tag_step="first")
        until(lambda: counted(made, "stored", "plain") or None)
        again = made.chat(request(), x_grammage_tag_campaign="noel")
        assert (again.status, again.ours["reused"], again.ours["escalated"]) == (200, first.ours["call-id"], "failed:must_match")
        assert len(upstream.received) == 1


HOUR_MS = 3_600_000


class MovedClock(Clock):
    """The real clock, moved on by a test."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def test_an_answer_serves_no_longer_than_the_policy_says(
    tmp_path: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = MovedClock()
    monkeypatch.setattr("proxy.serve.Clock", lambda: clock)
    with house(tmp_path, upstream) as made:
        made.chat(request())
        kept(made)
        clock.ahead_ms = 23 * HOUR_MS
        assert "reused" in made.chat(request()).ours
        clock.ahead_ms = 25 * HOUR_MS
        assert "reused" not in made.chat(request()).ours
        assert len(upstream.received) == 2


def test_a_stream_and_a_whole_answer_are_two_questions(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        made.chat(request())
        kept(made)
        upstream.answers(*STREAM)
        assert "reused" not in made.chat(request(stream=True)).ours
        assert len(upstream.received) == 2


def test_nothing_is_reused_without_a_policy_or_by_one_that_watches(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, {**POLICY, "mode": "shadow"}) as made:
        assert [("reused" in made.chat(request()).ours) for _ in range(2)] == [False, False]
        assert len(upstream.received) == 2
        assert instead(made) == []
        assert "grammage_reuse_total{" not in metrics(made)


DIFFERENT: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.2},
    "no temperature": {"temperature": None},
    "text": {"messages": [{"role": "user", "content": "Describe a merino jumper"}]},
    "limit": {"max_tokens": 5},
    "seed": {"seed": 1},
    "model": {"model": "large"},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_another_question_is_asked(tmp_path: Path, upstream: ScriptedUpstream, changes: dict[str, Any]) -> None:
    with house(tmp_path, upstream) as made:
        made.chat(request())
        kept(made)
        answer = made.chat({**request(), **changes})
        assert (answer.status, "reused" in answer.ours, len(upstream.received)) == (200, False, 2)


REFUSED: dict[str, dict[str, Any]] = {
    "chance": {"temperature": 0.7},
    "kept by the provider": {"store": True},
    "a search": {"web_search_options": {}, "tools": [{"type": "web_search"}]},
    "a file": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}]}]},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_kept_is_asked_every_time(tmp_path: Path, upstream: ScriptedUpstream, changes: dict[str, Any]) -> None:
    with house(tmp_path, upstream) as made:
        answers = [made.chat({**request(), **changes}) for _ in range(2)]
        assert [("reused" in answer.ours) for answer in answers] == [False, False]
        assert (len(upstream.received), counted(made, "not_reusable"), counted(made, "stored")) == (2, 2, 0)


def test_the_caller_can_ask_anew(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        made.chat(request())
        kept(made)
        assert "reused" not in made.chat(request(), cache_control="no-cache").ours
        assert "reused" not in made.chat(request(), x_grammage_policy="off").ours
        assert "reused" in made.chat(request()).ours
        assert len(upstream.received) == 3


def test_any_temperature_is_reused_where_the_owner_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, {**POLICY, "apply": {"reuse": "1h", "reuse_any_temperature": True}}) as made:
        made.chat(ask(model="small"))
        kept(made)
        assert "reused" in made.chat(ask(model="small")).ours
        assert len(upstream.received) == 1


def test_embeddings_need_no_temperature(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made, openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        upstream.answers(*VECTORS)
        first = client.embeddings.create(model="vectors", input="wool", encoding_format="float")
        kept(made)
        again = client.embeddings.create(model="vectors", input="wool", encoding_format="float")
        assert (again.data[0].embedding, first.data[0].embedding, len(upstream.received)) == ([0.5], [0.5], 1)


def test_one_key_never_gets_another_ones_answer(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    keys = [{"name": "one", "key": KEY}, {"name": "two", "key": OTHER_KEY}, VIEWER]
    with house(tmp_path, upstream, auth="keys", keys=keys) as made:
        made.chat(request())
        kept(made)
        assert "reused" not in made.chat(request(), authorization=f"Bearer {OTHER_KEY}").ours
        assert "reused" in made.chat(request()).ours
        assert len(upstream.received) == 2


def test_a_reused_answer_costs_a_request_and_no_tokens(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    keys = [{"name": "one", "key": KEY, "requests_per_minute": 3, "tokens_per_minute": 400}, VIEWER]
    with house(tmp_path, upstream, auth="keys", keys=keys) as made:
        made.chat(request())
        kept(made)
        assert [made.chat(request()).status for _ in range(3)] == [200, 200, 429]


BAD: dict[str, list[bytes]] = {
    "an error": whole(b'{"error":{"message":"no"}}', status=b"400 Bad Request"),
    "an error that says 200": whole(b'{"error":{"message":"no"}}'),
    "an answer too long": whole(BODY.replace(b"Soft.", b"x" * 1_100_000)),
}


@pytest.mark.parametrize("script", BAD.values(), ids=BAD.keys())
def test_no_such_answer_is_kept(tmp_path: Path, upstream: ScriptedUpstream, script: list[bytes]) -> None:
    with house(tmp_path, upstream) as made:
        upstream.answers(*script)
        for _ in range(2):
            made.chat(request())
        assert (len(upstream.received), counted(made, "stored"), counted(made, "miss")) == (2, 0, 2)


CUT: dict[str, list[Any]] = {
    "cut": [*streamed(*EVENTS[:2], end=False), RESET],
    "without its end mark": streamed(*EVENTS[:3]),
    "with an error": streamed(EVENTS[0], b'data: {"error":{"message":"overloaded"}}\n\n', *EVENTS[2:]),
}


@pytest.mark.parametrize("script", CUT.values(), ids=CUT.keys())
def test_no_such_stream_is_kept(tmp_path: Path, upstream: ScriptedUpstream, script: list[Any]) -> None:
    with house(tmp_path, upstream) as made:
        upstream.answers(*script)
        for number in range(2):
            made.chat(request(stream=True))
            made.recorded(number + 1)
        assert (len(upstream.received), counted(made, "stored")) == (2, 0)


def test_a_call_that_was_routed_is_reused_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, {**POLICY, "prefer": {"among": ["small"]}}) as made:
        assert made.chat(request(model="large")).status == 200
        assert json.loads(upstream.last.body)["model"] == "gpt-4o-mini"
        kept(made)
        again = made.chat(request(model="large"))
        assert (again.ours["policy"], "reused" in again.ours, len(upstream.received)) == ("ask-once", True, 1)


ESCALATES = {**POLICY, "escalate": {"to": "large", "when": ["invalid_json"]}}
WANTS_JSON = {"response_format": {"type": "json_object"}}


def test_both_answers_of_an_escalation_are_given_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, ESCALATES) as made:
        small, large = whole(BODY), whole(BODY.replace(b"Soft.", b'{\\"soft\\":1}'))
        upstream.script = lambda received: large if json.loads(received.body)["model"] == "gpt-4o" else small
        first = made.chat(request(**WANTS_JSON))
        assert first.ours["escalated"] == "invalid_json"
        kept(made, 2)
        again = made.chat(request(**WANTS_JSON))
        assert len(upstream.received) == 2
        assert without_footprint(again.body) == without_footprint(first.body)
        assert (again.ours["reused"], again.ours["gco2e"]) == (first.ours["call-id"], "0")
        rows = [row for row in made.calls() if row["call_id"] == again.ours["call-id"]]
        assert [(row["provider"], row["output_tokens"], row["gco2e"]) for row in rows] == [(None, None, None)]


def test_what_an_escalation_asks_anew_is_told_beside_what_is_given_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """The small model's answer was kept, the larger one failed at first: the first answer stood, and costs nothing when it stands again."""
    with house(tmp_path, upstream, ESCALATES) as made:
        down = whole(b'{"error":{"message":"no"}}', status=b"400 Bad Request")
        upstream.script = lambda received: down if json.loads(received.body)["model"] == "gpt-4o" else whole(BODY)
        first = made.chat(request(**WANTS_JSON))
        kept(made)
        again = made.chat(request(**WANTS_JSON))
        assert [json.loads(each.body)["model"] for each in upstream.received] == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
        assert (again.ours["reused"], again.ours["gco2e"]) == (first.ours["call-id"], "0")
        assert without_footprint(again.body) == BODY
        assert sum(row["output_tokens"] or 0 for row in made.calls()) == 50


def test_a_reload_keeps_what_is_kept_while_some_policy_reuses(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(BODY))
    upstream.received.clear()
    file = tmp_path / "grammage.yaml"
    place = {"provider": "azure", "model": "gpt-4o-mini", "region": "francecentral", "api_base": f"{upstream.url}/v1", "api_key": "k"}

    def written(*policies: dict[str, Any]) -> None:
        models = {"small": {"deployments": [place]}}
        file.write_text(json.dumps({"server": {"listen": "127.0.0.1:0"}, "models": models, "policies": policies}))

    def first_under(name: str) -> Answer:
        def asked() -> Answer | None:
            answer = made.chat(request())
            return answer if answer.ours["policy"] == name else None

        return until(asked)

    written(POLICY)
    with serve_command(tmp_path, "--config", "grammage.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        made.chat(request())
        kept(made)
        written({**POLICY, "name": "another-name"})
        child.process.send_signal(signal.SIGHUP)
        assert "reused" in first_under("another-name").ours
        assert len(upstream.received) == 1
        written()
        child.process.send_signal(signal.SIGHUP)
        assert "reused" not in first_under("none").ours
        assert "grammage_reuse_store_bytes" not in metrics(made)
        written(POLICY)
        child.process.send_signal(signal.SIGHUP)
        assert "reused" not in first_under("ask-once").ours, "what was kept went with the last policy that reused"
