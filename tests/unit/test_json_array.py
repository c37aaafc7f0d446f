"""Events as a JSON array: every member once, whatever the cuts; a stream that breaks leaves the array open."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamUnreachable
from proxy.upstream.base import UpstreamRequest, WholeReply
from proxy.upstream.json_array import ArrayReply, wants_array

EVENTS = b'data: {"a": 1}\r\n\r\n: comment\n\ndata: {"b": "caf\xc3\xa9\\n\\n"}\n\nevent: x\ndata: {"c": []}'


class Parts(WholeReply):
    """A reply that comes in parts, and may break at its end."""

    parts: tuple[bytes, ...] = ()
    breaks = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.breaks:
            raise UpstreamUnreachable("cut.")


def reply_of(parts: list[bytes], *, breaks: bool = False) -> ArrayReply:
    made = type("Made", (Parts,), {"parts": tuple(parts), "breaks": breaks})
    return ArrayReply(made(200, [(b"content-type", b"text/event-stream"), (b"x-request-id", b"1")], b""))


@given(st.sets(st.integers(0, len(EVENTS)), max_size=8))
def test_every_event_becomes_a_member_however_it_is_cut(cuts: set[int]) -> None:
    parts = [EVENTS[start:end] for start, end in itertools.pairwise([0, *sorted(cuts), len(EVENTS)])]
    reply = reply_of(parts)
    body = asyncio.run(reply.read())
    assert json.loads(body) == [{"a": 1}, {"b": "caf\u00e9\n\n"}, {"c": []}]
    assert reply.ended
    assert reply.headers == [(b"content-type", b"application/json; charset=UTF-8"), (b"x-request-id", b"1")]


def test_nothing_is_an_empty_array() -> None:
    assert asyncio.run(reply_of([]).read()) == b"[]\n"


def test_a_stream_that_breaks_leaves_the_array_open() -> None:
    got: list[bytes] = []

    async def collect() -> None:
        async for chunk in reply_of([EVENTS], breaks=True).chunks():
            got.append(chunk)

    with pytest.raises(UpstreamUnreachable):
        asyncio.run(collect())
    assert b"".join(got) == b'[{"a": 1},\r\n{"b": "caf\xc3\xa9\\n\\n"}'


@pytest.mark.parametrize(
    ("verb", "query", "wanted"),
    [
        ("streamGenerateContent", "", True),
        ("streamGenerateContent", "?alt=json", True),
        ("streamGenerateContent", "?key=x&alt=sse", False),
        ("streamGenerateContent", "?alt=sse&x=1", False),
        ("generateContent", "", False),
    ],
)
def test_who_asks_for_events_gets_events(verb: str, query: str, wanted: bool) -> None:
    path = f"/v1beta/models/m:{verb}"
    assert wants_array(UpstreamRequest(method="POST", url=path + query, path=path, headers=[], body=b"")) is wanted
