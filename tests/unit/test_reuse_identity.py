"""What makes two requests identical: nothing but what changes no answer may differ."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from config.tables import load_tables
from proxy.policy.candidates import Candidate, candidates_from
from proxy.reuse.canonical import NoForm, canonical, read_object
from proxy.reuse.identity import Asked, Namer, may_be_kept
from proxy.upstream.base import Headers, UpstreamRequest

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)
BASE: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "A jumper"}], "temperature": 0}


def form(value: Any) -> str:
    return canonical(read_object(value if isinstance(value, bytes) else json.dumps(value).encode()))


def meaning(value: Any) -> Any:
    """The value so that two are equal exactly when JSON says the same: true is not 1, and numbers are exact."""
    if isinstance(value, dict):
        return {name: meaning(each) for name, each in value.items()}
    if isinstance(value, list):
        return [meaning(each) for each in value]
    return (type(value) is bool, Decimal(json.dumps(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value)


def shuffled(value: Any, turn: Any) -> Any:
    if isinstance(value, dict):
        items = [(name, shuffled(each, turn)) for name, each in value.items()]
        turn.shuffle(items)
        return dict(items)
    return [shuffled(each, turn) for each in value] if isinstance(value, list) else value


@given(OBJECTS, st.randoms(use_true_random=False), st.sampled_from([None, 1, 4]), st.booleans())
def test_order_white_space_and_escapes_do_not_matter(value: dict[str, Any], turn: Any, indent: int | None, ascii: bool) -> None:
    other = json.dumps(shuffled(value, turn), indent=indent, ensure_ascii=ascii)
    assert form(value) == form(other.encode())


@given(OBJECTS, OBJECTS)
def test_two_objects_have_one_form_exactly_when_they_mean_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (form(one) == form(other)) == (meaning(one) == meaning(other))


@given(OBJECTS, st.data())
def test_a_change_anywhere_changes_the_form(value: dict[str, Any], data: st.DataObject) -> None:
    places = list(_places(value, ()))
    path = data.draw(st.sampled_from(places))
    put = data.draw(VALUES)
    changed = _with(value, path, put) if path else {**value, "": [value, put]}
    assert (form(changed) == form(value)) == (meaning(changed) == meaning(value))


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in children:
        yield from _places(each, (*path, key))


def _with(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    if not path:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(value[path[0]], path[1:], put)
    return copy


@pytest.mark.parametrize(("one", "other"), [("0", "0.0"), ("0", "-0"), ("1", "1.0"), ("100", "1e2"), ("0.5", "5E-1"), ("0", "0e99")])
def test_spellings_of_one_number_are_one(one: str, other: str) -> None:
    assert form(b'{"a":%s}' % one.encode()) == form(b'{"a":%s}' % other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0", "false"),
        ("1", "true"),
        ("1", '"1"'),
        ("null", "0"),
        ("1e400", "1e401"),
        ("9007199254740993", "9007199254740992"),
        ("[]", "{}"),
    ],
)
def test_what_only_looks_alike_is_told_apart(one: str, other: str) -> None:
    assert form(b'{"a":%s}' % one.encode()) != form(b'{"a":%s}' % other.encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":' + b"[" * 100_000, b"\xff{}", b"\xef\xbb\xbf{}",
     b'{"a":1e999999999999999999999}'],
)  # fmt: skip
def test_a_body_whose_meaning_is_the_providers_to_say_has_no_form(body: bytes) -> None:
    with pytest.raises(NoForm):
        form(body)


def test_a_long_number_keeps_all_its_digits() -> None:
    assert form(b'{"a":%s1}' % (b"7" * 9000)) != form(b'{"a":%s2}' % (b"7" * 9000))


@pytest.fixture(scope="module")
def candidates() -> dict[str, Candidate]:
    places = {"small": "francecentral", "twin": "francecentral", "there": "eastus"}
    served = {
        name: {"deployments": [{"provider": "azure", "model": "gpt-4o-mini", "region": region, "api_base": "http://h/v1", "api_key": "k"}]}
        for name, region in places.items()
    }
    made = candidates_from(Settings.model_validate({"models": served}), load_tables().places)
    return {name: made.exact[name][0] for name in places}


def named(candidate: Candidate, body: dict[str, Any] | bytes = BASE, **changes: Any) -> str | None:
    headers: Headers = changes.pop("headers", [(b"authorization", b"Bearer one"), (b"user-agent", b"a")])
    url: str = changes.pop("url", "http://h/v1/chat/completions")
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = UpstreamRequest(method="POST", url=url, path="/v1/chat/completions", headers=headers, body=raw)
    facts = {"caller_id": "key:a", "alias": "small", "operation": "chat", "any_temperature": False, **changes}
    return Namer(facts.pop("secret", b"secret")).name(Asked(candidate=candidate, request=request, **facts))


def test_who_asks_of_whom_and_where_is_part_of_the_question(candidates: dict[str, Candidate]) -> None:
    small = candidates["small"]
    names = [
        named(small),
        named(small, caller_id="key:b"),
        named(small, alias="twin"),
        named(candidates["twin"]),
        named(candidates["there"]),
        named(small, url="http://h/v1/chat/completions?beta=true"),
        named(small, headers=[(b"openai-beta", b"x")]),
        named(small, headers=[(b"openai-organization", b"o")]),
        named(small, headers=[(b"x-unheard-of", b"1")]),
        named(small, secret=b"another"),
    ]
    assert None not in names
    assert len(set(names)) == len(names)


SAME: list[dict[str, Any]] = [
    {"body": {**BASE, "user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "p"}},
    {"body": {**BASE, "temperature": 0.0}},
    {"headers": [(b"traceparent", b"00-1"), (b"x-stainless-retry-count", b"1"), (b"x-request-id", b"1")]},
    {"url": "http://h/v1/chat/completions?key=abc"},
]


@pytest.mark.parametrize("changes", SAME)
def test_what_changes_no_answer_is_no_part_of_it(candidates: dict[str, Candidate], changes: dict[str, Any]) -> None:
    assert named(candidates["small"], **changes) == named(candidates["small"])


def test_a_name_tells_nothing_but_whose_it_is(candidates: dict[str, Candidate]) -> None:
    name = named(candidates["small"])
    assert name is not None
    owner, _, digest = name.partition(":")
    assert (owner, len(digest)) == (Namer(b"secret").owner("key:a"), 64)
    assert "small" not in name


NEVER: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"temperature": 0.1}),
    ("chat", {"temperature": None}),
    ("chat", {"temperature": False}),
    ("chat", {"temperature": "0"}),
    ("chat", {"store": True}),
    ("chat", {"tools": [{"type": "web_search"}]}),
    ("chat", {"tools": "all"}),
    ("chat", {"audio": {"voice": "a"}}),
    ("responses", {}),
    ("responses", {"store": None}),
    ("responses", {"store": False, "previous_response_id": "r"}),
    ("responses", {"store": False, "background": True}),
    ("responses", {"store": False, "tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}),
    ("responses", {"store": False, "input": [{"type": "input_file", "file_id": "f"}]}),
    ("messages", {"mcp_servers": [{}]}),
    ("messages", {"tools": [{"type": "bash_20250124", "name": "bash"}]}),
    ("generate_content", {"tools": [{"google_search": {}}], "generationConfig": {"temperature": 0}}),
    ("generate_content", {}),
    ("images", {}),
    ("videos", {}),
    ("audio", {}),
    ("transcription", {}),
]


@pytest.mark.parametrize(("operation", "more"), NEVER)
def test_no_earlier_answer_serves_such_a_request(candidates: dict[str, Candidate], operation: str, more: dict[str, Any]) -> None:
    assert named(candidates["small"], {**BASE, **more}, operation=operation) is None


OFTEN: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"n": 3, "store": False, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("chat", {"messages": [{"role": "user", "content": 'He wrote "file_id": 7'}]}),
    ("responses", {"store": False, "tools": [{"type": "function", "name": "f"}]}),
    ("messages", {"tools": [{"name": "f", "input_schema": {}}]}),
    ("generate_content", {"generationConfig": {"temperature": 0}, "tools": [{"functionDeclarations": []}]}),
    ("embeddings", {"temperature": None}),
    ("moderation", {"temperature": None}),
]


@pytest.mark.parametrize(("operation", "more"), OFTEN)
def test_an_earlier_answer_may_serve_such_a_request(candidates: dict[str, Candidate], operation: str, more: dict[str, Any]) -> None:
    assert named(candidates["small"], {**BASE, **more}, operation=operation) is not None


def test_chance_counts_for_nothing_where_the_owner_says_so(candidates: dict[str, Candidate]) -> None:
    warm, hot = ({**BASE, "temperature": each} for each in (0.7, 0.9))
    assert None is not named(candidates["small"], warm, any_temperature=True) != named(candidates["small"], hot, any_temperature=True)


@pytest.mark.parametrize(("value", "may"), [(b"", True), (b"max-age=0", True), (b"no-cache", False), (b"No-Store", False)])
def test_the_callers_word_on_keeping_counts(value: bytes, may: bool) -> None:
    assert may_be_kept({b"cache-control": value}) is may
