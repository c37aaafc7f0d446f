"""Nothing personal leaks: what callers send and get is looked for in every byte that a real proxy leaves behind."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from proxy.ledger.spool import Spool
from tests.contract.ledger_rows import ask_ledger
from tests.contract.proxy_harness import KEY, Child, Proxy, proxy, serve_command, until
from tests.contract.redis_server import RedisServer, redis_program, redis_server
from tests.contract.reuse_house import counted, kept
from tests.contract.scripted_upstream import Received, Script, ScriptedUpstream, streamed, whole

PROMPT, ANSWER, TOOL, FILE = "kumquat-prompt", "kumquat-answer", "kumquat_tool", "kumquat-file"
USER, ADDRESS, AGENT, IDEMPOTENCY, ELSE = "kumquat-user", "203.0.113.77", "kumquat-agent", "kumquat-idempotency", "kumquat-else"
OWN_KEY, ADMIN_KEY, PROVIDER_KEY = "gk-kumquat-own-key-0123456789", "gk-kumquat-admin-0123456789", "sk-kumquat-provider-0123456789"
SECRETS = (PROMPT, ANSWER, TOOL, FILE, USER, ADDRESS, AGENT, IDEMPOTENCY, ELSE, OWN_KEY, ADMIN_KEY, PROVIDER_KEY, "kumquat")
HEADERS = {
    "authorization": f"Bearer {OWN_KEY}",
    "x-forwarded-for": ADDRESS,
    "x-real-ip": ADDRESS,
    "forwarded": f"for={ADDRESS}",
    "user-agent": AGENT,
    "cookie": f"session={ELSE}",
    "idempotency-key": IDEMPOTENCY,
    "baggage": f"userId={ELSE}",
    "x-anything": ELSE,
}
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
MESSAGES = [{"role": "system", "content": PROMPT}, {"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
TOOLS = [{"type": "function", "function": {"name": TOOL, "description": PROMPT, "parameters": {"type": "object"}}}]
CALL = {"id": f"call_{ELSE}", "type": "function", "function": {"name": TOOL, "arguments": json.dumps({"q": ANSWER})}}


def chat_answer(content: str, **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return json.dumps({"id": "c-1", "model": "gpt-4o-mini", "choices": [choice], "usage": USAGE}).encode()


def provider(request: Received) -> Script:
    """Answers that hold what must not be kept, in each endpoint's shape."""
    body = request.body
    if b"break" in body:
        return whole(
            json.dumps({"error": {"message": f"{ANSWER}: bad {PROMPT}", "type": "x", "code": "c"}}).encode(), status=b"400 Bad Request"
        )
    if b'"stream":true' in body.replace(b" ", b""):
        event = {"model": "m", "choices": [{"index": 0, "delta": {"content": ANSWER, "tool_calls": [CALL]}, "finish_reason": None}]}
        last = {"model": "m", "choices": [], "usage": USAGE}
        return streamed(*(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (event, last)), b"data: [DONE]\n\n")
    if "/images/" in request.target:
        return whole(json.dumps({"data": [{"url": f"https://x/{ANSWER}", "revised_prompt": PROMPT}]}).encode())
    if "/embeddings" in request.target:
        return whole(json.dumps({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 9}}).encode())
    if "/responses" in request.target:
        output = [{"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}]
        return whole(
            json.dumps({"id": "r-1", "status": "completed", "output": output, "usage": {"input_tokens": 9, "output_tokens": 9}}).encode()
        )
    if "/audio/transcriptions" in request.target:
        return whole(json.dumps({"text": ANSWER, "usage": {"type": "duration", "seconds": 3}}).encode())
    if b"fall-short" in body:
        return whole(chat_answer("" if b"gpt-4o-mini" in body else ANSWER))
    return whole(chat_answer(ANSWER, tool_calls=[CALL]))


def configuration(folder: Path, upstream: ScriptedUpstream, **changes: Any) -> Path:
    at = {"provider": "azure", "region": "francecentral", "api_base": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}
    aliases = {
        name: {"deployments": [{**at, "model": name}]} for name in ("gpt-4o", "gpt-4o-mini", "gpt-image-1", "text-embedding-3-small")
    }
    content = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "ledger": {"url": f"sqlite:///{folder / 'calls.db'}", "spool_reserve_mb": 1},
        "user_hash_secret": "a secret of the tests",
        "keys": [{"key": OWN_KEY, "name": "studio"}, {"key": ADMIN_KEY, "name": "boss", "role": "admin"}],
        "models": aliases,
        "alternatives": {"greetings": {"kind": "template", "text": "Joyeuses fêtes, {name} !"}},
        "budgets": [{"name": "noel", "match": {"campaign": "noel-26"}, "limit_kgco2e": 1, "period": "month"}],
        "policies": [
            {"name": "offer", "when": {"tags": {"stage": "card"}}, "alternative": {"ref": "greetings"}, "mode": "enforce"},
            {
                "name": "small-first",
                "when": {"alias": "gpt-4o"},
                "prefer": {"among": ["gpt-4o-mini"]},
                "escalate": {"to": "gpt-4o", "when": ["empty"]},
                "mode": "enforce",
            },
        ],
        **changes,
    }
    file = folder / "c.yaml"
    file.write_text(json.dumps(content))
    return file


@contextmanager
def served(folder: Path, upstream: ScriptedUpstream, **changes: Any) -> Iterator[tuple[Child, Proxy]]:
    upstream.script = provider
    file = configuration(folder, upstream, **changes)
    with serve_command(folder, "--config", str(file), "--log-level", "debug") as child:
        made = child.proxy(folder / "calls.db")
        made.headers = dict(HEADERS)
        yield child, made
    file.unlink()  # it holds keys, as configurations do


def form(name: str, kind: str) -> tuple[bytes, str]:
    """A form with a file of that name."""
    parts = (
        'name="model"\r\n\r\nwhisper-1\r\n',
        f'name="prompt"\r\n\r\n{PROMPT}\r\n',
        f'name="file"; filename="{name}"\r\ncontent-type: {kind}\r\n\r\nRIFF\r\n',
    )
    body = "".join(f"--edge\r\ncontent-disposition: form-data; {part}" for part in parts) + "--edge--\r\n"
    return body.encode(), "multipart/form-data; boundary=edge"


def speak(made: Proxy) -> int:
    """Every kind of call; how many of them are recorded."""
    said = {"messages": MESSAGES, "user": USER, "safety_identifier": USER, "prompt_cache_key": ELSE, "metadata": {"who": ELSE}}
    chat = {"model": "gpt-4o-mini", **said}
    statuses = [
        made.chat(chat).status,
        made.chat({**chat, "stream": True, "tools": TOOLS}).status,
        made.chat({**chat, "model": "gpt-4o", "n": 1}).status,
        made.chat({**chat, "model": "gpt-4o", "messages": [{"role": "user", "content": f"fall-short {PROMPT}"}]}).status,
        made.chat(chat, x_grammage_tag_campaign="noel-26").status,
        made.post("/v1/images/generations", {"model": "gpt-image-1", "prompt": PROMPT, "user": USER}).status,
        made.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": PROMPT, "user": USER}).status,
        made.post("/v1/responses", {"model": "gpt-4o-mini", "input": PROMPT, "instructions": PROMPT, "user": USER}).status,
        made.post(
            "/v1/messages", {"model": "gpt-4o-mini", "max_tokens": 9, "messages": [{"role": "user", "content": "break " + PROMPT}]}
        ).status,
        made.chat({**chat, "break": ELSE}).status,
        made.chat(chat, x_grammage_tag_stage="card").status,
        made.chat(chat, x_grammage_tag_stage="card", x_grammage_alternative="accept", x_grammage_fields=json.dumps({"name": ELSE})).status,
        made.chat({**chat, "model": PROMPT}).status,
        made.post("/v1/chat/completions", f'{{"model": "{PROMPT}", {ANSWER}'.encode()).status,
        made.chat(chat, x_grammage_policy=PROMPT).status,
        made.chat(chat, authorization=f"Bearer {ELSE}").status,
        made.get(f"/v1/files?after={ELSE}").status,
        made.get(f"/v1/footprint/{ELSE}").status,
    ]
    body, kind = form(FILE, "audio/wav")
    statuses.append(made.send("POST", "/v1/audio/transcriptions", body, {"content-type": kind}).status)
    assert statuses.count(200) >= 10, statuses
    assert len({*statuses}) >= 4, f"errors are among them: {statuses}"
    return statuses.count(200) - 2


def found_in(text: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in text]


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "c.yaml")


def test_nothing_that_was_said_or_who_said_it_is_left_anywhere(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with served(tmp_path, upstream) as (child, made):
        recorded = made.recorded(speak(made))
        assert any(PROMPT.encode() in request.body for request in upstream.received), "it did reach the provider"
        assert any(row["user_hash"] for row in recorded)
        assert any(row["idempotency_key_hash"] for row in recorded)
        assert {"azure", "local-alternative"} <= {row["provider"] for row in recorded}
        assert ask_ledger(f"sqlite:///{made.ledger}", "SELECT COUNT(*) FROM shortcomings") == [(1,)], "one call was escalated"
        admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        for path in ("/metrics", "/openapi.json", f"/v1/footprint/{recorded[0]['call_id']}"):
            told = made.get(path, **admin)
            assert (told.status, found_in(told.body)) == (200, []), path
        assert found_in(on_disk(tmp_path)) == []
        assert b"noel-26" in on_disk(tmp_path), "what is meant to be kept is found by the same search"
        assert "noel-26" in child.text
    assert found_in(child.text.encode()) == []
    assert found_in(on_disk(tmp_path)) == []


def test_a_spool_holds_no_more_than_the_ledger(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with served(tmp_path, upstream) as (child, made), closing(sqlite3.connect(made.ledger, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        assert made.chat({"model": "gpt-4o-mini", "messages": MESSAGES, "user": USER}).status == 200
        child.process.kill()
        child.exit_code()
    with closing(Spool(tmp_path / "calls.db.spool", 1 << 20)) as spool:
        spool.open()
        records = spool.oldest()
    assert [record.alias for record in records] == ["gpt-4o-mini"]
    assert records[0].user_hash is not None
    assert found_in(msgspec.json.encode(records)) == []


REUSE: dict[str, Any] = {"policies": [{"name": "ask-once", "apply": {"reuse": "24h"}, "mode": "enforce"}]}
ASKED = {"model": "gpt-4o-mini", "messages": MESSAGES, "temperature": 0, "user": USER}


@pytest.mark.skipif(redis_program() is None, reason="no Redis server here")
def test_with_reuse_only_the_store_of_answers_holds_one_and_an_erasure_empties_it(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with redis_server() as redis, served(tmp_path, upstream, redis=redis.url, **REUSE) as (child, made):
        made.chat(ASKED)
        names, values = until(lambda: in_redis(redis))
        assert "reused" in made.chat(ASKED).ours
        assert ANSWER in found_in(values)
        assert found_in(names) == []
        assert not {PROMPT, USER, OWN_KEY, PROVIDER_KEY, ADDRESS} & set(found_in(values)), "the answer is kept, and nothing of the request"
        assert found_in(on_disk(tmp_path)) == []
        asked = {"scope": "user", "name": USER}
        assert made.post("/admin/privacy/erase", asked).status == 403
        told = made.post("/admin/privacy/erase", asked, authorization=f"Bearer {ADMIN_KEY}")
        assert (told.status, told.json["calls"], told.json["answers"]) == (200, 2, 1)
        assert in_redis(redis) is None
        assert all(row["user_hash"] is None and row["gco2e"] != 0 for row in made.calls())
        assert "reused" not in made.chat(ASKED).ours
    assert found_in(child.text.encode()) == []


def test_an_erasure_empties_the_memory_of_a_running_proxy(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.script = provider
    at = {"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "k", "model": "gpt-4o-mini"}
    keys = [{"key": KEY, "name": "studio"}, {"key": ADMIN_KEY, "name": "boss", "role": "admin"}]
    viewer = {"key": "sk-viewer-0123456789", "name": "board", "role": "viewer"}
    with proxy(tmp_path, keys=[*keys, viewer], models={"gpt-4o-mini": {"deployments": [at]}}, **REUSE) as made:
        made.chat(ASKED)
        kept(made)
        assert "reused" in made.chat(ASKED).ours
        admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        told = made.post("/admin/privacy/erase", {"scope": "user", "name": USER}, **admin).json
        document = made.get("/openapi.json").json
        assert "/admin/privacy/erase" in document["paths"]
        jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Erasure", "components": document["components"]}).validate(told)
        assert (told["calls"], told["answers"], told["recorded"] is not None) == (2, 1, True)
        assert "reused" not in made.chat(ASKED).ours
        assert counted(made, "hit") == 1
        for body, code in (({"scope": "key", "name": "studio"}, "key_is_live"), ({"scope": "user"}, "invalid_type")):
            refused = made.post("/admin/privacy/erase", body, **admin)
            assert (refused.status, refused.error["code"]) == (400, code)


def in_redis(redis: RedisServer) -> tuple[bytes, bytes] | None:
    """All names and all values of kept answers, None where there are none."""
    from redis import Redis  # the tests' own look, not the proxy's

    with closing(Redis.from_url(redis.url)) as client:
        names = [bytes(name) for name in client.scan_iter() if bytes(name).startswith(b"grammage:reuse:")]
        return (b" ".join(names), b" ".join(value for name in names if isinstance(value := client.get(name), bytes))) if names else None
