"""Two replicas on one PostgreSQL and one Redis: killed in turn they lose and double nothing. `make prove`: for 100,000 calls."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.keys import keyring
from proxy.replicas import breakers
from tests.contract.postgres_server import PostgresServer
from tests.contract.proxy_harness import Proxy, ask, proxy, until
from tests.contract.redis_server import redis_program, redis_server
from tests.contract.scripted_upstream import UNTIL_LEFT, ScriptedUpstream, scripted_upstream, streamed, whole
from tests.replicas.proof import prove
from tests.replicas.told import check, table

CALLS, CONCURRENCY = 1_500, 3
REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')
STREAM = streamed(b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n', b"data: [DONE]\n\n")
BROKEN = whole(b'{"error":{"message":"oops"}}', status=b"503 Service Unavailable")
CONFIG = "grammage_config_info{"

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(redis_program() is None, reason="no package has a Redis server here, and none is installed: apt install redis"),
]


@pytest.fixture
def places(postgres: PostgresServer) -> Iterator[dict[str, Any]]:
    """Where replicas meet, as their configuration says it."""
    with postgres.database("ledger") as url, redis_server() as redis:
        yield {"ledger": {"url": url}, "redis": redis.url}


@contextlib.contextmanager
def pair(folder: Path, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> Iterator[tuple[Proxy, Proxy]]:
    """Two replicas with the same configuration."""
    monkeypatch.setattr(keyring, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(breakers, "LOOK_EVERY_S", 0.05)
    monkeypatch.chdir(folder)  # where their spools stand
    with proxy(folder, **sections) as one, proxy(folder, **sections) as other:
        yield one, other


def deployed(*upstreams: ScriptedUpstream, **more: Any) -> dict[str, Any]:
    rows = [{"provider": "azure", "api_base": f"{each.url}/v1", "api_key": "k", "order": n} for n, each in enumerate(upstreams)]
    return {"a": {"deployments": rows, **more}}


def lines(made: Proxy, begins: str) -> list[str]:
    return [line for line in made.get("/metrics").body.decode().splitlines() if line.startswith(begins)]


async def test_each_component_is_killed_in_turn_and_all_adds_up(tmp_path: Path) -> None:
    run = await prove(tmp_path, calls=CALLS, concurrency=CONCURRENCY, gone_s=0.2)
    print(f"\n{table(run)}")
    check(run)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_one_replica_answered_is_known_to_the_other_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.answers(*(STREAM if stream else REPLY))
    with pair(tmp_path, monkeypatch, models=deployed(upstream), **places) as (one, other):
        for _ in range(5):
            answer = one.chat(ask(model="a", stream=stream))
            found = other.get(f"/v1/footprint/{answer.ours['call-id']}")
            assert (found.status, found.json["usage"]["output_tokens"]) == (200, 5)


def test_without_waiting_for_the_ledger_it_is_known_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], upstream: ScriptedUpstream
) -> None:
    upstream.answers(*REPLY)
    places["ledger"]["durability"] = "async"
    with pair(tmp_path, monkeypatch, models=deployed(upstream), **places) as (one, other):
        call_id = one.chat(ask(model="a")).ours["call-id"]
        assert until(lambda: found if (found := other.get(f"/v1/footprint/{call_id}")).status == 200 else None).json["call_id"] == call_id


def test_a_key_that_one_replica_issues_or_revokes_is_known_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], upstream: ScriptedUpstream
) -> None:
    upstream.answers(*REPLY)
    admin = {"authorization": "Bearer gk-admin-of-the-tests"}
    keys = [{"key": "gk-admin-of-the-tests", "name": "boss", "role": "admin"}]
    with pair(tmp_path, monkeypatch, models=deployed(upstream), keys=keys, **places) as (one, other):
        made = one.send("POST", "/admin/keys", json.dumps({"name": "studio"}).encode(), {"content-type": "application/json", **admin})
        key = made.json["key"]
        asked = {"authorization": f"Bearer {key}"}
        until(lambda: other.chat(ask(model="a"), **asked).status == 200 or None)
        one.send("DELETE", f"/admin/keys/{made.json['id']}", headers=admin)
        until(lambda: other.chat(ask(model="a"), **asked).status == 401 or None)


def test_what_one_replica_finds_failing_the_other_passes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any]
) -> None:
    with scripted_upstream() as first, scripted_upstream() as second:
        first.answers(*BROKEN)
        second.answers(*REPLY)
        models = deployed(first, second, breaker={"failures": 3, "pause_s": 600})
        with pair(tmp_path, monkeypatch, models=models, **places) as (one, other):
            assert [one.chat(ask(model="a")).status for _ in range(3)] == [200] * 3
            until(lambda: any(line.endswith(" 1.0") for line in lines(other, "grammage_deployment_passed_over{")) or None)
            assert [other.chat(ask(model="a")).status for _ in range(3)] == [200] * 3
            assert len(first.received) == 3, "the other never tried"


def test_settings_that_differ_show_in_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], upstream: ScriptedUpstream
) -> None:
    with pair(tmp_path, monkeypatch, models=deployed(upstream), **places) as (one, other):
        (mark,) = lines(one, CONFIG)
        assert lines(other, CONFIG) == [mark]
        with proxy(tmp_path, models=deployed(upstream), server={"zone": "FR"}, **places) as odd:
            assert lines(odd, CONFIG) != [mark]


def test_a_call_under_way_is_not_known_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any]) -> None:
    with scripted_upstream() as silent:
        silent.answers(STREAM[0], UNTIL_LEFT)
        with pair(tmp_path, monkeypatch, models=deployed(silent), **places) as (one, other):
            call_id = begun(one)
            found = other.get(f"/v1/footprint/{call_id}")
            assert (found.status, found.error["code"]) == (404, "unknown_call")
            until(lambda: other.get(f"/v1/footprint/{call_id}").status == 200 or None)
            assert other.get(f"/v1/footprint/{call_id}").json["outcome"] == "client_left"


def begun(made: Proxy) -> str:
    """The id of a streamed call whose client leaves once it has begun."""
    import http.client

    connection = http.client.HTTPConnection(*made.address, timeout=15)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(ask(model="a", stream=True)), made.headers)
        return connection.getresponse().headers["x-grammage-call-id"]


def test_a_replica_that_makes_a_secret_of_its_own_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with proxy(tmp_path, models=deployed(upstream), **places):
        assert "user_hash_secret" not in caplog.text
    with proxy(tmp_path, models=deployed(upstream), user_hash_secret=None, **places):
        assert "user_hash_secret is not set" in caplog.text
