"""When LiteLLM is imported: before readiness where a deployment needs it, never where none does, and the rest is served without it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import Child, Proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, whole
from tests.providers.case import KEY, chat
from tests.providers.translated_cases import CONVERSE, MESSAGE

TURNS = [{"role": "user", "content": "?"}]
USAGE = {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}
BROKEN = "raise ImportError('not here')\n"


def configured(folder: Path, upstream: ScriptedUpstream, *providers: str, **more: Any) -> Path:
    deployed = {"api_base": f"{upstream.url}/v1", "api_key": KEY, "model": "m"}
    models = {name: {"deployments": [{**deployed, "provider": name}]} for name in providers}
    ledger = {"url": f"sqlite:///{folder / 'calls.db'}"}
    content = {"version": 1, "server": {"listen": "127.0.0.1:0"}, "auth": "open", "models": models, "ledger": ledger, **more}
    (folder / "grammage.yaml").write_text(json.dumps(content))
    return folder


def holds_litellm(child: Child) -> bool:
    """True when the process has a library in memory that only LiteLLM brings."""
    return any("fastuuid" in line for line in Path(f"/proc/{child.process.pid}/maps").read_text().splitlines())


def address(child: Child) -> Proxy:
    """The proxy as soon as it listens, ready or not."""
    line = until(lambda: next((line for line in child.said if "listens on http" in line), None))
    made = Proxy(line.split()[-1].removesuffix("/v1"), Path())
    made.headers = {}
    return made


def test_it_is_there_before_readiness_and_others_are_served_meanwhile(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    folder = configured(tmp_path, upstream, "anthropic", "openai")
    upstream.answers(*whole(json.dumps(chat(USAGE)).encode()))
    with serve_command(folder, "--config", "grammage.yaml") as child:
        made = address(child)
        first = made.get("/readyz")
        assert (first.status, first.json["reasons"]) == (503, ["loading_litellm"])
        assert made.post("/v1/chat/completions", {"model": "openai", "messages": TURNS}).status == 200
        until(lambda: made.get("/readyz").status == 200 or None)
        assert holds_litellm(child)


def test_a_call_that_comes_too_early_waits(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    folder = configured(tmp_path, upstream, "anthropic")
    upstream.answers(*whole(json.dumps(MESSAGE).encode()))
    with serve_command(folder, "--config", "grammage.yaml") as child:
        assert address(child).post("/v1/chat/completions", {"model": "anthropic", "messages": TURNS}).status == 200


@pytest.mark.parametrize("translate", [[], ["anthropic"]])
def test_it_is_loaded_for_nothing_but_what_needs_it(upstream: ScriptedUpstream, tmp_path: Path, translate: list[str]) -> None:
    folder = configured(tmp_path, upstream, "openai", "mistral", translate=translate)
    upstream.answers(*whole(json.dumps(chat(USAGE)).encode()))
    with serve_command(folder, "--config", "grammage.yaml") as child:
        made = address(child)
        until(lambda: made.get("/readyz").status == 200 or None)
        assert made.post("/v1/chat/completions", {"model": "openai", "messages": TURNS}).status == 200
        assert holds_litellm(child) == bool(translate)


def test_a_dialect_that_nobody_announced_is_translated_all_the_same(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    folder = configured(tmp_path, upstream, "mistral")
    upstream.answers(*whole(json.dumps(chat(USAGE)).encode()))
    with serve_command(folder, "--config", "grammage.yaml") as child:
        made = address(child)
        answer = made.post("/v1/messages", {"model": "mistral", "messages": TURNS, "max_tokens": 9})
        assert (answer.status, answer.json["type"], answer.json["usage"]["output_tokens"]) == (200, "message", 7)
        assert upstream.last.target == "/v1/chat/completions"


def test_the_rest_is_served_where_it_cannot_be_imported(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    folder = configured(tmp_path, upstream, "anthropic", "openai")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "litellm.py").write_text(BROKEN)
    content = json.loads((folder / "grammage.yaml").read_text())
    both = [deployed for name in ("anthropic", "openai") for deployed in content["models"][name]["deployments"]]
    content["models"]["either"] = {"deployments": [{**one, "order": number} for number, one in enumerate(both)]}
    (folder / "grammage.yaml").write_text(json.dumps(content))
    upstream.answers(*whole(json.dumps(chat(USAGE)).encode()))
    root = Path(__file__).resolve().parents[2]
    with serve_command(folder, "--config", "grammage.yaml", PYTHONPATH=f"{tmp_path / 'broken'}:{root}") as child:
        made = address(child)
        until(lambda: made.get("/readyz").status == 200 or None)
        refused = made.post("/v1/chat/completions", {"model": "anthropic", "messages": TURNS})
        assert (refused.status, refused.error["code"]) == (503, "litellm_unavailable")
        assert made.post("/v1/chat/completions", {"model": "openai", "messages": TURNS}).status == 200
        assert made.post("/v1/chat/completions", {"model": "either", "messages": TURNS}).status == 200
        until(lambda: "cannot be imported" in child.text or None)


def test_a_callers_own_key_goes_to_the_provider_in_its_place_and_no_further(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    models = {
        "claude": {"deployments": [{"provider": "anthropic", "model": "m", "api_base": f"{upstream.url}/v1"}]},
        "nova": {"deployments": [{"provider": "bedrock", "model": "nova", "api_base": upstream.url, "region": "eu-west-3"}]},
    }
    folder = configured(tmp_path, upstream, auth="passthrough", models=models)
    upstream.answers(*whole(json.dumps(MESSAGE).encode()))
    operators = {"AWS_ACCESS_KEY_ID": "AKIAOPERATOR", "AWS_SECRET_ACCESS_KEY": "operator", "ANTHROPIC_API_KEY": "sk-operator"}
    with serve_command(folder, "--config", "grammage.yaml", **operators) as child:
        made = address(child)
        assert made.post("/v1/chat/completions", {"model": "claude", "messages": TURNS}, authorization="Bearer sk-callers").status == 200
        assert upstream.last.value("x-api-key") == b"sk-callers"
        assert made.post("/v1/chat/completions", {"model": "claude", "messages": TURNS}).status == 401
        upstream.answers(*whole(json.dumps(CONVERSE).encode()))
        assert made.post("/v1/chat/completions", {"model": "nova", "messages": TURNS}, authorization="Bearer sk-callers").status == 200
        assert b"AKIAOPERATOR" in (upstream.last.value("authorization") or b"")
        assert all(b"sk-callers" not in value for _, value in upstream.last.headers)


def test_the_door_itself_imports_nothing_heavy() -> None:
    script = "import proxy.upstream.litellm_door, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not {"litellm", "openai", "httpx", "boto3"} & set(json.loads(done.stdout))
