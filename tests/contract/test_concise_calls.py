"""`concise: true` on real calls: the provider gets one line more and nothing else, and answer and record say so; only where enforced."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.policy.concise import LINES
from tests.contract.proxy_harness import Proxy, ask
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_policies import house

SHORT = {"name": "short", "when": {"alias": "large"}, "apply": {"concise": True}, "mode": "enforce"}


@pytest.fixture(scope="module")
def enforced(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with house(tmp_path_factory.mktemp("enforced"), upstream, SHORT) as made:
        yield made


def sent(upstream: ScriptedUpstream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(upstream.received[-1].body)
    return found


@pytest.mark.parametrize(
    ("text", "market", "language"),
    [
        ("Décris un pull en mérinos.", None, "fr"),
        ("Beschreibe einen Merinopullover.", "fr", "de"),
        ("12 34", "it", "it"),
        ("12 34", None, "en"),
    ],
)
def test_the_provider_is_asked_for_a_short_answer_in_the_callers_language(
    enforced: Proxy, upstream: ScriptedUpstream, text: str, market: str | None, language: str
) -> None:
    body = ask(model="large", messages=[{"role": "user", "content": text}], seed=7)
    tagged = {} if market is None else {"x_grammage_tag_market": market}
    answer = enforced.chat(body, **tagged)
    assert (answer.ours["policy"], answer.ours["altered"]) == ("short", "concise")
    line = {"role": "system", "content": LINES[language]}
    assert sent(upstream) == {**body, "model": "gpt-4o", "messages": [line, *body["messages"]]}
    record = enforced.get(f"/v1/footprint/{answer.ours['call-id']}").json
    assert record["altered"] == ["concise"]
    assert enforced.calls()[-1]["altered"] == "concise"


@pytest.mark.parametrize(
    "change", [{"response_format": {"type": "json_object"}}, {"tools": [{"type": "function", "function": {"name": "f"}}]}]
)
def test_an_answer_that_is_to_have_a_form_is_left_alone(enforced: Proxy, upstream: ScriptedUpstream, change: dict[str, Any]) -> None:
    body = ask(model="large", **change)
    answer = enforced.chat(body)
    assert "altered" not in answer.ours
    assert sent(upstream) == {**body, "model": "gpt-4o"}


def test_a_caller_who_leaves_policies_out_and_another_alias_get_no_line(enforced: Proxy, upstream: ScriptedUpstream) -> None:
    for body, headers in ((ask(model="large"), {"x_grammage_policy": "off"}), (ask(model="small"), {})):
        assert "altered" not in enforced.chat(body, **headers).ours
        assert sent(upstream)["messages"] == body["messages"]


def test_a_policy_that_only_watches_adds_nothing(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with house(tmp_path, upstream, {**SHORT, "mode": "shadow"}) as proxy:
        answer = proxy.chat(ask(model="large"))
        assert "altered" not in answer.ours
        assert answer.ours["policy"] == "shadow:short"
        assert sent(upstream)["messages"] == ask()["messages"]


def test_a_history_that_is_to_be_compacted_stays_as_it_is(enforced: Proxy, upstream: ScriptedUpstream) -> None:
    body = {"model": "large", "input": "Describe a merino jumper."}
    assert enforced.post("/v1/responses", {**body, "store": False}).ours["altered"] == "concise"
    assert "altered" not in enforced.post("/v1/responses/compact", body).ours
    assert sent(upstream) == {**body, "model": "gpt-4o"}
