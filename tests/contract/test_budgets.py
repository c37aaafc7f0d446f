"""Carbon budgets on real calls: what is reserved, settled, refused, sent to a smaller model, and told, in one process."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.ledger.ids import id_bytes
from tests.contract.late_harness import BACKGROUND, answer_by_path, completed, queued
from tests.contract.ledger_rows import repeat_opinions
from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, ScriptedUpstream, head, scripted_upstream, streamed, whole
from tests.contract.socket_harness import CREATED, DONE, SocketUpstream, opened, read, refusal

OK = whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":50}}')
STREAM = streamed(
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50}}\n\n',
    b"data: [DONE]\n\n",
)
NOEL = {"x_grammage_tag_campaign": "noel-26"}
LARGE = ask(model="large", max_tokens=50)
CALL_G = 0.0767
"""What one such call weighs, about."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def at(url: str, model: str, region: str = "eastus", **more: Any) -> dict[str, Any]:
    return {"provider": "azure", "model": model, "region": region, "api_base": f"{url}/v1", "api_key": "k", **more}


def aliases(url: str) -> dict[str, Any]:
    return {
        "large": {"quality": 0.9, "deployments": [at(url, "gpt-4o")]},
        "small": {"quality": 0.7, "deployments": [at(url, "gpt-4o-mini"), at(url, "gpt-4o-mini", "francecentral", order=1)]},
        "spread": {"deployments": [at(url, "gpt-4o", "polandcentral"), at(url, "gpt-4o", "francecentral", order=1)]},
    }


def budget(limit_g: float, **changes: Any) -> dict[str, Any]:
    return {
        "name": "noel",
        "match": {"campaign": "noel-26"},
        "limit_kgco2e": limit_g / 1000,
        "period": "all",
        "on_exceed": "refuse",
        **changes,
    }


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *budgets: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    upstream.left.clear()
    with proxy(folder, models=sections.pop("models", aliases(upstream.url)), budgets=list(budgets), **sections) as made:
        yield made


def gauge(made: Proxy, name: str, of: str = "noel") -> float:
    return metric(made, f'grammage_budget_{name}_grams{{budget="{of}"}}')


def counted(made: Proxy, action: str, of: str = "noel") -> float:
    return metric(made, f'grammage_budget_exceeded_calls_total{{action="{action}",budget="{of}"}}')


def metric(made: Proxy, series: str) -> float:
    lines = made.get("/metrics").body.decode().splitlines()
    (found,) = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")]
    return found


def ledger_g(made: Proxy) -> float:
    return sum(row["gco2e"] or 0.0 for row in made.calls())


def settled(made: Proxy, calls: int = 1) -> float:
    """Grams used, once so many calls are in the ledger and nothing is reserved."""
    made.recorded(calls)
    until(lambda: gauge(made, "reserved") == 0 or None)
    return gauge(made, "used")


def say(client: openai.OpenAI, campaign: str = "noel-26") -> None:
    client.chat.completions.create(
        model="large",
        messages=[{"role": "user", "content": "A slogan"}],
        max_tokens=50,
        extra_headers={"x-grammage-tag-campaign": campaign},
    )


def change(made: Proxy, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(made.ledger)) as database, database:
        database.execute(statement, tuple(id_bytes(str(value)) for value in values))


def test_calls_are_settled_by_what_they_weigh_and_the_sum_is_the_ledgers(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        assert (gauge(made, "limit"), gauge(made, "used"), gauge(made, "reserved")) == (10, 0, 0)
        for _ in range(5):
            assert "budget" not in made.chat(LARGE, **NOEL).ours
        made.chat(LARGE)
        counts = [row["gco2e"] for row in made.calls()]
        assert settled(made, 6) == pytest.approx(sum(counts[:5]), abs=0.001)
        assert counts[0] == pytest.approx(CALL_G, abs=0.01)


def test_a_call_is_refused_before_it_is_sent_and_the_openai_client_does_not_try_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.2)) as made:
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=5) as client:
            for _ in range(2):
                say(client)
            with pytest.raises(openai.APIStatusError) as refused:
                say(client)
            say(client, campaign="soldes-27")
        error = refused.value
        assert (error.status_code, error.code, error.response.headers["x-should-retry"]) == (402, "carbon_budget_exceeded", "false")
        assert error.type == "grammage_error"
        assert error.response.headers["x-grammage-budget"].endswith("state=exceeded")
        for word in (
            "'noel'",
            "0.2 gCO2e for ever",
            "are used or reserved",
            "forecast at",
            "It never begins anew: ask for less",
            "raise the limit",
        ):
            assert word in error.message
        assert len(upstream.received) == 3, "the refused one never left, another campaign's did"
        assert counted(made, "refuse") == 1
        assert len(made.calls()) == 3
        assert gauge(made, "used") <= 0.2


def test_a_budget_that_warns_lets_calls_through_and_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.2, on_exceed="warn", soft_at=0.6)) as made:
        told = [made.chat(LARGE, **NOEL).ours.get("budget") for _ in range(3)]
        assert told[0] is None
        assert told[1] is not None
        assert told[1].endswith("state=soft")
        assert told[2] is not None
        name, used, state = told[2].split("; ")
        assert (name, state) == ("noel", "state=exceeded")
        assert float(used.removeprefix("used=")) > 1
        assert (counted(made, "warn"), len(upstream.received)) == (1, 3)


def test_without_our_headers_nothing_is_told_and_all_is_counted(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.05, on_exceed="warn"), tagging={"headers": False}) as made:
        assert made.chat(LARGE, **NOEL).ours == {}
        assert counted(made, "warn") == 1


def test_at_its_end_a_budget_sends_calls_to_the_lowest_forecast_whatever_the_caller_says_of_policies(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with house(tmp_path, upstream, budget(0.1, on_exceed="route_smallest", smallest=["small"])) as made:
        assert made.chat(LARGE, **NOEL).ours["policy"] == "none"
        answer = made.chat(LARGE, **NOEL, x_grammage_policy="off")
        assert (answer.ours["policy"], answer.ours["region"]) == ("budget:noel", "francecentral")
        assert "state=exceeded" in answer.ours["budget"]
        assert [json.loads(each.body)["model"] for each in upstream.received] == ["gpt-4o", "gpt-4o-mini"]
        with contextlib.closing(sqlite3.connect(made.ledger)) as database:
            rows = database.execute(
                "SELECT policy, mode, action, baseline_model, choice_model, baseline_gco2e > choice_gco2e FROM decisions"
            )
            assert rows.fetchall() == [("budget:noel", "enforce", "routed", "gpt-4o", "gpt-4o-mini", 1)]
        assert counted(made, "route_smallest") == 1
        assert settled(made, 2) == pytest.approx(ledger_g(made), abs=0.001)


def test_without_other_aliases_the_lowest_of_the_calls_own_deployments_serves(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.001, on_exceed="route_smallest")) as made:
        answer = made.chat(ask(model="spread", max_tokens=50), **NOEL)
        assert (answer.ours["policy"], answer.ours["region"]) == ("budget:noel", "francecentral")


def test_what_an_enforced_policy_requires_holds_for_the_smaller_model_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    policy = {"name": "us-only", "require": {"region_in": ["eastus"]}, "mode": "enforce", "otherwise": "refuse"}
    with house(tmp_path, upstream, budget(0.001, on_exceed="route_smallest", smallest="small"), policies=[policy]) as made:
        answer = made.chat(LARGE, **NOEL)
        assert (answer.ours["policy"], answer.ours["model"], answer.ours["region"]) == ("budget:noel", "assumed:gpt-4o-mini", "eastus")


DRAFTS = {"name": "drafts", "when": {"alias": "large"}, "prefer": {"among": ["small"]}, "mode": "enforce"}


@pytest.mark.parametrize("smallest", [None, ["large"]])
def test_a_budget_at_its_end_never_takes_a_call_from_the_small_model_that_a_policy_chose(
    tmp_path: Path, upstream: ScriptedUpstream, smallest: list[str] | None
) -> None:
    with house(tmp_path, upstream, budget(0.0001, on_exceed="route_smallest", smallest=smallest), policies=[DRAFTS]) as made:
        answer = made.chat(LARGE, **NOEL)
        assert (answer.ours["policy"], answer.ours["region"]) == ("budget:noel", "francecentral")
        assert json.loads(upstream.received[0].body)["model"] == "gpt-4o-mini"


def test_a_budgets_small_aliases_stand_beside_all_of_the_calls_own_deployments(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.0001, on_exceed="route_smallest", smallest=["large"])) as made:
        answer = made.chat(ask(model="spread", max_tokens=50), **NOEL)
        assert (answer.ours["policy"], answer.ours["region"]) == ("budget:noel", "francecentral")


def test_a_policys_cap_is_written_for_who_serves_at_the_end_of_a_budget(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    mistral = {"provider": "mistral", "model": "ministral-3b-latest", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    models = {**aliases(upstream.url), "tiny": {"deployments": [mistral]}}
    cap = {"name": "cap", "when": {"alias": "large"}, "apply": {"max_output_tokens": 40}, "mode": "enforce"}
    rows = budget(0.0001, on_exceed="route_smallest", smallest=["tiny"])
    with house(tmp_path, upstream, rows, policies=[cap], models=models) as made:
        answer = made.chat(ask(model="large"), **NOEL)
        assert (answer.ours["policy"], answer.ours["altered"]) == ("budget:noel", "max_tokens")
        assert json.loads(upstream.received[0].body) == {**ask(model="ministral-3b-latest"), "max_tokens": 40}


def test_all_budgets_that_match_count_a_call_and_the_strictest_decides(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    all_calls = {"name": "house", "limit_kgco2e": 1, "period": "all"}
    rows = [budget(0.1, on_exceed="warn"), budget(0.1, name="small", on_exceed="route_smallest"), budget(0.13, name="end"), all_calls]
    with house(tmp_path, upstream, *rows) as made:
        assert made.chat(LARGE, **NOEL).status == 200
        refused = made.chat(LARGE, **NOEL)
        assert (refused.status, refused.error["code"]) == (402, "carbon_budget_exceeded")
        assert "'end'" in refused.error["message"]
        made.chat(LARGE)
        assert gauge(made, "used", "noel") == gauge(made, "used", "end") == pytest.approx(CALL_G, abs=0.01)
        assert gauge(made, "used", "house") == pytest.approx(2 * gauge(made, "used", "end"), abs=0.0021)
        assert [counted(made, "refuse", "end"), counted(made, "warn"), counted(made, "route_smallest", "small")] == [1, 0, 0]


def test_a_budget_of_a_key_counts_the_calls_of_its_holder_alone(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    keys = [{"key": "key-of-studio", "name": "studio"}, {"key": "key-of-agency", "name": "agency"}]
    one = {"name": "studio", "keys": "studio", "limit_kgco2e": 0.0001, "on_exceed": "refuse"}
    with house(tmp_path, upstream, one, keys=keys) as made:
        statuses = [made.chat(LARGE, authorization=f"Bearer key-of-{who}").status for who in ("studio", "studio", "agency", "agency")]
        assert statuses == [200, 402, 200, 200]


def test_a_dry_run_reserves_nothing_and_tells_what_budgets_would_say(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.1, soft_at=0.5, on_exceed="route_smallest"), budget(0.05, name="end")) as made:
        dry = made.chat(LARGE, **NOEL, x_grammage_dry_run="true").json["decision"]
        noel, end = dry["budgets"]
        assert (noel["budget"], noel["state"], noel["consequence"], noel["limit_gco2e"]) == ("noel", "soft", "none", 0.1)
        assert (noel["used_gco2e"], noel["reserved_gco2e"], noel["ends"]) == (0, 0, None)
        assert noel["used_share"] == pytest.approx(noel["forecast_gco2e"] / 0.1)
        assert (end["state"], end["consequence"]) == ("exceeded", "refuse")
        assert (gauge(made, "used"), gauge(made, "reserved"), counted(made, "refuse", "end")) == (0, 0, 0)
        assert made.chat(LARGE, x_grammage_dry_run="true").json["decision"]["budgets"] == []


def test_a_call_refused_by_its_callers_own_limit_gives_back_what_it_reserved(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        assert made.chat(LARGE, **NOEL, x_grammage_max_gco2e="0.0001").status == 422
        assert (gauge(made, "used"), gauge(made, "reserved")) == (0, 0)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"503 Service Unavailable"])
def test_a_call_of_which_nothing_came_counts_nothing(tmp_path: Path, upstream: ScriptedUpstream, status: bytes) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        upstream.answers(*whole(b'{"error":{}}', status=status))
        assert made.chat(LARGE, **NOEL).status == int(status[:3])
        assert settled(made) == 0


def test_a_stream_is_settled_at_its_end_and_told_of_at_its_head(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(0.1, soft_at=0.1)) as made:
        upstream.answers(*STREAM)
        answer = made.chat({**LARGE, "stream": True}, **NOEL)
        assert answer.ours["budget"].endswith("state=soft")
        assert settled(made) == pytest.approx(ledger_g(made), abs=0.001) != 0


def test_a_call_whose_client_leaves_is_settled_by_what_is_known_of_it(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        upstream.answers(*streamed(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', end=False), UNTIL_LEFT)
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
            stream = client.chat.completions.create(
                model="large",
                messages=[{"role": "user", "content": "A slogan"}],
                max_tokens=50,
                stream=True,
                extra_headers={"x-grammage-tag-campaign": "noel-26"},
            )
            next(iter(stream))
            assert gauge(made, "reserved") > 0
            stream.close()
        assert settled(made) == pytest.approx(ledger_g(made), abs=0.001) != 0
        assert made.call()["outcome"] == "client_left"


def test_of_a_call_in_several_attempts_all_are_counted(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    cut = [head(b"200 OK", [(b"content-type", b"application/json"), (b"content-length", b"500")]) + b"{", RESET]
    with house(tmp_path, upstream, budget(10)) as made:
        upstream.answers_in_turn(cut, OK)
        assert made.chat(ask(model="small", max_tokens=50), **NOEL).status == 200
        grams = [row["gco2e"] for row in made.calls()]
        assert len(grams) == 2
        assert all(grams)
        assert settled(made) == pytest.approx(sum(grams), abs=0.002)


def test_work_that_is_booked_later_counts_when_it_is(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10), models={"*": {"deployments": [at(upstream.url, "gpt-4o-mini")]}}) as made:
        answer_by_path(upstream, {"/v1/responses": whole(queued()), "/v1/responses/resp_bg": whole(completed())})
        made.post("/v1/responses", BACKGROUND, **NOEL)
        assert (gauge(made, "used"), gauge(made, "reserved") > 0) == (0, True), "it goes on at the provider"
        made.get("/v1/responses/resp_bg")
        made.get("/v1/responses/resp_bg")
        made.recorded(2)
        assert gauge(made, "used") == pytest.approx(ledger_g(made), abs=0.001) != 0
        assert gauge(made, "reserved") == 0


def test_after_a_restart_the_ledger_tells_what_was_used_retags_included(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        for _ in range(4):
            made.chat(LARGE, **NOEL)
        made.chat(LARGE)
        before = settled(made, 5)
    with house(tmp_path, upstream, budget(10)) as made:
        assert gauge(made, "used") == pytest.approx(before, abs=0.0015)
        first, *_, last = [row["call_id"] for row in made.calls()]
        change(made, "INSERT INTO retags (call_id, name, created_ms, value) VALUES (?, 'campaign', 1, 'soldes-27')", first)
        change(made, "INSERT INTO retags (call_id, name, created_ms, value) VALUES (?, 'campaign', 1, 'other')", last)
    with house(tmp_path, upstream, budget(10)) as made:
        assert gauge(made, "used") == pytest.approx(before * 3 / 4, abs=0.0015)


def test_what_is_weighed_anew_moves_no_account_and_another_factor_set_counts_as_it_was_made(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        made.chat(LARGE, **NOEL)
        before = settled(made)
        repeat_opinions(
            f"sqlite:///{made.ledger}",
            estimate_id="anew",
            factor_set="2027.01.0+abc",
            gco2e=lambda row: row["gco2e"] * 3,
            gco2e_p50=lambda row: row["gco2e_p50"] * 3,
            created_ms=lambda row: row["created_ms"] + 1000,
        )
    with house(tmp_path, upstream, budget(10)) as made:
        assert gauge(made, "used") == pytest.approx(before, abs=0.0015)


def test_an_unweighed_call_counts_as_an_average_one_after_a_restart(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(10)) as made:
        for _ in range(2):
            made.chat(LARGE, **NOEL)
        before = settled(made, 2)
        attempt = made.calls()[0]["call_id"]
        change(made, "DELETE FROM kept_estimates WHERE call_id = ?", attempt)
        change(
            made,
            "UPDATE attempt_kinds SET unweighed_reason = 'weighing_failed'"
            " WHERE kind_id = (SELECT kind_id FROM kept_attempts WHERE call_id = ?)",
            attempt,
        )
    with house(tmp_path, upstream, budget(10)) as made:
        assert gauge(made, "used") == pytest.approx(before, abs=0.0015)


def test_a_changed_limit_is_taken_over_while_serving_and_the_account_goes_on(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*OK)
    ledger = tmp_path / "calls.db"
    content = {"server": {"listen": "127.0.0.1:0"}, "ledger": {"url": f"sqlite:///{ledger}"}, "models": aliases(upstream.url)}
    file = tmp_path / "grammage.yaml"
    file.write_text(json.dumps({**content, "budgets": [budget(0.1)]}))
    with serve_command(tmp_path, "--config", "grammage.yaml") as child:
        made = child.proxy(ledger)
        assert [made.chat(LARGE, **NOEL).status for _ in range(2)] == [200, 402]
        brand = {"name": "brand", "match": {"brand": "acme"}, "limit_kgco2e": 1}
        file.write_text(json.dumps({**content, "budgets": [budget(0.2), brand]}))
        until(lambda: made.chat(LARGE, **NOEL).status == 200 or None)
        assert made.chat(LARGE, **NOEL).status == 402
        assert gauge(made, "used") == pytest.approx(ledger_g(made), abs=0.001)
        assert until(lambda: gauge(made, "limit", "brand")) == 1000


def test_a_call_is_refused_in_the_envelope_of_its_dialect(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    models = {
        "claude": {
            "deployments": [{"provider": "anthropic", "api_base": f"{upstream.url}/v1", "api_key": "k", "model": "claude-haiku-3.5"}]
        }
    }
    with house(tmp_path, upstream, budget(0.0001), models=models) as made:
        answer: Answer = made.post(
            "/v1/messages", {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}, **NOEL
        )
        assert (answer.status, answer.json["type"], answer.json["error"]["type"]) == (402, "error", "billing_error")
        assert "carbon_budget_exceeded" in answer.json["error"]["message"]
        assert answer.value("x-should-retry") == "false"


def test_the_limit_holds_for_many_calls_at_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, budget(1.0)) as made, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: made.chat(LARGE, **NOEL).status, range(48)))
        assert set(statuses) == {200, 402}
        assert settled(made, statuses.count(200)) <= 1.0 + CALL_G
        assert gauge(made, "used") == pytest.approx(ledger_g(made), abs=0.001)


def test_sockets_are_counted_and_refused_at_a_budgets_end(tmp_path: Path, provider: SocketUpstream) -> None:
    provider.says(CREATED, DONE)
    one = {"name": "noel", "limit_kgco2e": 1e-6, "period": "all", "on_exceed": "refuse"}
    with proxy(tmp_path, provider.url, budgets=[one]) as made:
        with opened(made) as socket:
            socket.send("{}")
            read(socket, 2)
        assert settled(made) == pytest.approx(ledger_g(made), abs=0.001) != 0
        refused = refusal(made)
        assert (refused.status_code, json.loads(refused.body)["error"]["code"]) == (402, "carbon_budget_exceeded")
        assert counted(made, "refuse") == 1
