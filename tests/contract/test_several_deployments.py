"""An alias with several deployments: shared out by weight, gone on to the next before a byte has left, every attempt recorded once.

No test waits: what a provider asks to be waited for is told apart by asking for much more or much less than is allowed.
"""

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import KEY, Proxy, ask, proxy, until
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, Part, ScriptedUpstream, scripted_upstream, streamed, whole
from tests.serving import free_port

GOOD = whole(b'{"model":"gpt-4o-mini-2024-07-18","usage":{"prompt_tokens":10,"completion_tokens":5}}', (b"x-request-id", b"req-good"))
BUSY = whole(b'{"error":{"message":"slow down","code":"busy"}}', (b"x-request-id", b"req-busy"), status=b"429 Too Many Requests")
BROKEN = whole(b'{"error":{"message":"oops"}}', (b"x-request-id", b"req-broken"), status=b"503 Service Unavailable")
STREAM = streamed(
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
)
PRIMARY, SECOND = "swedencentral", "francecentral"


def busy(*, rest: bytes) -> list[bytes]:
    return whole(b'{"error":{"message":"slow down"}}', (b"retry-after", rest), status=b"429 Too Many Requests")


def deployments(*urls: str, **common: Any) -> list[dict[str, Any]]:
    """A primary and its fallbacks, each in a region of its own, with keys of ours."""
    regions = (PRIMARY, SECOND, "westeurope")
    return [
        {
            "provider": "azure",
            "api_base": f"{url}/v1",
            "model": f"served-{n}",
            "region": regions[n],
            "order": n,
            "api_key": f"k{n}",
            **common,
        }
        for n, url in enumerate(urls)
    ]


class House:
    """A proxy whose alias `a` is served by two scripted providers; rows of its ledger by attempt."""

    def __init__(self, made: Proxy, first: ScriptedUpstream, second: ScriptedUpstream) -> None:
        self.proxy, self.first, self.second = made, first, second

    def call(self, **changes: Any) -> Any:
        return self.proxy.chat(ask(model="a", **changes))

    def attempts(self, calls: int = 1) -> list[list[dict[str, Any]]]:
        """The attempts of each call, in the order of recording."""

        def grouped() -> list[list[dict[str, Any]]] | None:
            rows: dict[str, list[dict[str, Any]]] = {}
            for row in self.proxy.calls():
                rows.setdefault(row["call_id"], []).append(row)
            return list(rows.values()) if len(rows) >= calls else None

        return until(grouped)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.first.received), len(self.second.received)


@contextlib.contextmanager
def house(folder: Path, *, alias: dict[str, Any] | None = None, **common: Any) -> Iterator[House]:
    with scripted_upstream() as first, scripted_upstream() as second:
        first.answers(*GOOD)
        second.answers(*GOOD)
        rows = deployments(first.url, second.url, **common)
        with proxy(folder, models={"a": {"deployments": rows, **(alias or {})}}) as made:
            yield House(made, first, second)


def metric(made: Proxy, name: str) -> dict[str, float]:
    lines = made.get("/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0][len(name) :]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")}


def test_calls_are_shared_out_by_weight(tmp_path: Path) -> None:
    with scripted_upstream() as first, scripted_upstream() as second:
        first.answers(*GOOD)
        second.answers(*GOOD)
        rows = deployments(first.url, second.url, order=0)
        rows[0]["weight"] = 4
        with proxy(tmp_path, models={"a": {"deployments": rows}}) as made:
            regions = Counter(made.chat(ask(model="a")).ours["region"] for _ in range(250))
        assert len(first.received) == regions[PRIMARY]
        assert len(second.received) == regions[SECOND]
        assert 165 < regions[PRIMARY] < 235  # 200 expected, sd 6.3


@pytest.mark.parametrize("failing", [BUSY, BROKEN, [RESET]], ids=["429", "503", "hung up"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_deployment_takes_the_call_and_is_named(tmp_path: Path, failing: list[Part], stream: bool) -> None:
    with house(tmp_path) as home:
        home.first.answers(*failing)
        home.second.answers(*(STREAM if stream else GOOD))
        answer = home.call(stream=stream)
        assert (answer.status, answer.cut, home.asked) == (200, False, (1, 1))
        assert (answer.ours["region"], answer.value("x-request-id")) == (SECOND, None if stream else "req-good")
        assert json.loads(home.first.last.body)["model"] == "served-0"
        assert json.loads(home.second.last.body)["model"] == "served-1"
        assert (home.first.last.value("api-key"), home.second.last.value("api-key")) == (b"k0", b"k1")
        ((before, last),) = home.attempts()
        assert before["attempt_outcome"] in ("client_error", "upstream_error")
        assert (last["status"], last["outcome"], last["input_tokens"], last["output_tokens"]) == (200, "ok", 10, 5)


def test_a_deployment_that_cannot_be_reached_is_passed_to_the_next(tmp_path: Path) -> None:
    with scripted_upstream() as second:
        second.answers(*GOOD)
        rows = deployments(f"http://127.0.0.1:{free_port()}", second.url)
        with proxy(tmp_path, models={"a": {"deployments": rows}}) as made:
            assert made.chat(ask(model="a")).status == 200
            before, last = made.calls()
            assert (before["attempt_status"], before["attempt_outcome"], before["unweighed_reason"]) == (
                502,
                "upstream_error",
                "not_generated",
            )
            assert (before["gco2e"], before["usage_source"], last["attempt_status"]) == (None, None, 200)


def test_silence_before_the_first_byte_is_passed_to_the_next_and_weighed(tmp_path: Path) -> None:
    with house(tmp_path, alias={"timeouts": {"silence_s": 0.2}}) as home:
        home.first.answers(UNTIL_LEFT)
        answer = home.call(max_tokens=50)
        assert (answer.status, home.first.left.wait(5)) == (200, True)
        ((before, last),) = home.attempts()
        assert (before["attempt_status"], before["usage_source"], before["partial"]) == (504, "estimated", 1)
        assert before["input_tokens"] > 0
        assert before["gco2e"] > 0
        total = before["gco2e"] + last["gco2e"]
        assert float(answer.ours["gco2e"]) == pytest.approx(total, rel=1e-3)
        assert answer.json["usage"]["footprint"]["gco2e"] == pytest.approx(total, rel=1e-3)
        record = home.proxy.get(f"/v1/footprint/{answer.ours['call-id']}").json
        assert (record["gco2e"], len(record["attempts"])) == (pytest.approx(total, rel=1e-3), 2)
        assert record["attempts"][0]["region"] == PRIMARY
        counted = metric(home.proxy, "grammage_usage_source_total")
        assert (counted['{source="estimated"}'], counted['{source="provider"}']) == (1, 1)


def test_what_an_attempt_weighs_is_not_carried_over_to_the_next(tmp_path: Path) -> None:
    with house(tmp_path, alias={"timeouts": {"silence_s": 0.2}}) as home:
        home.first.answers(UNTIL_LEFT)
        home.second.answers(*BUSY)
        assert home.call().status == 429
        ((before, last),) = home.attempts()
        assert before["gco2e"] > 0
        assert (last["gco2e"], last["usage_source"], last["unweighed_reason"]) == (None, None, "not_generated")
        assert before["call_id"] == last["call_id"]


def test_a_streams_figures_are_those_of_all_attempts(tmp_path: Path) -> None:
    alias = {"timeouts": {"silence_s": 0.2}}
    with house(tmp_path, alias=alias) as home:
        forecast = home.proxy.chat(ask(model="a", stream=True), x_grammage_dry_run="true").json["forecast"]["gco2e"]
        home.first.answers(UNTIL_LEFT)
        home.second.answers(*STREAM)
        answer = home.call(stream=True, stream_options={"include_usage": True})
        ((before, last),) = home.attempts()
        assert float(answer.ours["gco2e"]) > forecast
        written = json.loads(answer.body.split(b"data: ")[2])["usage"]["footprint"]["gco2e"]
        assert written == pytest.approx(before["gco2e"] + last["gco2e"], rel=1e-3)


def test_methods_that_run_beside_weigh_each_attempt_that_was_weighed(tmp_path: Path) -> None:
    with scripted_upstream() as first, scripted_upstream() as second:
        first.answers(UNTIL_LEFT)
        second.answers(*GOOD)
        alias = {"deployments": deployments(first.url, second.url), "timeouts": {"silence_s": 0.2}}
        with proxy(tmp_path, models={"a": alias}, weighing={"shadow": ["study"]}) as made:
            call_id = made.chat(ask(model="a")).ours["call-id"]
            record = until(lambda: _weighed_twice(_record(made, call_id)))
            (shadow,) = record["shadow"]
            assert (shadow["attempts"], [len(each["estimates"]) for each in record["attempts"]]) == (2, [1, 1])


def test_a_whole_answer_that_breaks_has_not_left_and_is_passed_to_the_next(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.first.answers(GOOD[0][:-20], RESET)
        answer = home.call()
        assert (answer.status, answer.json["usage"]["prompt_tokens"], home.asked) == (200, 10, (1, 1))
        ((before, last),) = home.attempts()
        assert (before["attempt_outcome"], before["partial"], last["attempt_outcome"]) == ("upstream_error", 1, "ok")


def test_a_stream_is_never_begun_twice(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.first.answers(*STREAM[:2], RESET)
        answer = home.call(stream=True)
        assert (answer.status, answer.cut, home.asked) == (200, True, (1, 0))
        ((only,),) = home.attempts()
        assert (only["outcome"], only["attempt_outcome"]) == ("upstream_cut", "upstream_cut")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_a_callers_own_error_is_the_answer(tmp_path: Path, status: int) -> None:
    with house(tmp_path) as home:
        home.first.answers(*whole(b'{"error":{"message":"yours"}}', (b"x-own", b"1"), status=b"%d Yours" % status))
        answer = home.call()
        assert (answer.status, answer.body, answer.value("x-own")) == (status, b'{"error":{"message":"yours"}}', "1")
        assert home.asked == (1, 0)


def test_after_the_last_attempt_the_last_answer_leaves_unchanged(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.first.answers(*BUSY)
        home.second.answers(*BROKEN)
        answer = home.call()
        assert (answer.status, answer.body, answer.value("x-request-id")) == (503, b'{"error":{"message":"oops"}}', "req-broken")
        ((first, second),) = home.attempts()
        assert [first["attempt_status"], second["attempt_status"], second["status"]] == [429, 503, 503]
        assert {first["gco2e"], second["gco2e"]} == {None}
        assert {first["unweighed_reason"], second["unweighed_reason"]} == {"not_generated"}


def test_an_answer_of_an_earlier_attempt_is_told_rather_than_our_own_error(tmp_path: Path) -> None:
    with scripted_upstream() as first:
        first.answers(*BUSY)
        rows = deployments(first.url, f"http://127.0.0.1:{free_port()}")
        with proxy(tmp_path, models={"a": {"deployments": rows}}) as made:
            answer = made.chat(ask(model="a"))
            assert (answer.status, answer.json["error"]["code"]) == (429, "busy")
            told, lost = made.calls()
            assert [told["attempt_status"], lost["attempt_status"]] == [429, 502]
            assert (told["status"], told["outcome"]) == (429, "client_error")


def test_when_nobody_can_be_reached_the_error_is_ours(tmp_path: Path) -> None:
    rows = deployments(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    with proxy(tmp_path, models={"a": {"deployments": rows}}) as made:
        answer = made.chat(ask(model="a"))
        assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
        assert [row["attempt_status"] for row in made.calls()] == [502, 502]


def test_a_wait_for_the_same_deployment_is_honoured_within_the_longest(tmp_path: Path) -> None:
    with house(tmp_path, alias={"retry": {"on": ["429"], "attempts": 3, "longest_wait_s": 3}}) as home:
        home.first.answers_in_turn(busy(rest=b"0"), GOOD)
        home.second.answers_in_turn(busy(rest=b"100"), GOOD)
        assert (home.call().status, home.asked) == (200, (2, 1))
        home.first.answers(*busy(rest=b"100"))
        home.second.answers(*busy(rest=b"100"))
        started = time.monotonic()
        answer = home.call()
        assert (answer.status, answer.value("retry-after")) == (429, "100")
        assert time.monotonic() - started < 3
        assert [len(call) for call in home.attempts(2)] == [3, 2]


def test_an_only_deployment_is_asked_again_after_the_rest_that_it_named(tmp_path: Path) -> None:
    with scripted_upstream() as only:
        retry = {"on": ["429", "5xx"], "longest_wait_s": 5}
        with proxy(tmp_path, models={"a": {"deployments": deployments(only.url), "retry": retry}}) as made:
            only.answers_in_turn(whole(b"{}", (b"retry-after-ms", b"300"), (b"retry-after", b"100"), status=b"429 Busy"), GOOD)
            started = time.monotonic()
            assert made.chat(ask(model="a")).status == 200
            assert time.monotonic() - started >= 0.3
            only.answers(*whole(b"{}", (b"x-should-retry", b"false"), status=b"500 No"))
            assert (made.chat(ask(model="a")).status, len(only.received)) == (500, 3)


def test_by_default_an_only_deployments_429_and_5xx_are_the_callers_to_retry(tmp_path: Path) -> None:
    with scripted_upstream() as only, proxy(tmp_path, models={"a": {"deployments": deployments(only.url)}}) as made:
        for failing in (BUSY, BROKEN, [RESET]):
            only.answers(*failing)
            assert made.chat(ask(model="a"), x_stainless_retry_count="1").status in (429, 503, 502)
        assert len(only.received) == 3
        assert {row["retry_count"] for row in made.calls()} == {1}


def test_a_client_that_leaves_during_a_wait_is_no_attempt(tmp_path: Path) -> None:
    with scripted_upstream() as only:
        only.answers(*busy(rest=b"60"))
        retry = {"on": ["429"], "longest_wait_s": 120}
        with proxy(tmp_path, models={"a": {"deployments": deployments(only.url), "retry": retry}}) as made:
            with contextlib.suppress(OSError), contextlib.closing(_connected(made)) as line:
                until(lambda: only.received or None)
                line.close()
            (row,) = made.recorded()
            assert (row["status"], row["outcome"], row["attempt_status"], row["gco2e"]) == (499, "client_left", 429, None)


def test_one_callers_errors_and_rest_do_not_touch_another_caller(tmp_path: Path) -> None:
    with house(tmp_path, api_key=None, alias={"breaker": {"failures": 1, "pause_s": 60}}) as home:
        for failing in (b"401 No", b"404 No", b"429 No"):
            home.first.answers(*whole(b"{}", (b"retry-after", b"100"), status=failing))
            home.proxy.chat(ask(model="a"), authorization="Bearer sk-poor-0123456789")
        home.first.answers(*GOOD)
        answer = home.proxy.chat(ask(model="a"), authorization=f"Bearer {KEY}")
        assert (answer.status, answer.ours["region"]) == (200, PRIMARY)


def test_a_rest_that_a_key_of_ours_was_told_is_kept_while_there_is_another_deployment(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.first.answers(*busy(rest=b"100"))
        assert [home.call().ours["region"] for _ in range(4)] == [SECOND] * 4
        assert home.asked == (1, 4)


def test_a_deployment_that_keeps_failing_is_passed_over_then_probed_then_used_again(tmp_path: Path) -> None:
    with house(tmp_path, alias={"breaker": {"failures": 2, "pause_s": 0.5}}) as home:
        home.first.answers(*BROKEN)
        assert [home.call().ours["region"] for _ in range(5)] == [SECOND] * 5
        assert home.asked == (2, 5)
        (state,) = [value for name, value in metric(home.proxy, "grammage_deployment_passed_over").items() if PRIMARY in name]
        assert state == 1
        home.first.answers(*GOOD)
        until(lambda: home.call().ours["region"] == PRIMARY or None)
        asked = home.asked
        assert [home.call().ours["region"] for _ in range(3)] == [PRIMARY] * 3
        assert home.asked == (asked[0] + 3, asked[1])
        assert set(metric(home.proxy, "grammage_deployment_passed_over").values()) == {0}


def test_an_only_deployment_is_never_passed_over(tmp_path: Path) -> None:
    alias = {"breaker": {"failures": 1, "pause_s": 60}}
    with scripted_upstream() as only, proxy(tmp_path, models={"a": {"deployments": deployments(only.url), **alias}}) as made:
        only.answers(*BROKEN)
        assert [made.chat(ask(model="a")).status for _ in range(5)] == [503] * 5
        only.answers(*GOOD)
        assert made.chat(ask(model="a")).status == 200
        assert metric(made, "grammage_deployment_passed_over") == {}


def test_when_all_are_passed_over_they_are_used_all_the_same(tmp_path: Path) -> None:
    with house(tmp_path, alias={"breaker": {"failures": 1, "pause_s": 60}}) as home:
        home.first.answers(*BROKEN)
        home.second.answers(*BROKEN)
        assert [home.call().status for _ in range(3)] == [503] * 3
        home.second.answers(*GOOD)
        assert home.call().status == 200


def test_many_calls_at_once_each_come_to_one_answer_and_one_record(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.first.answers(*BUSY)
        statuses: list[int] = []
        callers = [threading.Thread(target=lambda: statuses.append(home.call().status)) for _ in range(24)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(15)
        assert statuses == [200] * 24
        calls = home.attempts(24)
        assert (len(calls), {len(rows) for rows in calls}) == (24, {2})
        assert len({row["call_id"] for rows in calls for row in rows}) == 24


def test_a_dry_run_shows_the_plan(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        told = home.proxy.chat(ask(model="a"), x_grammage_dry_run="true").json["decision"]
        assert [each["region"] for each in told["plan"]] == [PRIMARY, SECOND]
        assert (told["region"], told["model"], home.asked) == (PRIMARY, "served-0", (0, 0))


def _record(made: Proxy, call_id: str) -> Any:
    return made.get(f"/v1/footprint/{call_id}").json


def _weighed_twice(record: Any) -> Any:
    return record if sum(len(each["shadow"]) for each in record["attempts"]) == 2 else None


def _connected(made: Proxy) -> socket.socket:
    line = socket.create_connection(made.address, timeout=10)
    body = json.dumps(ask(model="a")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    line.sendall(head.encode() + body)
    return line
