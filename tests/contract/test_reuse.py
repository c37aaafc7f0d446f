"""Answers that are kept and calls that share one: what is asked upstream, what the client gets, and what ledger and metrics say of it."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, proxy, until, without_footprint
from tests.contract.redis_server import RedisServer, redis_program, redis_server
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, Received, ScriptedUpstream, scripted_upstream, streamed, whole

BODY = b'{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Soft."}}],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}'  # noqa: E501
OK = whole(BODY, (b"x-request-id", b"req-1"), (b"x-ratelimit-remaining-requests", b"7"))
VECTORS = whole(b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":9,"total_tokens":9}}')
EVENTS = (
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"So"}}],"usage":null}\n\n',
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"ft"},"finish_reason":"stop"}],"usage":null}\n\n',  # noqa: E501
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}\n\n',  # noqa: E501
    b"data: [DONE]\n\n",
)
STREAM = streamed(*EVENTS)
POLICY = {"name": "ask-once", "apply": {"reuse": "24h"}, "mode": "enforce"}
MESSAGES: list[Any] = [{"role": "user", "content": "Describe a merino jumper."}]
OTHER_KEY = "sk-another-0123456789"
VIEWER_KEY = "sk-viewer-0123456789"
VIEWER = {"name": "board", "key": VIEWER_KEY, "role": "viewer"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *policies: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    place = {"provider": "azure", "region": "francecentral", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    models = {
        "small": {"deployments": [{**place, "model": "gpt-4o-mini"}]},
        "large": {"deployments": [{**place, "model": "gpt-4o"}]},
        "vectors": {"deployments": [{**place, "model": "text-embedding-3-small"}]},
    }
    with proxy(folder, models=models, policies=list(policies or (POLICY,)), **sections) as made:
        yield made


def request(**changes: Any) -> dict[str, Any]:
    return ask(model="small", temperature=0, **changes)


def instead(made: Proxy) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM instead ORDER BY rowid")]


def counted(made: Proxy, result: str, policy: str = "ask-once") -> float:
    start = f'grammage_reuse_total{{policy="{policy}",result="{result}"}} '
    lines = metrics(made).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def metrics(made: Proxy) -> str:
    return made.get("/metrics", authorization=f"Bearer {VIEWER_KEY}").body.decode()


def kept(made: Proxy, answers: int = 1) -> None:
    """Waits until so many answers are in the store."""
    until(lambda: counted(made, "stored") >= answers or None)


def attempts(made: Proxy) -> int:
    return sum(row["provider"] is not None for row in made.calls())


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
        told = metrics(made)
        assert 'grammage_output_tokens_total{model="small"} 50.0' in told
        assert f"grammage_reuse_store_bytes {len(BODY) + 300}" in told


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


def held(upstream: ScriptedUpstream, *first: Any) -> threading.Event:
    """Lets the upstream answer once the event is set; `first` is what its very first call gets instead, after the event."""
    go = threading.Event()
    turn = iter([first] if first else [])

    def script(received: Received) -> list[Any]:
        return [go, *(next(turn, None) or OK)]

    upstream.script = script
    return go


def together(made: Proxy, count: int, upstream: ScriptedUpstream, go: threading.Event) -> list[Answer]:
    """So many identical calls at once; the provider answers when all of them are in the proxy."""
    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(made.chat, request()) for _ in range(count)]
        until(lambda: upstream.received or None)
        until(lambda: inside(made) == count or None)
        go.set()
        return [call.result() for call in calls]


def inside(made: Proxy) -> int:
    """Connections that the proxy has, the asking one left out."""
    port = f"{made.address[1]:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(line.split()[1].endswith(f":{port}") and line.split()[3] == "01" for line in lines)


def test_identical_calls_at_once_are_asked_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        answers = together(made, 8, upstream, held(upstream))
        assert len(upstream.received) == 1
        leaders = [answer for answer in answers if "reused" not in answer.ours]
        assert len(leaders) == 1
        assert {answer.ours["reused"] for answer in answers if "reused" in answer.ours} == {leaders[0].ours["call-id"]}
        assert {without_footprint(answer.body) for answer in answers} == {BODY}
        assert attempts(made) == 1
        assert [row["kind"] for row in instead(made)] == ["joined"] * 7
        assert (counted(made, "joined"), counted(made, "miss")) == (7, 1)


def test_when_the_one_that_asks_fails_another_one_asks(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        answers = together(made, 4, upstream, held(upstream, *whole(b'{"error":{}}', status=b"400 Bad Request")))
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 400]
        assert len(upstream.received) == 2
        assert [row["kind"] for row in instead(made)] == ["joined"] * 2


def test_when_the_one_that_asks_leaves_another_one_asks(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        upstream.left.clear()
        upstream.answers_in_turn([UNTIL_LEFT], OK)
        with ThreadPoolExecutor(2) as pool:
            with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0, timeout=1.0) as client:
                leader = pool.submit(client.chat.completions.create, model="small", messages=MESSAGES, temperature=0)
                until(lambda: upstream.received or None)
                follower = pool.submit(made.chat, request())
                with pytest.raises(openai.APITimeoutError):
                    leader.result()
            assert follower.result().status == 200
        assert len(upstream.received) == 2
        rows = {row["outcome"]: row for row in made.recorded(2)}
        assert rows["client_left"]["usage_source"] == "estimated"
        assert rows["ok"]["output_tokens"] == 50
        assert instead(made) == []


def test_one_that_waits_and_leaves_has_used_nothing(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        go = held(upstream)
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(made.chat, request())
            until(lambda: upstream.received or None)
            with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0, timeout=0.5) as client:
                with pytest.raises(openai.APITimeoutError):
                    client.chat.completions.create(model="small", messages=MESSAGES, temperature=0)
            (row,) = made.recorded(1)
            assert (row["outcome"], row["provider"]) == ("client_left", None)
            go.set()
            assert leader.result().status == 200
        assert len(upstream.received) == 1


def test_streams_at_once_are_asked_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        go = threading.Event()
        upstream.answers(STREAM[0], STREAM[1], go, *STREAM[2:])
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(made.chat, request(stream=True)) for _ in range(3)]
            until(lambda: upstream.received or None)
            until(lambda: inside(made) == 3 or None)
            go.set()
            answers = [call.result() for call in calls]
        assert len(upstream.received) == 1
        assert len({answer.body for answer in answers}) == 1
        assert sum("reused" in answer.ours for answer in answers) == 2


def test_a_reload_keeps_what_is_kept(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """The room stays while some policy reuses; that is App's own business, seen from outside by the count of what is asked."""
    with house(tmp_path, upstream, {**POLICY, "prefer": {"among": ["small"]}}) as made:
        made.chat(request(model="large"))
        kept(made)
        again = made.chat(request(model="large"))
        assert (again.ours["policy"], "reused" in again.ours, len(upstream.received)) == ("ask-once", True, 1)


needs_redis = pytest.mark.skipif(redis_program() is None, reason="no Redis server here")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@needs_redis
def test_processes_share_what_is_kept_in_redis(tmp_path: Path, upstream: ScriptedUpstream, redis: RedisServer) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with house(tmp_path / "one", upstream, redis=redis.url) as one, house(tmp_path / "two", upstream, redis=redis.url) as two:
        first = one.chat(request())
        kept(one)
        again = two.chat(request())
        assert again.ours["reused"] == first.ours["call-id"]
        assert without_footprint(again.body) == BODY
        assert len(upstream.received) == 1
        told = two.get(f"/v1/footprint/{again.ours['call-id']}").json
        assert told["instead"] == {"kind": "reuse", "ref": None, "source_call_id": first.ours["call-id"], "source": None}
        assert "grammage_reuse_store_bytes" not in metrics(one).replace("# ", "")


@needs_redis
def test_a_lost_redis_costs_no_call(tmp_path: Path, upstream: ScriptedUpstream, redis: RedisServer) -> None:
    with house(tmp_path, upstream, redis=redis.url) as made:
        made.chat(request())
        kept(made)
        assert "reused" in made.chat(request()).ours
        redis.stop()
        lost = [made.chat(request()) for _ in range(3)]
        assert [(answer.status, "reused" in answer.ours) for answer in lost] == [(200, False)] * 3
        assert len(upstream.received) == 4


@needs_redis
def test_a_redis_that_says_nothing_holds_no_call_up_for_long(tmp_path: Path, upstream: ScriptedUpstream, redis: RedisServer) -> None:
    with house(tmp_path, upstream, redis=redis.url) as made:
        made.chat(request())
        kept(made)
        with redis.frozen():
            answers = [made.chat(request()) for _ in range(3)]
        assert [(answer.status, "reused" in answer.ours) for answer in answers] == [(200, False)] * 3
        assert max(row["latency_s"] for row in made.calls()) < 2
