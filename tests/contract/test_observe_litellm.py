"""LiteLLM's own callback: a real LiteLLM tells a real proxy of its calls, and is never disturbed by it."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app as command_line
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.test_observe import counted
from tests.serving import free_port

ROOT = Path(__file__).resolve().parents[2]
CALLBACK = ROOT / "proxy" / "observe" / "data" / "grammage_litellm.py"
KEYS = [
    {"key": "the-collector-key", "name": "litellm", "role": "observer"},
    {"key": "the-admin-key", "name": "boss", "role": "admin"},
    {"key": "the-caller-key", "name": "app"},
]
SIMULATED = {"*": {"deployments": [{"provider": "simulated"}]}}


def run_litellm(url: str, api_base: str = "-", key: str = "the-collector-key") -> dict[str, Any]:
    """What the program that uses LiteLLM says; fails when LiteLLM was disturbed."""
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "GRAMMAGE_URL": url, "GRAMMAGE_KEY": key, "OPENAI_API_KEY": "sk-x"}
    command = [sys.executable, str(ROOT / "tests" / "contract" / "litellm_child.py"), str(CALLBACK), api_base]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"said": done.stderr}


def watched(served: Proxy) -> Proxy:
    """The proxy, asked as its admin."""
    served.headers = {"authorization": "Bearer the-admin-key"}
    return served


def test_litellm_tells_of_every_kind_of_call(tmp_path: Path) -> None:
    with proxy(tmp_path, keys=KEYS, models=SIMULATED, observe={"otlp": {}}) as served:
        told = run_litellm(watched(served).url)
        assert (told["taken"], told["dropped"], told["flushed"]) == (6, 0, True)
        calls = served.calls()
        assert {call["caller_id"] for call in calls} == {"observe:litellm"}
        found = [(call["operation"], call["provider"], call["alias"], call["stream"], call["outcome"]) for call in calls]
        assert sorted(found) == sorted(
            [
                ("chat", "openai", "gpt-4o-mini", 0, "ok"),
                ("chat", "openai", "gpt-4o-mini", 1, "ok"),
                ("chat", "azure", "gpt-4o", 0, "ok"),
                ("chat", "openai", "gpt-4o-mini", 1, "ok"),
                ("chat", "openai", "gpt-4o-mini", 0, "upstream_error"),
                ("embeddings", "openai", "text-embedding-3-small", 0, "ok"),
            ]
        )
        good = [call for call in calls if call["outcome"] == "ok"]
        assert all(call["gco2e"] > 0 and call["input_tokens"] for call in good)
        (failed,) = (call for call in calls if call["outcome"] != "ok")
        assert (failed["status"], failed["unweighed_reason"], failed["gco2e"]) == (429, "not_generated", None)
        tagged = [json.loads(call["tags"]) for call in calls if json.loads(call["tags"])]
        assert tagged == [{"brand": "acme", "campaign": "noel-26"}]
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"in secret" not in kept
    assert b"a person" not in kept


def test_litellm_in_front_of_the_proxy_is_counted_once(tmp_path: Path) -> None:
    with proxy(tmp_path, keys=KEYS, models=SIMULATED, observe={"otlp": {}}) as served:
        told = run_litellm(watched(served).url, api_base=served.v1)
        assert told["dropped"] == 0
        assert [call["caller_id"] for call in served.calls()] == ["app"]
        assert counted(served) == {"came_through_us": 1}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The callback's module, on a stand-in for LiteLLM's base class: that takes seconds to import."""
    base = types.ModuleType("litellm.integrations.custom_logger")
    base.CustomLogger = type("CustomLogger", (), {"__init__": lambda self: None})  # type: ignore[attr-defined]  # made here
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "litellm.integrations.custom_logger", base)
    spec = importlib.util.spec_from_file_location("grammage_litellm", CALLBACK)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def told_by_litellm(number: int = 1, **changes: Any) -> dict[str, Any]:
    """What LiteLLM hands to a callback, as far as it is read."""
    payload: dict[str, Any] = {
        "id": f"chatcmpl-{number}", "litellm_call_id": f"call-{number}", "call_type": "acompletion", "status": "success", "cache_hit": None,
        "startTime": 1_790_000_000.0, "endTime": 1_790_000_001.5, "custom_llm_provider": "openai", "model": "gpt-4o-mini",
        "prompt_tokens": 10, "completion_tokens": 5, "metadata": {}, "hidden_params": {}, "request_tags": [],
    }  # fmt: skip
    return {"standard_logging_object": {**payload, **changes}, "litellm_call_id": f"call-{number}", "messages": "never read"}


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """Attributes by name."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_a_full_queue_drops_and_says_so_at_once(module: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.threading.Thread, "start", lambda self: None)  # nothing is handed in
    footprint = module.GrammageFootprint(url=f"http://127.0.0.1:{free_port()}", most_waiting=3)
    for number in range(10):
        footprint.log_success_event(told_by_litellm(number), None, None, None)
    assert footprint.dropped == 7
    assert not footprint.flush(0.01)
    assert [record.message for record in caplog.records] == ["1 calls are lost to grammage so far: too many wait already"]


@pytest.mark.parametrize("odd", [{}, {"standard_logging_object": 7}, told_by_litellm(startTime=None), told_by_litellm(call_type=None)])
def test_nothing_that_litellm_tells_makes_the_callback_raise(module: Any, odd: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.threading.Thread, "start", lambda self: None)
    footprint = module.GrammageFootprint()
    footprint.log_success_event(odd, None, None, None)
    footprint.log_failure_event(odd, None, None, None)


@pytest.mark.parametrize(("key", "why"), [("nobody's", "grammage answered 401"), ("the-caller-key", "grammage answered 403")])
def test_what_the_proxy_refuses_is_said(module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, why: str) -> None:
    with proxy(tmp_path, keys=KEYS, models=SIMULATED, observe={"otlp": {}}) as served:
        footprint = module.GrammageFootprint(url=served.url, key=key, every_s=0.01)
        footprint.log_success_event(told_by_litellm(), None, None, None)
        assert footprint.flush(10.0)
        assert not served.calls()
    assert footprint.dropped == 1
    assert why in caplog.text


def test_spans_that_the_proxy_does_not_take_are_said(module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with proxy(tmp_path, keys=KEYS, models=SIMULATED, observe={"otlp": {}}) as served:
        footprint = module.GrammageFootprint(url=served.url, key="the-collector-key", every_s=0.01)
        footprint.log_success_event(told_by_litellm(call_type="levitate"), None, None, None)
        assert footprint.flush(10.0)
    assert footprint.dropped == 1
    assert "of an operation that is not known here" in caplog.text


def test_an_answer_from_litellms_cache_is_no_call(module: Any) -> None:
    assert module.span_of(told_by_litellm(cache_hit=True), ()) is None


def test_unknown_usage_is_left_out_and_details_are_told(module: Any) -> None:
    silent = attributes(module.span_of(told_by_litellm(prompt_tokens=0, completion_tokens=0), ()))
    assert not [name for name in silent if name.startswith("gen_ai.usage.")]
    usage = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    full = attributes(module.span_of(told_by_litellm(metadata={"usage_object": usage}), ()))
    assert full["gen_ai.usage.cache_read.input_tokens"] == "4"
    assert full["gen_ai.usage.reasoning.output_tokens"] == "2"


def test_a_retry_and_its_success_are_two_calls_and_a_repeated_event_is_one(module: Any) -> None:
    first = module.span_of(told_by_litellm(), ())
    assert module.span_of(told_by_litellm(), ())["spanId"] == first["spanId"]
    failed = module.span_of(told_by_litellm(status="failure", id="call-1", error_information={"error_code": "503"}), ())
    assert failed["spanId"] != first["spanId"]
    assert attributes(failed)["error.type"] == "503"


def test_init_writes_the_callback_and_overwrites_nothing_unasked(tmp_path: Path) -> None:
    written = CliRunner().invoke(command_line, ["init", str(tmp_path), "--litellm"])
    assert written.exit_code == 0
    target = tmp_path / "grammage_litellm.py"
    assert target.read_text() == CALLBACK.read_text()
    assert CliRunner().invoke(command_line, ["init", str(tmp_path), "--litellm"]).exit_code == 1
    assert CliRunner().invoke(command_line, ["init", str(tmp_path), "--litellm", "--force"]).exit_code == 0
