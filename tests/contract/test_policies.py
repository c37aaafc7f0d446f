"""Policies on real calls: who serves, what is capped, what is only watched, and what headers, ledger, record and metrics say of it."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import KEY, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, streamed, whole

OK = whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":50}}')
STREAM = streamed(
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50}}\n\n',
    b"data: [DONE]\n\n",
)
REGIONS = ("eastus", "francecentral", "polandcentral")
DRAFT = {"x_grammage_tag_stage": "draft"}
SMALL = {
    "name": "drafts-small",
    "when": {"alias": "large", "tags": {"stage": "draft"}},
    "prefer": {"among": ["small"]},
    "mode": "enforce",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*OK)
        yield made


def at(url: str, model: str, region: str = "eastus", **more: Any) -> dict[str, Any]:
    return {"provider": "azure", "model": model, "region": region, "api_base": f"{url}/v1", "api_key": "k", **more}


def aliases(url: str) -> dict[str, Any]:
    return {
        "large": {"quality": 0.9, "deployments": [at(url, "gpt-4o")]},
        "small": {"quality": 0.7, "deployments": [at(url, "gpt-4o-mini")]},
        "anywhere": {
            "deployments": [
                at(url, "phi-4", region, weight=10 - n) for n, region in enumerate(("eastus", "francecentral", "polandcentral"))
            ]
        },
        "visuals": {"deployments": [at(url, "gpt-image-1")]},
    }


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *policies: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    with proxy(folder, models=sections.pop("models", aliases(upstream.url)), policies=list(policies), **sections) as made:
        yield made


def decisions(made: Proxy) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute("SELECT * FROM decisions ORDER BY rowid")]


def counted(made: Proxy, name: str, **labels: str) -> float:
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    lines = made.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{{text}}} "))


def sent(upstream: ScriptedUpstream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(upstream.last.body)
    return found


def test_a_draft_goes_to_the_small_model_and_everything_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, SMALL) as made:
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="large", messages=[{"role": "user", "content": "A slogan"}], extra_headers={"x-grammage-tag-stage": "draft"}
            )
        assert sent(upstream)["model"] == "gpt-4o-mini"
        assert raw.headers["x-grammage-policy"] == "drafts-small"
        assert "x-grammage-altered" not in raw.headers
        (row,) = decisions(made)
        assert (row["policy"], row["mode"], row["action"], row["reason"]) == ("drafts-small", "enforce", "routed", "")
        assert (row["baseline_provider"], row["baseline_model"], row["baseline_region"]) == ("azure", "gpt-4o", "eastus")
        assert row["choice_model"] == "gpt-4o-mini"
        record = made.get(f"/v1/footprint/{raw.headers['x-grammage-call-id']}").json
        told = record["decision"]
        assert told["choice"]["gco2e"] == record["gco2e"]
        assert told["baseline"]["gco2e"] == pytest.approx(row["baseline_gco2e"], rel=1e-3)
        difference = told["difference"]
        assert difference["gco2e_low"] < difference["gco2e"] < 0
        assert difference["gco2e"] < difference["gco2e_high"]
        assert difference["gco2e"] == pytest.approx(row["choice_gco2e"] - row["baseline_gco2e"], rel=1e-3)
        assert "modelled difference" in difference["what"]
        assert counted(made, "grammage_policy_decisions_total", policy="drafts-small", action="routed") == 1
        baseline = counted(made, "grammage_baseline_emissions_co2e_grams_total", policy="drafts-small")
        assert baseline == pytest.approx(row["baseline_gco2e"])
        assert counted(made, "grammage_routed_emissions_co2e_grams_total", policy="drafts-small") == pytest.approx(row["choice_gco2e"])
        assert made.call()["policy"] == "drafts-small"


def test_a_stream_is_routed_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, SMALL) as made:
        upstream.answers(*STREAM)
        answer = made.chat(ask(model="large", stream=True), **DRAFT)
        assert (answer.ours["policy"], answer.ours["model"], sent(upstream)["model"]) == (
            "drafts-small",
            "assumed:gpt-4o-mini",
            "gpt-4o-mini",
        )
        assert decisions(made)[0]["baseline_gco2e"] > 0


def test_a_call_that_no_policy_is_for_leaves_as_it_came(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    body = b'{ "model" : "gpt-4o",  "messages": [{"role":"user","content":"\xc3\xa9"}], "seed":1 }'
    models = {"gpt-4o": {"deployments": [at(upstream.url, "gpt-4o")]}, **aliases(upstream.url)}
    with house(tmp_path, upstream, SMALL, models=models) as made:
        answer = made.chat(body, **DRAFT)
        assert (upstream.last.body, answer.ours["policy"]) == (body, "none")
        assert not decisions(made)
        assert counted(made, "grammage_policy_decisions_total", policy="none", action="none") == 1


def test_a_region_policy_sends_the_call_where_the_grid_is_low(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    policy = {"name": "low-grids", "require": {"zone_gco2e_per_kwh_at_most": 100}, "otherwise": "refuse", "mode": "enforce"}
    with house(tmp_path, upstream, policy) as made:
        regions = {made.chat(ask(model="anywhere")).ours["region"] for _ in range(12)}
        assert regions == {"francecentral"}
        refused = made.chat(ask(model="large"))
        assert (refused.status, refused.error["code"]) == (422, "policy_refused")
        assert "low-grids" in refused.error["message"]
        assert "zone_gco2e_per_kwh_at_most (1)" in refused.error["message"]
        assert {row["choice_region"] for row in decisions(made)} == {"francecentral"}
        assert len(made.calls()) == 12
        assert counted(made, "grammage_policy_decisions_total", policy="low-grids", action="refused") == 1


def test_what_nobody_meets_passes_where_the_policy_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    policy = {"name": "low-grids", "require": {"region_in": "swedencentral"}, "apply": {"max_output_tokens": 5}, "mode": "enforce"}
    body = json.dumps(ask(model="large")).encode()
    with house(tmp_path, upstream, policy) as made:
        answer = made.chat(body)
        assert (answer.status, answer.ours["policy"], answer.ours.get("altered")) == (200, "none", None)
        assert upstream.last.body == body.replace(b'"large"', b'"gpt-4o"')
        (row,) = decisions(made)
        assert (row["action"], row["reason"], row["baseline_gco2e"]) == ("passthrough", "no_candidate", row["choice_gco2e"])
        assert made.get(f"/v1/footprint/{answer.ours['call-id']}").json["decision"]["difference"]["gco2e"] == 0


@pytest.mark.parametrize(
    ("asked", "left", "altered"),
    [
        (b'{"model":"large", "messages":[]}', b'{"max_completion_tokens":200,"model":"gpt-4o", "messages":[]}', "max_tokens"),
        (b'{"model":"large","max_tokens": 900,"messages":[]}', b'{"model":"gpt-4o","max_tokens": 200,"messages":[]}', "max_tokens"),
        (b'{"model":"large","max_tokens":100,"messages":[]}', b'{"model":"gpt-4o","max_tokens":100,"messages":[]}', None),
        (
            b'{"model":"large","max_tokens":null,"n":3,"messages":[]}',
            b'{"max_completion_tokens":200,"model":"gpt-4o","max_tokens":null,"n":1,"messages":[]}',
            "max_tokens,n",
        ),
    ],
)
def test_a_cap_is_written_into_the_bytes_and_declared(
    tmp_path: Path, upstream: ScriptedUpstream, asked: bytes, left: bytes, altered: str | None
) -> None:
    policy = {"name": "short", "when": {"alias": "large"}, "apply": {"max_output_tokens": 200, "n_at_most": 1}, "mode": "enforce"}
    with house(tmp_path, upstream, policy) as made:
        answer = made.chat(asked)
        assert upstream.last.body == left
        assert (answer.ours["policy"], answer.ours.get("altered")) == ("short", altered)
        assert made.call()["altered"] == (altered or "")
        assert made.get(f"/v1/footprint/{answer.ours['call-id']}").json["altered"] == (altered.split(",") if altered else [])


@pytest.mark.parametrize(("stated", "asked"), [({"max_tokens": 100}, 2), ({}, 1)])
def test_who_reads_a_lowered_limit_as_the_caller_wrote_it_stays_a_fallback(
    tmp_path: Path, upstream: ScriptedUpstream, stated: dict[str, int], asked: int
) -> None:
    mistral = {"provider": "mistral", "model": "mistral-large-latest", "api_base": f"{upstream.url}/v1", "api_key": "k", "order": 1}
    models = {"mixed": {"deployments": [at(upstream.url, "gpt-4o"), mistral]}}
    with house(tmp_path, upstream, {"name": "cap", "apply": {"max_output_tokens": 40}, "mode": "enforce"}, models=models) as made:
        upstream.script = lambda request: OK if b"mistral" in request.body else whole(b"{}", status=b"503 Busy")
        answer = made.chat(ask(model="mixed", **stated))
        assert (answer.status, len(upstream.received)) == (200 if asked == 2 else 503, asked)
        assert all(40 in json.loads(each.body).values() for each in upstream.received)


def test_pictures_are_capped(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    caps = {"n_at_most": 2, "image_size_at_most": "1024x1024", "image_quality_at_most": "low"}
    with house(tmp_path, upstream, {"name": "few", "when": {"operation": "images"}, "apply": caps, "mode": "enforce"}) as made:
        upstream.answers(*whole(b'{"data":[{"b64_json":"AA=="}]}'))
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
            raw = client.images.with_raw_response.generate(model="visuals", prompt="a jumper", n=4, size="1536x1024", quality="high")
        assert raw.headers["x-grammage-altered"] == "n,size,quality"
        assert {name: sent(upstream)[name] for name in ("n", "size", "quality")} == {"n": 2, "size": "1024x1024", "quality": "low"}


def test_a_policy_in_shadow_changes_nothing_and_records_what_it_would_do(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"large","messages":[]}'
    shadow = {**SMALL, "mode": "shadow", "apply": {"max_output_tokens": 5}}
    with house(tmp_path, upstream, shadow) as made:
        answer = made.chat(body, **DRAFT)
        assert upstream.last.body == body.replace(b'"large"', b'"gpt-4o"')
        assert (answer.ours["policy"], "altered" in answer.ours) == ("shadow:drafts-small", False)
        (row,) = decisions(made)
        assert (row["mode"], row["action"], row["baseline_model"], row["choice_model"]) == ("shadow", "routed", "gpt-4o", "gpt-4o-mini")
        assert row["choice_gco2e"] > 0
        assert counted(made, "grammage_policy_decisions_total", policy="drafts-small", action="shadow_routed") == 1
        watched = counted(made, "grammage_routed_emissions_co2e_grams_total", policy="shadow:drafts-small")
        assert watched == pytest.approx(row["choice_gco2e"])
        assert not counted(made, "grammage_routed_emissions_co2e_grams_total", policy="drafts-small")


def test_a_watching_policy_never_stands_before_one_that_acts(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    watching = {"name": "watching", "apply": {"n_at_most": 1}}
    with house(tmp_path, upstream, watching, SMALL) as made:
        assert made.chat(ask(model="large"), **DRAFT).ours["policy"] == "drafts-small"
        assert made.chat(ask(model="large")).ours["policy"] == "shadow:watching"


@pytest.mark.parametrize(
    ("share", "model", "word", "action"),
    [(1.0, "gpt-4o", "holdback:drafts-small", "holdback"), (0.0, "gpt-4o-mini", "drafts-small", "routed")],
)
def test_what_is_held_back_is_left_as_it_is_and_recorded_as_such(
    tmp_path: Path, upstream: ScriptedUpstream, share: float, model: str, word: str, action: str
) -> None:
    with house(tmp_path, upstream, {**SMALL, "holdback": share}) as made:
        answers = [made.chat(ask(model="large"), **DRAFT) for _ in range(3)]
        assert {answer.ours["policy"] for answer in answers} == {word}
        assert {json.loads(request.body)["model"] for request in upstream.received} == {model}
        assert {row["action"] for row in decisions(made)} == {action}
        assert counted(made, "grammage_policy_decisions_total", policy="drafts-small", action=action) == 3


def test_the_caller_can_say_no_but_not_to_a_locked_policy(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    locked = {**SMALL, "name": "always", "locked": True, "when": {"tags": {"purpose": "internal"}}, "prefer": {"among": "small"}}
    with house(tmp_path, upstream, SMALL, locked) as made:
        assert made.chat(ask(model="large"), **DRAFT, x_grammage_policy="off").ours["policy"] == "off"
        assert sent(upstream)["model"] == "gpt-4o"
        assert made.chat(ask(model="large"), x_grammage_tag_purpose="internal", x_grammage_policy="off").ours["policy"] == "always"
        assert sent(upstream)["model"] == "gpt-4o-mini"
        assert made.chat(ask(model="large"), x_grammage_tag_purpose="internal", x_grammage_policy="drafts-small").ours["policy"] == "always"


def test_the_caller_can_name_a_policy(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    second = {"name": "second", "when": {"alias": "large"}, "apply": {"max_output_tokens": 7}, "mode": "enforce"}
    with house(tmp_path, upstream, SMALL, second) as made:
        assert made.chat(ask(model="large"), **DRAFT).ours["policy"] == "drafts-small"
        assert made.chat(ask(model="large"), **DRAFT, x_grammage_policy="second").ours["policy"] == "second"
        unknown = made.chat(ask(model="large"), x_grammage_policy="drafts-smal")
        assert (unknown.status, unknown.error["code"], unknown.error["param"]) == (400, "invalid_header", "x-grammage-policy")


def test_a_callers_own_key_never_goes_to_another_provider(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with scripted_upstream() as stranger:
        stranger.answers(*OK)
        models = {
            "large": {"deployments": [at(upstream.url, "gpt-4o", api_key=None)]},
            "small": {"deployments": [at(stranger.url, "gpt-4o-mini", api_key=None), at(upstream.url, "gpt-4o-mini", api_key=None)]},
            "other": {"deployments": [at(stranger.url, "gpt-4o-mini", provider="mistral", api_key=None)]},
        }
        policy = {**SMALL, "prefer": {"among": ["small", "other"]}}
        with house(tmp_path, upstream, policy, models=models) as made:
            assert made.chat(ask(model="large"), **DRAFT).ours["policy"] == "drafts-small"
            assert (sent(upstream)["model"], stranger.received) == ("gpt-4o-mini", [])
            dry = made.chat(ask(model="large"), **DRAFT, x_grammage_dry_run="true").json["decision"]
            assert [reason.rpartition("@")[0] for reason in dry["reasons"]] == ["azure/gpt-4o-mini", "mistral/gpt-4o-mini"]
            assert all(reason.endswith(": no_key") for reason in dry["reasons"])
            assert (dry["verdict"]["action"], dry["verdict"]["baseline"]["model"]) == ("routed", "gpt-4o")


def test_a_key_that_may_not_use_the_other_alias_stays(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    keys = [{"key": "key-of-studio", "name": "studio", "models": ["large"]}]
    with house(tmp_path, upstream, SMALL, keys=keys) as made:
        answer = made.chat(ask(model="large"), **DRAFT, authorization="Bearer key-of-studio")
        assert (answer.status, sent(upstream)["model"]) == (200, "gpt-4o")
        assert decisions(made)[0]["action"] == "kept"


def test_a_choice_that_fails_gives_way_to_the_usual_one(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, SMALL) as made:
        upstream.answers_in_turn(whole(b'{"error":{}}', status=b"503 Service Unavailable"), OK)
        answer = made.chat(ask(model="large"), **DRAFT)
        assert (answer.status, [json.loads(each.body)["model"] for each in upstream.received]) == (200, ["gpt-4o-mini", "gpt-4o"])
        (row,) = decisions(made)
        assert row["baseline_gco2e"] == row["choice_gco2e"] > 0


def test_what_a_provider_keeps_stays_where_it_can_be_found_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, SMALL) as made:
        upstream.answers(*whole(b'{"id":"resp_1","model":"m","output":[],"usage":{"input_tokens":9,"output_tokens":5}}'))
        asked = {"model": "large", "input": "A slogan"}
        assert made.post("/v1/responses", asked, **DRAFT).status == 200
        assert sent(upstream)["model"] == "gpt-4o"
        made.post("/v1/responses", {**asked, "store": False}, **DRAFT)
        assert sent(upstream)["model"] == "gpt-4o-mini"


def test_a_change_of_the_file_of_policies_is_taken_over_while_serving(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*OK)
    ledger = tmp_path / "calls.db"
    settings = {"server": {"listen": "127.0.0.1:0"}, "ledger": {"url": f"sqlite:///{ledger}"}, "models": aliases(upstream.url)}
    (tmp_path / "grammage.yaml").write_text(json.dumps({**settings, "policies": "policies.yaml"}))
    rules = tmp_path / "policies.yaml"
    rules.write_text("policies: []\n")
    with serve_command(tmp_path, "--config", "grammage.yaml") as child:
        made = child.proxy(ledger)
        assert made.chat(ask(model="large"), **DRAFT).ours["policy"] == "none"
        rules.write_text(json.dumps({"policies": [SMALL]}))
        until(lambda: made.chat(ask(model="large"), **DRAFT).ours["policy"] == "drafts-small" or None)
        assert sent(upstream)["model"] == "gpt-4o-mini"


def test_calls_of_anthropics_dialect_are_routed_and_capped_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    claude = {"provider": "anthropic", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    models = {
        "large": {"deployments": [{**claude, "model": "claude-opus-4"}]},
        "small": {"deployments": [at(upstream.url, "gpt-4o-mini", door="wire"), {**claude, "model": "claude-haiku-3.5"}]},
    }
    with house(tmp_path, upstream, {**SMALL, "apply": {"max_output_tokens": 50}}, models=models) as made:
        upstream.answers(*whole(b'{"type":"message","content":[],"usage":{"input_tokens":9,"output_tokens":5}}'))
        asked = {"model": "large", "max_tokens": 1024, "messages": [{"role": "user", "content": "A slogan"}]}
        answer = made.post("/v1/messages", asked, **DRAFT, anthropic_version="2023-06-01")
        assert (answer.ours["policy"], answer.ours["altered"]) == ("drafts-small", "max_tokens")
        assert (upstream.last.target, sent(upstream)["max_tokens"]) == ("/v1/messages", 50)
        assert [json.loads(each.body)["model"] for each in upstream.received] == ["claude-haiku-3.5"]
        dry = made.post("/v1/messages", asked, **DRAFT, anthropic_version="2023-06-01", x_grammage_dry_run="true").json
        assert dry["decision"]["reasons"] == ["azure/gpt-4o-mini@eastus: dialect"]


def test_a_picture_keeps_a_call_from_models_that_do_not_see(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    models = {"large": {"deployments": [at(upstream.url, "gpt-4o")]}, "small": {"deployments": [at(upstream.url, "phi-4")]}}
    shown = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]
    with house(tmp_path, upstream, SMALL, models=models) as made:
        assert made.chat(ask(model="large"), **DRAFT).status == 200
        assert sent(upstream)["model"] == "phi-4"
        dry = made.chat(ask(model="large", messages=shown), **DRAFT, x_grammage_dry_run="true").json["decision"]
        assert (dry["model"], dry["reasons"], dry["verdict"]["reason"]) == ("gpt-4o", ["azure/phi-4@eastus: vision"], "not_lower")
