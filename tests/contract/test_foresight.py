"""What a caller can know or bound before a call: nothing is sent, spent or recorded for a dry run or a refused call."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.contract.proxy_harness import KEY, Proxy, ask, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*whole(b'{"model":"gpt-4o","usage":{"prompt_tokens":10,"completion_tokens":5}}'))
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("foresight"), upstream.url) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True])
def test_a_dry_run_tells_decision_and_forecast_and_sends_nothing(made: Proxy, upstream: ScriptedUpstream, stream: bool) -> None:
    before, recorded = len(upstream.received), len(made.calls())
    answer = made.chat(ask(stream=stream, max_tokens=100), x_grammage_dry_run="true")
    assert (answer.status, len(upstream.received), len(made.calls())) == (200, before, recorded)
    told = answer.json
    assert told["alias"] == "gpt-4o-mini"
    assert told["decision"]["model"] == "gpt-4o-mini"
    assert 0 < told["forecast"]["gco2e_low"] < told["forecast"]["gco2e"] < told["forecast"]["gco2e_high"]


def test_a_larger_limit_of_tokens_is_forecast_to_weigh_more(made: Proxy) -> None:
    grams = [made.chat(ask(max_tokens=most), x_grammage_dry_run="true").json["forecast"]["gco2e"] for most in (1, 50, 200)]
    assert grams == sorted(set(grams))


def test_a_dry_run_that_is_off_is_a_call(made: Proxy, upstream: ScriptedUpstream) -> None:
    before = len(upstream.received)
    assert made.chat(x_grammage_dry_run="false").ours["basis"] == "final"
    assert len(upstream.received) == before + 1


def test_a_call_forecast_above_its_limit_is_refused(made: Proxy, upstream: ScriptedUpstream) -> None:
    before, recorded = len(upstream.received), len(made.calls())
    answer = made.chat(x_grammage_max_gco2e="0.0000001")
    assert (answer.status, answer.error["code"], answer.error["type"]) == (422, "carbon_limit_exceeded", "grammage_error")
    assert "0.0000001" in answer.error["message"]
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client, pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="gpt-4o", messages=[], extra_headers={"x-grammage-max-gco2e": "0"})
    assert (len(upstream.received), len(made.calls())) == (before, recorded)


def test_a_call_below_its_limit_goes_on(made: Proxy) -> None:
    assert made.chat(x_grammage_max_gco2e="1000").status == 200


@pytest.mark.parametrize("value", ["", "many", "-1", "nan", "inf", "1e999", "0x10"])
def test_a_limit_that_is_no_number_of_grams_is_refused(made: Proxy, upstream: ScriptedUpstream, value: str) -> None:
    before = len(upstream.received)
    answer = made.chat(x_grammage_max_gco2e=value)
    assert (answer.status, answer.error["type"]) == (400, "grammage_error")
    assert answer.error["param"] == "x-grammage-max-gco2e"
    assert len(upstream.received) == before


def test_a_dry_run_that_is_neither_on_nor_off_is_refused(made: Proxy) -> None:
    assert made.chat(x_grammage_dry_run="perhaps").status == 400


def test_the_plan_of_a_dry_run_names_each_deployments_own_model(tmp_path: Path) -> None:
    rows = [{"provider": "mistral", "model": f"served-{n}", "order": n, "api_key": "sk-provider"} for n in (0, 1)]
    with proxy(tmp_path, models={"mine": {"deployments": rows}}) as running:
        told = running.chat(ask(model="mine"), x_grammage_dry_run="true").json
    assert [row["model"] for row in told["decision"]["plan"]] == ["served-0", "served-1"]
