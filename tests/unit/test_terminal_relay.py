"""The relay of streams that end with a usage event: no way of cutting the bytes changes what leaves, and pictures are not gathered."""

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.meter.terminal import LONGEST_HELD_BYTES, TerminalRelay

RESPONSES = ("response.completed", "response.incomplete", "response.failed")
PICTURES = ("image_generation.completed",)
USAGE = {"input_tokens": 81, "output_tokens": 1035, "total_tokens": 1116}
MEMBER = b'"footprint":{"gco2e":0.5}'
LONG = base64.b64encode(bytes(range(256)) * 4096).decode()


def event(document: dict[str, Any], *, named: bool = True, end: bytes = b"\n") -> bytes:
    name = f"event: {document['type']}\n" if named else ""
    text = f"{name}data: {json.dumps(document, ensure_ascii=False, separators=(',', ':'))}\n\n"
    return text.encode().replace(b"\n", end)


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def completed(**changes: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"model": "gpt-5-mini", "output": [], "usage": USAGE, **changes}}


def drawn(picture: str = LONG, **changes: Any) -> dict[str, Any]:
    return {"type": "image_generation.completed", "b64_json": picture, "size": "1024x1536", "quality": "high", "usage": USAGE, **changes}


def relayed(
    parts: list[bytes], events: tuple[str, ...] = RESPONSES, *, expected: int = 1, footprint: bytes | None = MEMBER
) -> tuple[bytes, TerminalRelay]:
    """All that leaves: events, what was held back, what came after the end."""
    relay = TerminalRelay(events, expected=expected)
    out, after = b"", b""
    for part in parts:
        if relay.finished:
            after += part
        else:
            out += relay.feed(part)
    if not relay.finished:
        out += relay.end()
    return out + relay.terminal(footprint) + after, relay


def tagged(sent: bytes, out: bytes) -> bool:
    """Whether the footprint is all that was added, as the last member of the usage."""
    return out.count(MEMBER) == 1 and out.replace(b"," + MEMBER, b"") == sent


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ['"usage":{"input_tokens":1}', "response.completed", "caf\u00e9 \U0001f411", "\n\n", '"type":"response.completed"']
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    named, end = draw(st.booleans()), draw(st.sampled_from([b"\n", b"\r\n"]))
    said = [event(delta(text), named=named, end=end) for text in draw(st.lists(texts, max_size=6))]
    last = draw(st.sampled_from([[], [completed()], [completed(usage=None)], [completed(output=[{"usage": USAGE}])]]))
    tail = draw(st.sampled_from([b"", b": bye\n\n", b"data: [DONE]\n\n", b"torn"]))
    return b"".join([*said, *(event(one, named=named, end=end) for one in last), tail])


@given(st.data(), streams())
def test_any_cutting_of_the_bytes_gives_the_same_output_and_the_same_usage(data: st.DataObject, body: bytes) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=12)))
    parts = [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]
    out, relay = relayed(parts)
    whole, at_once = relayed([body])
    assert out == whole
    assert (relay.usage_raw, relay.served_model, relay.finished) == (at_once.usage_raw, at_once.served_model, True)
    assert relayed(parts, footprint=None)[0] == body
    assert tagged(body, out) if relay.usage_raw else out == body


@given(st.binary(max_size=400), st.data())
def test_no_bytes_at_all_make_it_fail(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    assert relayed([body[:at], body[at:]], footprint=None)[0] == body


@pytest.mark.parametrize("kind", RESPONSES)
def test_each_kind_of_end_carries_the_usage(kind: str) -> None:
    body = event(delta("a")) + event({**completed(), "type": kind})
    out, relay = relayed([body])
    assert json.loads(relay.usage_raw or b"") == USAGE
    assert relay.served_model == "gpt-5-mini"
    assert tagged(body, out)


def test_the_terminal_event_waits_and_the_ones_before_it_do_not() -> None:
    relay = TerminalRelay(RESPONSES)
    assert relay.feed(event(delta("a")) + event(completed())) == event(delta("a"))
    assert relay.finished
    assert relay.terminal(None) == event(completed())


def test_the_same_usage_elsewhere_in_the_answer_is_not_the_one_that_is_tagged() -> None:
    body = event(completed(output=[{"type": "function_call_output", "usage": USAGE}], metadata={}))
    out, _ = relayed([body])
    assert tagged(body, out)
    response = json.loads(out.split(b"data: ")[1])["response"]
    assert "footprint" in response["usage"]
    assert response["output"] == [{"type": "function_call_output", "usage": USAGE}]


@pytest.mark.parametrize("size", [1021, 16_384, 65_536, 10**7])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("first", ["type", "b64_json"], ids=["type-first", "picture-first"])
def test_a_picture_longer_than_what_is_held_passes_and_its_usage_is_read(size: int, named: bool, first: str) -> None:
    picture = LONG[: LONGEST_HELD_BYTES * 2]
    members = drawn(picture)
    ordered = {first: members[first], **members}
    partial = {"type": "image_generation.partial_image", "b64_json": picture}
    body = event(partial, named=named) + event(ordered, named=named)
    out, relay = relayed([body[at : at + size] for at in range(0, len(body), size)], PICTURES)
    assert tagged(body, out)
    assert json.loads(relay.usage_raw or b"") == USAGE
    assert b'"size":"1024x1536"' in relay.answer
    assert relay.finished


def test_a_usage_before_the_picture_is_read_and_the_event_left_alone() -> None:
    body = event({"type": "image_generation.completed", "usage": USAGE, "b64_json": LONG})
    out, relay = relayed([body[at : at + 65_536] for at in range(0, len(body), 65_536)], PICTURES)
    assert out == body
    assert json.loads(relay.usage_raw or b"") == USAGE


def test_pictures_do_not_gather_in_memory() -> None:
    relay = TerminalRelay(PICTURES, keeps=False)
    body = event(drawn(LONG * 8))
    left = 0
    for at in range(0, len(body), 65_536):
        left += len(relay.feed(body[at : at + 65_536]))
        assert at + 65_536 - left <= LONGEST_HELD_BYTES + 65_536 or relay.finished
    assert len(body) - left <= 2 * 65_536
    assert relay.kept == []


def test_a_long_answer_of_text_is_tagged_too() -> None:
    text = "The jumper is warm. " * 40_000
    body = event(delta("a")) + event(completed(output=[{"type": "message", "content": [{"text": text}]}], tool_usage={}))
    out, relay = relayed([body[at : at + 50_000] for at in range(0, len(body), 50_000)])
    assert tagged(body, out)
    assert json.loads(relay.usage_raw or b"") == USAGE


def test_of_several_pictures_the_last_event_ends_the_stream() -> None:
    one, two = event(drawn("QUJD")), event(drawn("REVG", usage={**USAGE, "output_tokens": 7}))
    out, relay = relayed([one, two, b": bye\n\n"], PICTURES, expected=2)
    assert tagged(one + two + b": bye\n\n", out)
    assert out.startswith(one)
    assert json.loads(relay.usage_raw or b"")["output_tokens"] == 7


def test_an_end_without_usage_passes_untouched() -> None:
    body = event(completed(usage=None))
    out, relay = relayed([body])
    assert (out, relay.usage_raw, relay.finished) == (body, None, True)


def test_what_is_kept_to_be_counted_is_what_passed() -> None:
    relay = TerminalRelay(RESPONSES)
    for text in ("a", "b"):
        relay.feed(event(delta(text)))
    assert b"".join(relay.kept) == event(delta("a")) + event(delta("b"))
    assert relay.seen_bytes == len(b"".join(relay.kept))
