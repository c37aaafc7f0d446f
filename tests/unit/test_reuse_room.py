"""How long answers are kept, by whose clock, and who is let go when a call ends."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from estimators.usage import Usage
from proxy.call import AttemptRecord
from proxy.redis_door import RedisDoor
from proxy.reuse import flights
from proxy.reuse.flights import Flight
from proxy.reuse.kept import Kept, is_whole_stream
from proxy.reuse.memory import InMemory
from proxy.reuse.room import Lead, Reuse
from proxy.reuse.shared import InRedis

DAY_S = 86_400.0
NAME = "owner:question"


@dataclass
class Clock:
    """Stands still until it is moved."""

    ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.ms


def kept(clock: Clock, body: bytes = b"{}", source: str = "call-1") -> Kept:
    return Kept(status=200, headers=((b"content-type", b"application/json"),), body=body, source_call_id=source, kept_ms=clock.ms)


def attempt(**changes: Any) -> AttemptRecord:
    facts: dict[str, Any] = {
        "attempt_id": "a", "ordinal": 0, "provider": "p", "model": "m", "served_model": "m", "region": None, "zone": "FR",
        "place_assumed": False, "simulated": False, "status": 200, "outcome": "ok", "upstream_request_id": None,
        "usage": Usage(input_tokens=1, output_tokens=1, source="provider"), "estimate": None, "unweighed_reason": None,
        "request_bytes": 1, "response_bytes": 1, "latency_s": 0.1,
    }  # fmt: skip
    return AttemptRecord(**{**facts, **changes})


@dataclass
class House:
    clock: Clock
    reuse: Reuse
    counts: list[tuple[str, str]]

    def lead(self, name: str = NAME, seconds: float = DAY_S) -> Lead:
        made = Lead(name, self.reuse.begin(name, "call-1"), ordinal=0, operation="chat", policy="p", seconds=seconds)
        made.recording.begin(200, [(b"content-type", b"application/json"), (b"set-cookie", b"a"), (b"x-request-id", b"r")])
        made.recording.take(b'{"a":')
        made.recording.take(b"1}")
        return made

    async def settled(self) -> None:
        await asyncio.gather(*self.reuse._writes)


@pytest.fixture
def house() -> House:
    clock, counts = Clock(), list[tuple[str, str]]()
    reuse = Reuse(b"secret", InMemory(clock.now_ms), now_ms=clock.now_ms, count=lambda policy, result: counts.append((policy, result)))
    return House(clock, reuse, counts)


async def test_an_answer_is_found_until_its_time_is_over(house: House) -> None:
    house.reuse.land(house.lead(seconds=60), attempt())
    await house.settled()
    house.clock.ms += 59_999
    found = await house.reuse.find(NAME, 60)
    assert found is not None
    assert (found.body, found.headers, found.source_call_id) == (b'{"a":1}', ((b"content-type", b"application/json"),), "call-1")
    house.clock.ms += 2
    assert await house.reuse.find(NAME, 60) is None
    assert house.reuse.size_bytes() == 0
    assert house.counts == [("p", "stored")]


async def test_a_policy_with_less_patience_passes_an_older_answer_over(house: House) -> None:
    house.reuse.land(house.lead(seconds=DAY_S), attempt())
    await house.settled()
    house.clock.ms += 61_000
    assert await house.reuse.find(NAME, 60) is None
    assert await house.reuse.find(NAME, 3600) is not None


BAD: dict[str, AttemptRecord | None] = {
    "not recorded": None,
    "failed": attempt(outcome="upstream_error"),
    "cut": attempt(outcome="upstream_cut"),
    "not counted": attempt(usage=None),
    "counted in part": attempt(usage=Usage(input_tokens=1, output_tokens=1, source="counted", partial=True)),
    "kept by the provider": attempt(upstream_object_id="resp_1"),
}


@pytest.mark.parametrize("record", BAD.values(), ids=BAD.keys())
async def test_a_call_that_came_to_no_good_answer_lets_the_others_go(house: House, record: AttemptRecord | None) -> None:
    lead = house.lead()
    waiting = asyncio.ensure_future(lead.flight.answer())
    await asyncio.sleep(0)
    house.reuse.land(lead, record)
    assert await waiting is None
    assert house.reuse.flight(NAME) is None
    assert await house.reuse.find(NAME, DAY_S) is None


async def test_those_who_wait_get_the_answer_before_it_is_stored(house: House) -> None:
    lead = house.lead()
    waiting = [asyncio.ensure_future(lead.flight.answer()) for _ in range(3)]
    await asyncio.sleep(0)
    house.reuse.land(lead, attempt())
    assert [each.body for each in await asyncio.gather(*waiting) if each] == [b'{"a":1}'] * 3
    await house.settled()
    assert house.reuse.flight(NAME) is None


async def test_one_that_waits_and_is_cancelled_takes_nothing_from_the_others(house: House) -> None:
    lead = house.lead()
    one, other = (asyncio.ensure_future(lead.flight.answer()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    house.reuse.land(lead, attempt())
    assert await other is not None


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "MOST_WAIT_S", 0.001)
    assert await Flight("call-1").answer() is None


async def test_what_is_kept_of_a_caller_can_be_erased(house: House) -> None:
    mine, theirs = (f"{house.reuse._namer.owner(each)}:q" for each in ("me", "them"))
    for name in (mine, theirs):
        house.reuse.land(house.lead(name), attempt())
    await house.settled()
    assert await house.reuse.erase("me") == 1
    assert await house.reuse.find(mine, DAY_S) is None
    assert await house.reuse.find(theirs, DAY_S) is not None


async def test_memory_keeps_within_its_bound_and_the_least_used_leaves_first() -> None:
    clock = Clock()
    one = kept(clock, b"x" * 1000)
    store = InMemory(clock.now_ms, most_bytes=3 * one.size)
    for name in "abc":
        await store.keep(name, one, DAY_S)
    assert await store.find("a") is not None
    await store.keep("d", one, DAY_S)
    assert [name for name in "abcd" if await store.find(name) is not None] == ["a", "c", "d"]
    await store.keep("huge", kept(clock, b"x" * 10_000), DAY_S)
    assert store.size_bytes() == 3 * one.size


STREAMS: list[tuple[str, bytes, bool]] = [
    ("chat", b'data: {"choices":[]}\n\ndata: [DONE]\n\n', True),
    ("chat", b'data: {"choices":[]}\n\n', False),
    ("chat", b'data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n', False),
    ("chat", b'data: {"choices":[{"delta":{"content":"an \\"error\\": {"}}]}\n\ndata: [DONE]\n\n', True),
    ("responses", b'event: response.completed\ndata: {"type":"response.completed","response":{"error":null}}\n\n', True),
    ("responses", b'event: response.incomplete\ndata: {"type":"response.incomplete"}\n\n', False),
    ("messages", b'event: message_stop\ndata: {"type":"message_stop"}\n\n', True),
    ("stream_generate_content", b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n', True),
    ("stream_generate_content", b'data: {"candidates":[{"finishReason":"SAFETY"}]}\r\n\r\n', False),
    ("images", b"data: [DONE]\n\n", False),
]


@pytest.mark.parametrize(("operation", "body", "is_whole"), STREAMS)
def test_a_stream_says_itself_that_it_came_to_a_good_end(operation: str, body: bytes, is_whole: bool) -> None:
    assert is_whole_stream(operation, body) is is_whole


@pytest.mark.parametrize("address", ["redis://127.0.0.1:port", "redis://127.0.0.1:1/0"])
async def test_a_redis_that_cannot_be_had_is_a_miss_and_is_let_be_for_a_while(address: str) -> None:
    clock = Clock()
    now_s = [0.0]
    door = RedisDoor(address, patience_s=0.05)
    store = InRedis(door, lambda: now_s[0])
    assert await store.find(NAME) is None
    await store.keep(NAME, kept(clock), DAY_S)
    now_s[0] = 1.5
    assert await store.find(NAME) is None
    with pytest.raises(ConnectionError):
        await store.erase("owner")
    await store.close()
