"""Byte surgery on JSON: what is asked for changes, and nothing else does."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.splice import append_member, find_member, prepend_member, remove_member, replace_exact, replace_value, without_payloads

KEYS = st.sampled_from(["model", "usage", "metadata", "messages", "a", "b\\u0041", "{", '\\"model\\"', ","])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["model", '"model":1', "}", "[{,", "\\"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "usage", "x"]), inner, max_size=3),
    max_leaves=8,
)
SPACES = st.sampled_from(["", " ", "\n", "\t ", "\r\n  "])


@st.composite
def objects(draw: st.DrawFn, keys: st.SearchStrategy[str] = KEYS) -> bytes:
    """A JSON object in anyone's spelling; a key may come twice."""
    rows = draw(st.lists(st.tuples(keys, VALUES), max_size=5))
    gap = draw(SPACES)
    members = [f'{gap}"{key}"{gap}:{gap}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{gap}' for key, value in rows]
    return f"{gap}{{{','.join(members) or gap}}}{gap}".encode("utf-8", "surrogatepass")


def read(body: bytes) -> list[tuple[str, Any]]:
    """Members in order, repeated ones included."""
    pairs: list[tuple[str, Any]] = json.loads(body.decode("utf-8", "surrogatepass"), object_pairs_hook=lambda pairs: pairs)
    return pairs


@given(objects())
def test_the_last_top_level_member_is_found_where_it_stands(body: bytes) -> None:
    found, pairs = find_member(body, "model"), read(body)
    values = [value for key, value in pairs if key == "model"]
    assert (found is not None) == bool(values)
    if found is not None:
        assert body[found.start :].startswith(b'"model"')
        assert json.loads(body[found.value : found.end], object_pairs_hook=lambda pairs: pairs) == values[-1]


@given(objects())
def test_replacing_changes_that_value_alone(body: bytes) -> None:
    member = find_member(body, "model")
    out = replace_value(body, "model", b'"other"')
    if member is None:
        assert out == body
        return
    assert out[: member.value] == body[: member.value]
    assert out[member.value :] == b'"other"' + body[member.end :]
    before, after = read(body), read(out)
    at = max(index for index, (key, _) in enumerate(before) if key == "model")
    assert after == [*before[:at], ("model", "other"), *before[at + 1 :]]


@given(objects())
def test_removing_takes_one_member_and_leaves_an_object(body: bytes) -> None:
    before, after = read(body), read(remove_member(body, "metadata"))
    places = [index for index, (key, _) in enumerate(before) if key == "metadata"]
    expected = before if not places else before[: places[-1]] + before[places[-1] + 1 :]
    assert after == expected


@given(objects())
def test_prepending_and_appending_add_one_member(body: bytes) -> None:
    pairs = read(body)
    bare = body.strip()
    assert read(append_member(bare, b'"new":1')) == [*pairs, ("new", 1)]
    assume(pairs)
    assert read(prepend_member(body, b'"new":1')) == [("new", 1), *pairs]


@given(objects(st.sampled_from(["a", "b", "c"])), st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), max_size=2))
def test_the_usage_is_replaced_also_where_its_bytes_occur_elsewhere(body: bytes, usage: dict[str, int]) -> None:
    assume(read(body))
    raw = json.dumps(usage).encode()
    whole = append_member(append_member(body.strip(), b'"copy":' + raw), b'"usage":' + raw)
    out = read(replace_exact(whole, "usage", raw, b'{"new":1}'))
    assert out == [*read(body), ("copy", list(usage.items())), ("usage", [("new", 1)])]


@pytest.mark.parametrize("body", [b'{"x":"\\\\","model":"a"}', b'{"x":"\\"","model":"a"}', b'{"x":"\\\\\\"model\\":","model":"a"}'])
def test_escaped_quotes_and_backslashes_do_not_mislead(body: bytes) -> None:
    assert replace_value(body, "model", b'"b"') == body.replace(b'"model":"a"', b'"model":"b"')


def test_a_key_written_with_escapes_is_the_same_key() -> None:
    body = b'{"mod\\u0065l":"mine","messages":[]}'
    assert json.loads(replace_value(body, "model", b'"theirs"'))["model"] == "theirs"


def test_a_long_body_is_searched_in_one_pass() -> None:
    body = b'{"messages":["' + b"a\\n" * 400_000 + b'"],"model":"a"}'
    assert replace_value(body, "model", b'"b"').endswith(b'"model":"b"}')


PAYLOADS = st.sampled_from(["", "QUJD" * 9, "a\\/b+c=", 'said \\"usage\\":{}', "ends in \\\\"])


@given(st.lists(st.tuples(st.sampled_from(["b64_json", "result", "text"]), PAYLOADS, SPACES), max_size=4), st.booleans())
def test_without_payloads_a_body_reads_the_same_otherwise(parts: list[tuple[str, str, str]], nested: bool) -> None:
    rows = [f'{{"{key}"{space}:{space}"{payload}","n":1}}' for key, payload, space in parts]
    body = f'{{"data":[{",".join(rows)}],"usage":{{"input_tokens":1}},"x":{"[null]" if nested else "1"}}}'.encode()
    text = without_payloads(body)
    assert len(text) <= len(body)
    whole, read = json.loads(body), json.loads(text)
    for row, seen in zip(whole["data"], read["data"], strict=True):
        assert list(row) == list(seen)
        assert all(seen[key] in (row[key], "") for key in row)
    assert (read["usage"], read["x"]) == (whole["usage"], whole["x"])
    old, new = b'{"input_tokens":1}', b'{"input_tokens":1,"footprint":{}}'
    assert replace_exact(body, "usage", old, new, text=text) == replace_exact(body, "usage", old, new)


def test_a_payload_is_emptied_and_a_torn_one_left() -> None:
    assert without_payloads(b'{"b64_json": "QUJD", "a": 1}') == b'{"b64_json": "", "a": 1}'
    assert without_payloads(b'{"b64_json": "QUJD') == b'{"b64_json": "QUJD'
    assert without_payloads(b'{"a": "b64_json"}') == b'{"a": "b64_json"}'


def test_an_appended_member_leaves_the_spaces_where_they_stood() -> None:
    assert append_member(b'{\n  "a": 1\n}', b'"b":2') == b'{\n  "a": 1,"b":2\n}'
    assert append_member(b"{ }", b'"b":2') == b'{"b":2 }'
