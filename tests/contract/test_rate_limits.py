"""Limits of a key by requests and tokens, over the wire and with the real client; the clock of the windows is the test's."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import limits.aio.storage.memory
import openai
import pytest
from limits.errors import ConfigurationError

from proxy.call import Caller, RateLimits
from proxy.errors import RateLimited
from proxy.keys import counters as counters_room
from proxy.keys.counters import LibraryCounters
from proxy.keys.limits import Limiter
from proxy.keys.windows import Window
from tests.contract.proxy_harness import Answer, Proxy, ask, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, head, streamed, whole

MINUTE_START = 1_790_000_040.0
assert MINUTE_START % 60 == 0
TWO, BUSY, FREE, BOTH = "gk-two-a-minute", "gk-tokens-1000", "gk-without-limit", "gk-both-limits"
KEYS: list[dict[str, Any]] = [
    {"key": TWO, "name": "two", "requests_per_minute": 2},
    {"key": BUSY, "name": "busy", "tokens_per_minute": 1000},
    {"key": BOTH, "name": "both", "requests_per_minute": 1, "tokens_per_minute": 1000},
    {"key": FREE, "name": "free"},
]


@dataclass
class Wall:
    """A clock that stands where the test puts it."""

    now: float = MINUTE_START

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(limits.aio.storage.memory, "time", made)
    return made


@pytest.fixture
def limited(wall: Wall, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Proxy]:
    models = {"*": {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-azure-1"}]}}
    upstream.answers(*reply(5, 5))
    with proxy(tmp_path, keys=KEYS, models=models) as made:
        made.headers = {}
        yield made


def reply(input_tokens: int, output_tokens: int, *headers: tuple[bytes, bytes]) -> list[bytes]:
    usage = b'{"prompt_tokens":%d,"completion_tokens":%d}' % (input_tokens, output_tokens)
    return whole(b'{"model":"gpt-4o-mini","usage":%b}' % usage, *headers)


def call(made: Proxy, key: str, **changes: Any) -> Answer:
    return made.chat(ask(**changes), authorization=f"Bearer {key}")


def told(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.theirs if name.startswith((b"x-ratelimit", b"retry-after"))}


def test_beyond_its_requests_a_key_gets_429_with_when_to_come_back(limited: Proxy, upstream: ScriptedUpstream) -> None:
    assert [call(limited, TWO).status for _ in range(2)] == [200, 200]
    before = len(upstream.received)
    refused = call(limited, TWO)
    assert (refused.status, refused.error["type"], refused.error["code"]) == (429, "grammage_error", "rate_limit_exceeded")
    assert "'two' may use 2 requests in a minute" in refused.error["message"]
    assert TWO not in refused.body.decode()
    headers = told(refused)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert headers["retry-after-ms"] == "60001"
    assert headers["retry-after"] == "61"
    assert len(upstream.received) == before
    assert len(limited.calls()) == 2, "a refused call is no call"


def test_the_window_slides(limited: Proxy, wall: Wall) -> None:
    assert [call(limited, TWO).status for _ in range(3)] == [200, 200, 429]
    wall.now += 30
    assert call(limited, TWO).status == 429
    wall.now += 30.001
    assert [call(limited, TWO).status for _ in range(2)] == [200, 429], "of two a minute ago one and a fraction still counts"
    wall.now += 120
    assert [call(limited, TWO).status for _ in range(3)] == [200, 200, 429]


def test_a_keys_limits_are_its_own(limited: Proxy) -> None:
    assert [call(limited, TWO).status for _ in range(3)] == [200, 200, 429]
    assert [call(limited, FREE).status for _ in range(3)] == [200, 200, 200]
    assert told(call(limited, FREE)) == {}


def test_paths_that_are_not_metered_count_as_requests_too(limited: Proxy) -> None:
    assert [limited.post("/v1/files", {}, authorization=f"Bearer {TWO}").status for _ in range(3)] == [200, 200, 429]
    assert call(limited, TWO).status == 429


def test_a_dry_run_uses_nothing(limited: Proxy) -> None:
    for _ in range(4):
        assert limited.chat(ask(), authorization=f"Bearer {TWO}", x_grammage_dry_run="true").status == 200
    assert call(limited, TWO).status == 200


def test_tokens_are_counted_as_the_provider_did_once_the_answer_is_there(limited: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*reply(400, 500))
    first = call(limited, BUSY)
    assert first.status == 200
    assert int(told(first)["x-ratelimit-remaining-tokens"]) > 980, "only the prompt's forecast was reserved by then"
    upstream.answers(*reply(5, 5))
    second = call(limited, BUSY)
    assert second.status == 200
    assert 80 < int(told(second)["x-ratelimit-remaining-tokens"]) < 100


def test_after_a_call_beyond_its_tokens_a_key_waits_until_they_have_worn_off(limited: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*reply(400, 2600))
    assert call(limited, BUSY).status == 200
    upstream.answers(*reply(5, 5))
    refused = call(limited, BUSY)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "beyond the limit" in refused.error["message"]
    assert 115 <= int(told(refused)["retry-after"]) <= 120, "3000 tokens at 1000 a minute, the first 1000 at once"


def test_tokens_of_a_stream_count_when_it_has_ended(limited: Proxy, upstream: ScriptedUpstream) -> None:
    usage = b'{"prompt_tokens":500,"completion_tokens":490,"total_tokens":990}'
    upstream.answers(
        *streamed(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b'data: {"choices":[],"usage":%b}\n\n' % usage, b"data: [DONE]\n\n")
    )
    assert call(limited, BUSY, stream=True).status == 200
    assert call(limited, BUSY, messages=[{"role": "user", "content": "word " * 40}]).status == 429


def test_a_prompt_forecast_beyond_the_whole_limit_passes_where_nothing_else_counts(limited: Proxy, wall: Wall) -> None:
    long = [{"role": "user", "content": "word " * 4000}]
    assert call(limited, BUSY).status == 200
    assert call(limited, BUSY, messages=long).status == 429
    wall.now += 120
    assert call(limited, BUSY, messages=long).status == 200, "a forecast is no reason to refuse for ever; the usage counts"
    assert call(limited, BUSY).status == 200, "it was ten tokens"


def test_a_call_that_made_nothing_gives_its_tokens_back(limited: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b'{"error":{"message":"no","type":"x","param":null,"code":null}}', status=b"400 Bad Request"))
    long = [{"role": "user", "content": "word " * 500}]
    assert [call(limited, BUSY, messages=long).status for _ in range(5)] == [400] * 5


def test_a_call_refused_for_its_requests_keeps_no_tokens(limited: Proxy, wall: Wall) -> None:
    long = [{"role": "user", "content": "word " * 400}]
    assert [call(limited, BOTH, messages=long).status for _ in range(4)] == [200, 429, 429, 429]
    assert "requests" in call(limited, BOTH, messages=long).error["message"]


def test_the_providers_own_limits_are_told_before_ours(limited: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*reply(5, 5, (b"x-ratelimit-remaining-requests", b"4999")))
    assert told(call(limited, TWO)) == {"x-ratelimit-remaining-requests": "4999"}


def test_the_body_of_a_limited_keys_answer_is_the_providers(limited: Proxy, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"gpt-4o-mini","x": [1,  2],"y":"\\u00e9"}'
    upstream.answers(*whole(body))
    assert call(limited, TWO).body == call(limited, FREE).body == body


def test_the_real_client_raises_its_rate_limit_error(limited: Proxy) -> None:
    with openai.OpenAI(base_url=limited.v1, api_key=BOTH, max_retries=0) as client:
        client.chat.completions.create(model="m", messages=[])
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="m", messages=[])
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["x-ratelimit-limit-requests"] == "1"


def test_the_real_client_waits_as_it_is_told_and_is_served(limited: Proxy, wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def pass_time(seconds: float) -> None:
        slept.append(seconds)
        wall.now += seconds

    monkeypatch.setattr(time, "sleep", pass_time)
    wall.now = MINUTE_START + 59
    with openai.OpenAI(base_url=limited.v1, api_key=BOTH, max_retries=1) as client:
        for _ in range(2):
            client.chat.completions.create(model="m", messages=[])
    assert slept == [pytest.approx(1.001)]


async def test_tokens_beyond_the_limit_wear_off_at_its_pace(wall: Wall) -> None:
    limiter = Limiter(perf=wall.time, counters=LibraryCounters(None))
    who = caller(tokens_per_minute=1000)
    ticket = await limiter.enter(who, 10)
    assert ticket is not None
    await limiter.settle(ticket, 3000)
    for _ in range(2):
        wall.now += 59
        with pytest.raises(RateLimited):
            await limiter.enter(who, 10)
    wall.now += 3
    assert await limiter.enter(who, 10) is not None


class Fixed:
    """Counters that hold one number each and never forget; `broken`: they cannot be reached."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, str], int] = {}
        self.broken = False

    async def hit(self, kind: str, account: str, limit: int, cost: int) -> bool:
        if self.broken:
            raise ConnectionError("the counters cannot be reached")
        used = self.used.get((kind, account), 0)
        if used + cost > limit:
            return False
        self.used[kind, account] = used + cost
        return True

    async def look(self, kind: str, account: str, limit: int) -> Window:
        if self.broken:
            raise ConnectionError("the counters cannot be reached")
        used = self.used.get((kind, account), 0)
        return Window(limit=limit, length_s=60, previous=0, previous_s=0.0, current=used, current_s=60.0)

    async def close(self) -> None:
        """There is nothing to give back."""


def caller(**per_minute: int) -> Caller:
    return Caller(id="team", limits=RateLimits(**per_minute))


async def test_what_was_reserved_and_not_used_is_given_back_for_a_minute() -> None:
    now, counters = [100.0], Fixed()
    limiter = Limiter(perf=lambda: now[0], counters=counters)
    who = caller(tokens_per_minute=100)
    ticket = await limiter.enter(who, 80)
    assert ticket is not None
    await limiter.settle(ticket, 10)
    assert await limiter.enter(who, 70) is not None
    assert counters.used["tokens", "team"] == 80, "the 70 that were left over paid for it"
    await limiter.settle(ticket, 50)
    now[0] += 61
    with pytest.raises(RateLimited):
        await limiter.enter(who, 30)


async def test_a_call_whose_use_is_not_known_keeps_its_reservation() -> None:
    counters = Fixed()
    limiter = Limiter(perf=lambda: 0.0, counters=counters)
    ticket = await limiter.enter(caller(tokens_per_minute=100), 60)
    assert ticket is not None
    await limiter.settle(ticket, None)
    with pytest.raises(RateLimited):
        await limiter.enter(caller(tokens_per_minute=100), 60)


async def test_calls_at_once_share_one_window() -> None:
    limiter = Limiter(perf=lambda: 0.0, counters=Fixed())
    results = await asyncio.gather(*(limiter.enter(caller(requests_per_minute=5), 1) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(each, RateLimited) for each in results) == 15


async def test_when_the_shared_counters_are_gone_calls_go_on_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counters = Fixed()
    limiter = Limiter(perf=lambda: 0.0, counters=counters)
    ticket = await limiter.enter(caller(tokens_per_minute=100), 60)
    assert ticket is not None
    counters.broken = True
    for _ in range(3):
        assert await limiter.enter(caller(tokens_per_minute=100), 60) is None
        await limiter.settle(ticket, 90)
    assert len([line for line in caplog.messages if "rate limits are not kept" in line]) == 1


async def test_without_the_package_of_redis_each_process_counts_for_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object, **__: object) -> object:
        raise ConfigurationError("redis prerequisite not available")

    monkeypatch.setattr(counters_room, "RedisStorage", missing)
    limiter = Limiter("redis://127.0.0.1:1/0")
    assert await limiter.enter(caller(requests_per_minute=1), 1) is not None
    with pytest.raises(RateLimited):
        await limiter.enter(caller(requests_per_minute=1), 1)
    assert [line for line in caplog.messages if "pip install redis" in line]


async def test_a_key_without_limits_loads_and_counts_nothing() -> None:
    counters = Fixed()
    assert await Limiter(counters=counters).enter(Caller(id="team"), 10**9) is None
    assert counters.used == {}


def test_a_limited_stream_that_its_client_leaves_still_counts(limited: Proxy, upstream: ScriptedUpstream) -> None:
    hold = threading.Event()
    start = head(b"200 OK", [(b"content-type", b"text/event-stream"), (b"transfer-encoding", b"chunked"), (b"connection", b"close")])
    upstream.answers(start, hold)
    long = [{"role": "user", "content": "word " * 700}]
    body = ask(messages=long, stream=True)
    with openai.OpenAI(base_url=limited.v1, api_key=BUSY, max_retries=0) as client:
        client.chat.completions.create(model=body["model"], messages=body["messages"], stream=True).close()
    limited.recorded(1)
    hold.set()
    upstream.answers(*reply(5, 5))
    assert call(limited, BUSY, messages=long).status == 429
