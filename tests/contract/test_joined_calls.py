"""Identical calls at once: one asks, the others get its answer, and nobody waits for one that has ended."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, until, without_footprint
from tests.contract.reuse_house import BODY, MESSAGES, OK, STREAM, attempts, counted, house, instead, request
from tests.contract.scripted_upstream import UNTIL_LEFT, Received, ScriptedUpstream, scripted_upstream, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def held(upstream: ScriptedUpstream, *first: Any) -> threading.Event:
    """Lets the upstream answer once the event is set; `first` is what its very first call gets instead, after the event."""
    go = threading.Event()
    turn = iter([first] if first else [])

    def script(received: Received) -> list[Any]:
        return [go, *(next(turn, None) or OK)]

    upstream.script = script
    return go


def together(made: Proxy, count: int, upstream: ScriptedUpstream, go: threading.Event) -> list[Answer]:
    """So many identical calls at once; the provider answers when all of them are in the proxy."""
    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(made.chat, request()) for _ in range(count)]
        until(lambda: upstream.received or None)
        until(lambda: inside(made) == count or None)
        go.set()
        return [call.result() for call in calls]


def inside(made: Proxy) -> int:
    """Connections that the proxy has, the asking one left out."""
    port = f"{made.address[1]:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(line.split()[1].endswith(f":{port}") and line.split()[3] == "01" for line in lines)


def test_identical_calls_at_once_are_asked_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        answers = together(made, 8, upstream, held(upstream))
        assert len(upstream.received) == 1
        leaders = [answer for answer in answers if "reused" not in answer.ours]
        assert len(leaders) == 1
        assert {answer.ours["reused"] for answer in answers if "reused" in answer.ours} == {leaders[0].ours["call-id"]}
        assert {without_footprint(answer.body) for answer in answers} == {BODY}
        assert attempts(made) == 1
        assert [row["kind"] for row in instead(made)] == ["joined"] * 7
        assert (counted(made, "joined"), counted(made, "miss")) == (7, 1)


def test_when_the_one_that_asks_fails_another_one_asks(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        answers = together(made, 4, upstream, held(upstream, *whole(b'{"error":{}}', status=b"400 Bad Request")))
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 400]
        assert len(upstream.received) == 2
        assert [row["kind"] for row in instead(made)] == ["joined"] * 2


def test_when_the_one_that_asks_leaves_another_one_asks(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        upstream.left.clear()
        upstream.answers_in_turn([UNTIL_LEFT], OK)
        with ThreadPoolExecutor(2) as pool:
            with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0, timeout=1.0) as client:
                leader = pool.submit(client.chat.completions.create, model="small", messages=MESSAGES, temperature=0)
                until(lambda: upstream.received or None)
                follower = pool.submit(made.chat, request())
                with pytest.raises(openai.APITimeoutError):
                    leader.result()
            assert follower.result().status == 200
        assert len(upstream.received) == 2
        rows = {row["outcome"]: row for row in made.recorded(2)}
        assert rows["client_left"]["usage_source"] == "estimated"
        assert rows["ok"]["output_tokens"] == 50
        assert instead(made) == []


def test_one_that_waits_and_leaves_has_used_nothing(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        go = held(upstream)
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(made.chat, request())
            until(lambda: upstream.received or None)
            client = openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0, timeout=0.5)
            with client, pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(model="small", messages=MESSAGES, temperature=0)
            (row,) = made.recorded(1)
            assert (row["outcome"], row["provider"]) == ("client_left", None)
            go.set()
            assert leader.result().status == 200
        assert len(upstream.received) == 1


def test_streams_at_once_are_asked_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        go = threading.Event()
        upstream.answers(STREAM[0], STREAM[1], go, *STREAM[2:])
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(made.chat, request(stream=True)) for _ in range(3)]
            until(lambda: upstream.received or None)
            until(lambda: inside(made) == 3 or None)
            go.set()
            answers = [call.result() for call in calls]
        assert len(upstream.received) == 1
        assert len({answer.body for answer in answers}) == 1
        assert sum("reused" in answer.ours for answer in answers) == 2
