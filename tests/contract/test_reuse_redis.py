"""Answers kept in Redis: shared by processes, worth no call when it is gone, and never those of a call that the ledger lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.clock import Clock
from proxy.redis_door import RedisDoor
from proxy.reuse.kept import Kept
from proxy.reuse.shared import PREFIX, InRedis
from tests.contract.proxy_harness import serve_command, without_footprint
from tests.contract.redis_server import RedisServer, redis_program, redis_server
from tests.contract.reuse_house import BODY, OK, POLICY, house, kept, metrics, request
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


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


@needs_redis
def test_whoever_is_named_as_the_source_is_in_the_ledger_even_after_a_kill(
    tmp_path: Path, upstream: ScriptedUpstream, redis: RedisServer
) -> None:
    """An answer is shared and kept once its own call is recorded, not before."""
    upstream.answers(*OK)
    upstream.received.clear()
    place = {"provider": "azure", "model": "gpt-4o-mini", "region": "francecentral", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    content = {
        "server": {"listen": "127.0.0.1:0"},
        "ledger": {"url": f"sqlite:///{tmp_path}/calls.db"},
        "user_hash_secret": "a secret of the tests",
        "redis": redis.url,
        "models": {"small": {"deployments": [place]}},
        "policies": [POLICY],
    }
    (tmp_path / "grammage.yaml").write_text(json.dumps(content))
    with serve_command(tmp_path, "--config", "grammage.yaml") as child:
        made = child.proxy(tmp_path / "calls.db")
        assert made.chat(request()).status == 200
        kept(made)
        child.process.kill()
        child.exit_code()
    with serve_command(tmp_path, "--config", "grammage.yaml") as child:
        made = child.proxy(tmp_path / "calls.db")
        again = made.chat(request())
        assert len(upstream.received) == 1
        source = made.get(f"/v1/footprint/{again.ours['call-id']}").json["instead"]["source"]
        assert source["gco2e"] > 0


@needs_redis
async def test_what_redis_keeps_of_a_caller_can_be_erased_and_what_it_cannot_read_is_passed_over(redis: RedisServer) -> None:
    door = RedisDoor(redis.url)
    store = InRedis(door, Clock().perf)
    answer = Kept(status=200, headers=(), body=b"{}", source_call_id="c", kept_ms=1)
    for name in ("me:1", "me:2", "them:1"):
        await store.keep(name, answer, 60)
    assert await store.erase("me") == 2
    assert [await store.find(name) for name in ("me:1", "them:1")] == [None, answer]
    await (await door.client()).set(PREFIX + "them:1", b"\xc1not ours")
    assert await store.find("them:1") is None
    await store.close()
