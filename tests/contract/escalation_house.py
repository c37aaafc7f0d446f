"""A house with a small and a large model behind scripted answers, for what becomes of an answer that falls short.

It must never know what a test expects, but for what holds of every call that was answered twice.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ledger_rows import in_order, plain
from tests.contract.proxy_harness import Answer, Proxy, proxy
from tests.contract.scripted_upstream import Script, ScriptedUpstream, streamed, whole

SMALL_MODEL, LARGE_MODEL = "gpt-4o-mini", "gpt-4o"
FORM = {"type": "json_schema", "json_schema": {"name": "sheet", "schema": {"type": "object", "required": ["title"]}}}


def policy(**changes: Any) -> dict[str, Any]:
    """Calls of the large alias go to the small one first."""
    return {
        "name": "small-first",
        "when": {"alias": "large"},
        "prefer": {"among": ["small"]},
        "escalate": {"to": "large"},
        "mode": "enforce",
        **changes,
    }


def deployment(url: str, model: str, **more: Any) -> dict[str, Any]:
    return {"provider": "azure", "model": model, "region": "eastus", "api_base": f"{url}/v1", "api_key": "k", **more}


def aliases(url: str) -> dict[str, Any]:
    return {"large": {"deployments": [deployment(url, LARGE_MODEL)]}, "small": {"deployments": [deployment(url, SMALL_MODEL)]}}


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *policies: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.received.clear()
    upstream.left.clear()
    with proxy(folder, models=sections.pop("models", aliases(upstream.url)), policies=list(policies), **sections) as made:
        yield made


def chat(content: str | None = "Hi", *, ended: str = "stop", output: int = 50, model: str = SMALL_MODEL, **message: Any) -> list[bytes]:
    """A whole chat answer."""
    document = {
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": ended}],
        "usage": {"prompt_tokens": 100, "completion_tokens": output},
    }
    return whole(json.dumps(document).encode())


def chat_stream(*texts: str, ended: str = "stop", output: int = 50, model: str = SMALL_MODEL) -> list[bytes]:
    """The same as a stream."""
    deltas = [{"model": model, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts]
    last = {"model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": ended}]}
    usage = {"model": model, "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": output}}
    events = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in (*deltas, last, usage)]
    return streamed(*events, b"data: [DONE]\n\n")


def by_model(upstream: ScriptedUpstream, **scripts: Script) -> None:
    """An answer for each model; `small` and `large` stand for theirs."""
    of = {SMALL_MODEL: scripts["small"], LARGE_MODEL: scripts["large"]}
    upstream.script = lambda request: of[json.loads(request.body)["model"]]


def sent(upstream: ScriptedUpstream) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in upstream.received]


def models_sent(upstream: ScriptedUpstream) -> list[str]:
    return [each["model"] for each in sent(upstream)]


def rows(made: Proxy, table: str) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute(in_order(table))]


def counted(made: Proxy, name: str, **labels: str) -> float:
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    lines = made.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{{text}}} "))


def assert_both_are_weighed(made: Proxy, answer: Answer, shortcoming: str) -> None:
    """One call, two attempts with grams of their own, whose sum is the call's everywhere."""
    small, large = made.calls()
    assert small["call_id"] == large["call_id"] == answer.ours["call-id"]
    assert (small["served_model"], large["served_model"]) == (SMALL_MODEL, LARGE_MODEL)
    assert (small["output_tokens"], large["output_tokens"]) == (50, 70)
    record = made.get(f"/v1/footprint/{answer.ours['call-id']}").json
    assert [each["shortcoming"] for each in record["attempts"]] == [shortcoming, None]
    both = small["gco2e"] + large["gco2e"]
    assert small["gco2e"] > 0
    assert large["gco2e"] > 0
    assert record["gco2e"] == pytest.approx(both, rel=1e-3)
    (decision,) = rows(made, "decisions")
    assert (decision["action"], decision["choice_model"], decision["baseline_model"]) == ("routed", LARGE_MODEL, LARGE_MODEL)
    assert record["decision"]["choice"]["gco2e"] == record["gco2e"]
    assert decision["baseline_gco2e"] == pytest.approx(large["gco2e"])
    assert record["decision"]["difference"]["gco2e"] == pytest.approx(small["gco2e"], rel=1e-3)
    assert record["decision"]["difference"]["gco2e_low"] > 0
    assert counted(made, "grammage_escalations_total", policy="small-first", reason=shortcoming) == 1
    assert counted(made, "grammage_routed_emissions_co2e_grams_total", policy="small-first") == pytest.approx(both)
    assert counted(made, "grammage_baseline_emissions_co2e_grams_total", policy="small-first") == pytest.approx(large["gco2e"])
    assert rows(made, "shortcomings")[0]["shortcoming"] == shortcoming
