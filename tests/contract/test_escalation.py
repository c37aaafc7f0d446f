"""A smaller model's answer that falls short gives way to a larger one's: what the client gets, and what is recorded of both."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.escalation_house import (
    FORM,
    LARGE_MODEL,
    SMALL_MODEL,
    aliases,
    assert_both_are_weighed,
    by_model,
    chat,
    chat_stream,
    counted,
    house,
    models_sent,
    policy,
    rows,
    sent,
)
from tests.contract.proxy_harness import KEY, Proxy, ask, without_footprint
from tests.contract.scripted_upstream import RESET, Received, Script, ScriptedUpstream, scripted_upstream, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


SHORT: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "invalid_json": (chat('{"name": 1}'), {"response_format": FORM}),
    "refused": (chat(None, refusal="I cannot help with that."), {}),
    "truncated": (chat("Once upon", ended="length"), {}),
    "empty": (chat(""), {}),
    "must_match": (chat("A jumper"), {}),
}


@pytest.mark.parametrize("shortcoming", SHORT)
def test_an_answer_that_falls_short_gives_way_and_both_are_weighed(tmp_path: Path, upstream: ScriptedUpstream, shortcoming: str) -> None:
    small, asked = SHORT[shortcoming]
    good = chat('{"title": "merino"}', output=70, model=LARGE_MODEL)
    by_model(upstream, small=small, large=good)
    with house(
        tmp_path, upstream, policy(escalate={"to": "large", "must_match": "(?i)merino" if shortcoming == "must_match" else "."})
    ) as made:
        answer = made.chat(ask(model="large", **asked))
        assert models_sent(upstream) == [SMALL_MODEL, LARGE_MODEL]
        assert without_footprint(answer.body) == good[0].partition(b"\r\n\r\n")[2]
        assert (answer.ours["escalated"], answer.ours["model"], answer.ours["policy"]) == (shortcoming, LARGE_MODEL, "small-first")
        assert answer.json["usage"]["footprint"]["gco2e"] == float(answer.ours["gco2e"])
        assert float(answer.ours["gco2e"]) == pytest.approx(sum(row["gco2e"] for row in made.calls()), rel=1e-3)
        assert_both_are_weighed(made, answer, shortcoming)


def test_a_good_answer_leaves_as_it_came_and_nobody_else_is_asked(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    good = chat('{"title": "merino"}')
    by_model(upstream, small=good, large=chat("never"))
    with house(tmp_path, upstream, policy()) as made:
        answer = made.chat(ask(model="large", response_format=FORM))
        assert models_sent(upstream) == [SMALL_MODEL]
        assert without_footprint(answer.body) == good[0].partition(b"\r\n\r\n")[2]
        assert "escalated" not in answer.ours
        assert made.call()["served_model"] == SMALL_MODEL
        assert counted(made, "grammage_escalations_total", policy="small-first", reason="truncated") == 0


def test_the_openai_client_sees_one_answer(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat("", output=5), large=chat("A warm jumper.", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy()) as made, openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="large", messages=[{"role": "user", "content": "A slogan"}])
        found = raw.parse()
        assert (found.choices[0].message.content, found.model) == ("A warm jumper.", LARGE_MODEL)
        assert raw.headers["x-grammage-escalated"] == "empty"


def test_a_held_stream_that_falls_short_gives_way_to_the_larger_stream(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(
        upstream,
        small=chat_stream("Once ", "upon", ended="length"),
        large=chat_stream("A ", "jumper.", output=70, model=LARGE_MODEL),
    )
    with house(tmp_path, upstream, policy(escalate={"to": "large", "buffer_streams": True})) as made:
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
            stream = client.chat.completions.create(
                model="large", messages=[{"role": "user", "content": "x"}], stream=True, stream_options={"include_usage": True}
            )
            headers = stream.response.headers
            chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "A jumper."
        assert headers["x-grammage-escalated"] == "truncated"
        assert headers["x-grammage-model"] == f"assumed:{LARGE_MODEL}"
        small, large = made.calls()
        assert (small["output_tokens"], large["output_tokens"]) == (50, 70)
        footprint = chunks[-1].usage.model_extra["footprint"] if chunks[-1].usage and chunks[-1].usage.model_extra else {}
        assert footprint["gco2e"] == pytest.approx(small["gco2e"] + large["gco2e"], rel=1e-3)
        record = made.get(f"/v1/footprint/{headers['x-grammage-call-id']}").json
        assert [each["shortcoming"] for each in record["attempts"]] == ["truncated", None]
        assert (small["stream"], small["stream_complete"]) == (1, 1)


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_held_stream_that_is_good_leaves_with_its_own_bytes(tmp_path: Path, upstream: ScriptedUpstream, wants_usage: bool) -> None:
    by_model(upstream, small=chat_stream("A ", "jumper."), large=chat("never"))
    asked = ask(model="large", stream=True, **({"stream_options": {"include_usage": True}} if wants_usage else {}))
    bodies = []
    for number, escalate in enumerate(({"to": "large", "buffer_streams": True}, None)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with house(folder, upstream, policy(escalate=escalate)) as made:
            answer = made.chat(asked)
            assert models_sent(upstream) == [SMALL_MODEL]
            bodies.append(without_footprint(answer.body) if wants_usage else answer.body)
            assert (made.call()["output_tokens"], made.call()["stream_complete"]) == (50, 1)
    assert bodies[0] == bodies[1]
    assert (b"usage" in bodies[0]) is wants_usage


def test_streams_are_not_escalated_unless_they_may_be_held(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat_stream("Once", ended="length"), large=chat("never"))
    with house(tmp_path, upstream, policy()) as made:
        answer = made.chat(ask(model="large", stream=True))
        assert b"Once" in answer.body
        assert (models_sent(upstream), "escalated" in answer.ours) == ([SMALL_MODEL], False)


def test_a_stream_beyond_the_bound_goes_out_unchecked_and_whole(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    long = ["x" * 500_000] * 10
    by_model(upstream, small=chat_stream(*long, ended="length"), large=chat("never"))
    with house(tmp_path, upstream, policy(escalate={"to": "large", "buffer_streams": True})) as made:
        answer = made.chat(ask(model="large", stream=True))
        assert answer.body.count(b"x" * 500_000) == 10
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert models_sent(upstream) == [SMALL_MODEL]
        assert made.call()["output_tokens"] == 50


@pytest.mark.parametrize(
    "larger",
    [
        whole(b'{"error":{"message":"down"}}', status=b"503 Service Unavailable"),
        whole(b'{"error":{"message":"no"}}', status=b"400 Bad Request"),
        [RESET],
        [whole(b"{}")[0][:-1], RESET],
    ],
    ids=["5xx", "4xx", "reset", "cut"],
)
@pytest.mark.parametrize("streams", [False, True])
def test_the_first_answer_stands_where_the_larger_one_fails(
    tmp_path: Path, upstream: ScriptedUpstream, larger: Script, streams: bool
) -> None:
    small = chat_stream("Once", ended="length") if streams else chat("Once", ended="length")
    by_model(upstream, small=small, large=larger)
    with house(tmp_path, upstream, policy(escalate={"to": "large", "buffer_streams": True})) as made:
        answer = made.chat(ask(model="large", stream=streams))
        assert (answer.status, b"Once" in answer.body, answer.cut) == (200, True, False)
        assert answer.ours["escalated"] == "failed:truncated"
        assert answer.ours["model"].removeprefix("assumed:") == SMALL_MODEL
        failed, served = made.calls()
        assert (failed["model"], served["model"]) == (LARGE_MODEL, SMALL_MODEL)
        assert (served["status"], served["outcome"], served["output_tokens"]) == (200, "ok", 50)
        record = made.get(f"/v1/footprint/{answer.ours['call-id']}").json
        assert [each["shortcoming"] for each in record["attempts"]] == [None, "truncated"]
        assert [each["ordinal"] for each in record["attempts"]] == [0, 1]
        grams = [each["gco2e"] for each in made.calls()]
        assert record["gco2e"] == pytest.approx(sum(each or 0 for each in grams), rel=1e-3)
        assert record["decision"]["choice"]["model"] == SMALL_MODEL
        assert record["decision"]["choice"]["gco2e"] == record["gco2e"]
        if not streams:
            assert float(answer.ours["gco2e"]) == pytest.approx(float(record["gco2e"]), rel=1e-3)


def test_the_policys_cap_is_lifted_where_it_cut_the_answer_but_the_callers_own_limit_is_not(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    by_model(upstream, small=chat("Once", ended="length", output=20), large=chat("All of it.", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy(apply={"max_output_tokens": 20, "n_at_most": 1})) as made:
        answer = made.chat(ask(model="large", max_tokens=300, n=2))
        assert [each["max_tokens"] for each in sent(upstream)] == [20, 300]
        assert [each["n"] for each in sent(upstream)] == [1, 1]
        assert (answer.ours["escalated"], answer.ours["altered"]) == ("truncated", "n")
        upstream.received.clear()
        kept = made.chat(ask(model="large", max_tokens=20))
        assert (models_sent(upstream), "escalated" in kept.ours) == ([SMALL_MODEL], False)


def test_a_cap_that_cut_nothing_binds_the_larger_model_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat(""), large=chat("Hi", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy(apply={"max_output_tokens": 20})) as made:
        answer = made.chat(ask(model="large"))
        assert [each["max_completion_tokens"] for each in sent(upstream)] == [20, 20]
        assert answer.ours["altered"] == "max_tokens"


def test_a_policy_in_shadow_records_that_it_would_have_asked(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat("Once", ended="length"), large=chat("never"))
    shadow = {"name": "small-first", "when": {"alias": "small"}, "escalate": {"to": "large"}, "mode": "shadow"}
    with house(tmp_path, upstream, shadow) as made:
        answer = made.chat(ask(model="small"))
        assert (models_sent(upstream), "escalated" in answer.ours) == ([SMALL_MODEL], False)
        record = made.get(f"/v1/footprint/{answer.ours['call-id']}").json
        assert [each["shortcoming"] for each in record["attempts"]] == ["truncated"]
        assert counted(made, "grammage_escalations_total", policy="shadow:small-first", reason="truncated") == 1
        (decision,) = rows(made, "decisions")
        assert record["gco2e"] == pytest.approx(decision["baseline_gco2e"], rel=1e-3)
        assert decision["choice_gco2e"] > 2 * decision["baseline_gco2e"]


def test_a_policy_for_the_small_alias_alone_escalates_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat(""), large=chat("Hi", output=70, model=LARGE_MODEL))
    own = {"name": "small-first", "when": {"alias": "small"}, "escalate": {"to": "large"}, "mode": "enforce"}
    with house(tmp_path, upstream, own) as made:
        answer = made.chat(ask(model="small"))
        assert (answer.ours["model"], answer.ours["escalated"], answer.ours["policy"]) == (LARGE_MODEL, "empty", "small-first")
        (decision,) = rows(made, "decisions")
        assert (decision["baseline_model"], decision["choice_model"]) == (SMALL_MODEL, LARGE_MODEL)
        assert decision["choice_gco2e"] > decision["baseline_gco2e"]


def test_a_key_that_may_not_use_the_larger_alias_keeps_the_first_answer(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat(""), large=chat("never"))
    own = {"name": "small-first", "when": {"alias": "small"}, "escalate": {"to": "large"}, "mode": "enforce"}
    keys = [{"key": KEY, "name": "intern", "models": ["small"]}]
    with house(tmp_path, upstream, own, keys=keys) as made:
        answer = made.chat(ask(model="small"))
        assert (models_sent(upstream), "escalated" in answer.ours) == ([SMALL_MODEL], False)


def test_a_callers_own_key_never_goes_to_another_provider(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat(""), large=chat("never"))
    models = aliases(upstream.url)
    models["small"]["deployments"][0]["api_key"] = None
    models["large"]["deployments"][0].update({"api_key": None, "provider": "openai"})
    own = {"name": "small-first", "when": {"alias": "small"}, "escalate": {"to": "large"}, "mode": "enforce"}
    with house(tmp_path, upstream, own, models=models) as made:
        assert made.chat(ask(model="small")).status == 200
        assert models_sent(upstream) == [SMALL_MODEL]


def test_what_the_larger_model_served_itself_is_not_asked_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=whole(b"{}", status=b"500 Oops"), large=chat("", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy()) as made:
        answer = made.chat(ask(model="large"))
        assert models_sent(upstream) == [SMALL_MODEL, LARGE_MODEL]
        assert (answer.ours["model"], "escalated" in answer.ours) == (LARGE_MODEL, False)


def test_an_error_is_no_shortcoming(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=whole(b'{"error":{"message":"bad"}}', status=b"400 Bad Request"), large=chat("never"))
    with house(tmp_path, upstream, policy()) as made:
        assert made.chat(ask(model="large")).status == 400
        assert models_sent(upstream) == [SMALL_MODEL]


def test_a_caller_who_leaves_while_the_larger_model_is_asked_has_both_weighed(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    begun = threading.Event()

    def script(request: Received) -> Script:
        if json.loads(request.body)["model"] == SMALL_MODEL:
            return chat("", output=50)
        begun.set()
        return [threading.Event()]

    upstream.script = script
    with house(tmp_path, upstream, policy()) as made:
        with contextlib.closing(_connection(made)) as connection:
            _post(connection, ask(model="large"))
            assert begun.wait(15)
        small, large = made.recorded(2)
        assert (small["attempt_outcome"], small["output_tokens"], large["attempt_outcome"]) == ("ok", 50, "client_left")
        assert (large["partial"], large["gco2e"] > 0) == (1, True)
        assert rows(made, "shortcomings")[0]["shortcoming"] == "empty"


def test_a_caller_who_leaves_while_a_stream_is_held_has_what_came_of_it_weighed(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    held = threading.Event()
    parts = chat_stream("Once upon a time there was a jumper of the finest wool. " * 20)

    def script(request: Received) -> Script:
        yield from parts[:2]
        held.set()
        yield threading.Event()

    upstream.script = script
    with house(tmp_path, upstream, policy(escalate={"to": "large", "buffer_streams": True})) as made:
        with contextlib.closing(_connection(made)) as connection:
            _post(connection, ask(model="large", stream=True))
            assert held.wait(15)
        (row,) = made.recorded(1)
        assert (row["outcome"], row["partial"]) == ("client_left", 1)
        assert row["output_tokens"] > 100


def _connection(made: Proxy) -> Any:
    return http.client.HTTPConnection(*made.address, timeout=15)


def _post(connection: Any, body: dict[str, Any]) -> None:
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    )


def test_the_callers_limit_in_grams_is_not_passed_by_asking_twice(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat(""), large=chat("Hi", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy()) as made:
        first = float(made.chat(ask(model="small", max_tokens=100)).ours["gco2e"])
        upstream.received.clear()
        bounded = made.chat(ask(model="large", max_tokens=100), x_grammage_max_gco2e=f"{2 * first:f}")
        assert (bounded.status, models_sent(upstream), "escalated" in bounded.ours) == (200, [SMALL_MODEL], False)
        upstream.received.clear()
        free = made.chat(ask(model="large", max_tokens=100), x_grammage_max_gco2e="1000")
        assert (models_sent(upstream), free.ours["escalated"]) == ([SMALL_MODEL, LARGE_MODEL], "empty")


def test_what_is_reused_is_judged_too_and_nobody_is_asked_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    by_model(upstream, small=chat("", output=50), large=chat("Hi", output=70, model=LARGE_MODEL))
    with house(tmp_path, upstream, policy(apply={"reuse": "1h"})) as made:
        first = made.chat(ask(model="large", temperature=0))
        assert (first.ours["escalated"], models_sent(upstream)) == ("empty", [SMALL_MODEL, LARGE_MODEL])
        again = made.chat(ask(model="large", temperature=0))
        assert again.json["choices"] == first.json["choices"]
        assert (again.ours["escalated"], len(upstream.received)) == ("empty", 2)
        record = made.get(f"/v1/footprint/{again.ours['call-id']}").json
        assert float(again.ours["gco2e"]) == record["gco2e"] == 0
        assert counted(made, "grammage_routed_emissions_co2e_grams_total", policy="small-first") > 0
