"""The relay of server-sent events alone: no way of cutting the bytes changes what leaves or what is read."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.meter.events import LONGEST_EVENT_BYTES
from proxy.meter.sse import Relay
from proxy.meter.usage import read_usage

FOOTPRINT = b'"footprint":{"gco2e":0.5}'
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
MEMBER = b',"footprint":{"gco2e":0.5}'


def chunk(content: str | None, **more: Any) -> bytes:
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}}]
    document = {"id": "c", "model": "gpt-4o-mini", "choices": choices, **more}
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ['"usage":{"prompt_tokens":1}', "[DONE]", ',"usage":null', "data: ", "caf\u00e9 \U0001f411", "\u2028"]
)
usages = st.fixed_dictionaries({"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)})
events = st.one_of(
    texts.map(chunk),
    st.builds(lambda text, usage: chunk(text, usage=usage), texts, usages),
    usages.map(lambda usage: chunk(None, usage=usage)),
    texts.map(lambda text: chunk(text, usage=None)),
    st.sampled_from(
        [
            b": ping",
            b"event: odd\ndata: {}",
            b'data: {"choices":[',
            b"data:",
            b"retry: 5",
            b'data: {"choices":[]}',
        ]
    ),
)
tails = st.sampled_from([b"", b"data: [DONE]", b"data: [DONE]\n", b": bye", b"data: {", b"\n"])
ends = st.builds(b"".join, st.tuples(st.just(b"data: [DONE]\n\n"), st.sampled_from([b"", b": bye\n\n", b"data: {}\n\n", b"\n", b"torn"])))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Events in any order, then an end mark with or without something after it, or a torn end."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    body = b"".join(event + b"\n\n" for event in draw(st.lists(events, max_size=8))) + draw(tails | ends)
    return body.replace(b"\n", end)


@st.composite
def split(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(body)), max_size=12)))
    return [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]


def relayed(parts: list[bytes], *, forced: bool, footprint: bytes | None = FOOTPRINT) -> tuple[bytes, Relay]:
    """All that leaves, in the order of the pipeline: events, then what was held back, then what came after the end mark."""
    relay = Relay(forced=forced)
    out, after = b"", b""
    for part in parts:
        if relay.finished:
            after += part
        else:
            out += relay.feed(part)
    if not relay.finished:
        out += relay.end()
    return out + relay.terminal(footprint) + after, relay


@given(st.data(), streams(), st.booleans())
def test_any_cutting_of_the_bytes_gives_the_same_output_and_the_same_usage(data: st.DataObject, body: bytes, forced: bool) -> None:
    whole, at_once = relayed([body], forced=forced)
    out, in_parts = relayed(data.draw(split(body)), forced=forced)
    assert out == whole
    assert (in_parts.usage_raw, in_parts.served_model, in_parts.finished) == (at_once.usage_raw, at_once.served_model, True)


@given(st.data(), streams())
def test_what_the_client_asked_for_leaves_to_the_last_byte(data: st.DataObject, body: bytes) -> None:
    out, _ = relayed(data.draw(split(body)), forced=False, footprint=None)
    assert out == body


@given(st.data(), st.lists(texts, max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_a_forced_stream_leaves_as_if_usage_had_not_been_asked_for(data: st.DataObject, said: list[str], end: bytes) -> None:
    asked = [*(chunk(text, usage=None) for text in said), chunk(None, usage=USAGE), b"data: [DONE]"]
    unasked = [*(chunk(text) for text in said), b"data: [DONE]"]
    sent, expected = (b"".join(event + b"\n\n" for event in row).replace(b"\n", end) for row in (asked, unasked))
    out, relay = relayed(data.draw(split(sent)), forced=True)
    assert out == expected
    assert relay.usage_raw is not None
    assert json.loads(relay.usage_raw) == USAGE


@given(st.data(), st.lists(texts, max_size=8), usages)
def test_the_footprint_is_the_only_addition(data: st.DataObject, said: list[str], usage: dict[str, int]) -> None:
    sent = b"".join(event + b"\n\n" for event in [*map(chunk, said), chunk(None, usage=usage), b"data: [DONE]"])
    out, relay = relayed(data.draw(split(sent)), forced=False)
    assert out.count(MEMBER) == 1
    assert out.replace(MEMBER, b"") == sent
    assert relay.usage_raw is not None
    read = read_usage(relay.usage_raw)
    assert read is not None
    assert (read.input_tokens, read.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])


@given(st.binary(max_size=400), st.data(), st.booleans())
def test_no_bytes_at_all_make_it_fail(body: bytes, data: st.DataObject, forced: bool) -> None:
    out, relay = relayed(data.draw(split(body)), forced=forced, footprint=None)
    assert relay.seen_bytes <= len(body)
    if not forced:
        assert out == body


@pytest.mark.parametrize("form", [',"usage":null', ', "usage" : null'])
def test_null_usage_is_cut_in_the_providers_own_spelling(form: str) -> None:
    events = [b'data: {"id":"1","choices":[{}]%b}\n\n' % form.encode()] * 2 + [b"data: [DONE]\n\n"]
    out, _ = relayed(events, forced=True)
    assert out == b'data: {"id":"1","choices":[{}]}\n\n' * 2 + b"data: [DONE]\n\n"


def test_null_usage_in_front_is_cut_too() -> None:
    out, _ = relayed([b'data: {"usage":null, "id":"1"}\n\n'], forced=True)
    assert out == b'data: {"id":"1"}\n\n'


def test_null_usage_inside_another_object_stays() -> None:
    event = b'data: {"choices":[{"x":1,"usage":null}],"id":"1"}\n\n'
    out, _ = relayed([event], forced=True)
    assert out == event


def test_text_that_only_looks_like_usage_stays() -> None:
    event = chunk('say ,"usage":null and "usage":{"prompt_tokens":9} and [DONE]') + b"\n\n"
    out, relay = relayed([event, chunk("x", usage=None) + b"\n\n"], forced=True)
    assert out == event + chunk("x") + b"\n\n"
    assert relay.usage_raw is None


def test_the_last_of_several_usages_counts() -> None:
    first, last = {**USAGE, "completion_tokens": 1}, {**USAGE, "completion_tokens": 9}
    sent = [chunk("a", usage=first) + b"\n\n", chunk("b", usage=last) + b"\n\n", b"data: [DONE]\n\n"]
    out, relay = relayed(sent, forced=True)
    assert out == b"".join(sent)
    assert relay.usage_raw is not None
    assert json.loads(relay.usage_raw) == last


def test_the_end_mark_waits_until_the_call_is_recorded() -> None:
    relay = Relay(forced=False)
    early = relay.feed(chunk("a") + b"\n\n" + chunk(None, usage=USAGE) + b"\n\ndata: [DONE]\n\n")
    assert early == chunk("a") + b"\n\n"
    assert relay.finished
    assert relay.terminal(None) == chunk(None, usage=USAGE) + b"\n\ndata: [DONE]\n\n"


def test_an_event_is_not_held_longer_than_its_end() -> None:
    relay = Relay(forced=True)
    assert relay.feed(chunk("a")) == b""
    assert relay.feed(b"\n\n" + chunk("b")[:9]) == chunk("a") + b"\n\n"


def test_an_endless_event_does_not_gather_in_memory() -> None:
    relay = Relay(forced=True)
    part = b"x" * 65_536
    left = b"".join([relay.feed(b"data: " if number == 0 else part) for number in range(40)])
    assert len(left) >= 40 * 65_536 - LONGEST_EVENT_BYTES - 2 * 65_536
