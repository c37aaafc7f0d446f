"""What answers are said to fall short of: every dialect, whole and streamed, and nothing that a provider did not state."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.pattern import compiled
from proxy.verify.gathered import gathered
from proxy.verify.match import MOST_CHARACTERS, holds
from proxy.verify.shape import fits, read_json
from proxy.verify.shortcoming import Checks, is_callers_cut, shortcoming_of
from proxy.verify.wanted import FREELY, Wanted, wanted_by
from proxy.verify.written import CHECKED, Written, choices_of

ALL = Checks(when=frozenset(("invalid_json", "refused", "truncated", "empty")))
TITLED = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}


def chat(content: Any = "Hi", ended: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": ended}]}


def calling(arguments: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "book", "arguments": arguments}}]


def responses(*items: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"status": "completed", "output": list(items), **members}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


def messages(*blocks: dict[str, Any], ended: str = "end_turn") -> dict[str, Any]:
    return {"content": list(blocks), "stop_reason": ended}


def gemini(*parts: dict[str, Any], ended: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": ended}]}


FINDINGS: list[tuple[str, dict[str, Any], str | None]] = [
    ("chat", chat(), None),
    ("chat", chat([{"type": "text", "text": "Hi"}]), None),
    ("chat", chat(None, "content_filter"), "refused"),
    ("chat", chat(None, refusal="No."), "refused"),
    ("chat", chat([{"type": "refusal", "refusal": "No."}]), "refused"),
    ("chat", chat("I am sorry, I cannot help with that."), None),
    ("chat", chat("Once", "length"), "truncated"),
    ("chat", chat(""), "empty"),
    ("chat", chat(" \n"), "empty"),
    ("chat", chat(None, reasoning_content="hm"), "empty"),
    ("chat", {"choices": []}, "empty"),
    ("chat", chat(None, "tool_calls", tool_calls=calling('{"a": 1}')), None),
    ("chat", chat(None, "tool_calls", tool_calls=calling("")), None),
    ("chat", chat(None, "tool_calls", tool_calls=calling('{"a": 1')), "invalid_json"),
    ("chat", chat(None, tool_calls=[{"type": "custom", "custom": {"name": "sql", "input": "select 1"}}]), None),
    ("chat", chat(None, function_call={"name": "book", "arguments": "{"}), "invalid_json"),
    ("chat", chat(None, audio={"id": "a"}), None),
    ("chat", {"choices": [*chat()["choices"], *chat("", "length")["choices"]]}, "truncated"),
    ("chat", {"error": {"message": "oops"}}, None),
    ("completions", {"choices": [{"text": "Hi", "finish_reason": "stop"}]}, None),
    ("completions", {"choices": [{"text": "Hi", "finish_reason": "length"}]}, "truncated"),
    ("completions", {"choices": [{"text": "", "finish_reason": "stop"}]}, "empty"),
    ("completions", {"choices": [{"text": "", "finish_reason": "content_filter"}]}, "refused"),
    ("responses", responses(said("Hi")), None),
    ("responses", responses({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}), "refused"),
    ("responses", responses(said("O"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "truncated"),
    ("responses", responses(said("O"), status="incomplete", incomplete_details={"reason": "content_filter"}), "refused"),
    ("responses", responses({"type": "reasoning", "summary": []}), "empty"),
    ("responses", responses({"type": "function_call", "name": "book", "arguments": "{"}), "invalid_json"),
    ("responses", responses({"type": "image_generation_call", "result": "AA=="}), None),
    ("responses", responses(status="in_progress"), None),
    ("messages", messages({"type": "text", "text": "Hi"}), None),
    ("messages", messages({"type": "text", "text": "I"}, ended="refusal"), "refused"),
    ("messages", messages({"type": "text", "text": "O"}, ended="max_tokens"), "truncated"),
    ("messages", messages({"type": "text", "text": "O"}, ended="model_context_window_exceeded"), "truncated"),
    ("messages", messages({"type": "thinking", "thinking": "hm"}), "empty"),
    ("messages", messages({"type": "tool_use", "name": "book", "input": {}}, ended="tool_use"), None),
    ("generate_content", gemini({"text": "Hi"}), None),
    ("generate_content", gemini({"text": "hm", "thought": True}), "empty"),
    ("generate_content", gemini({"functionCall": {"name": "book", "args": {}}}), None),
    ("generate_content", gemini({"inlineData": {"mimeType": "image/png", "data": "AA=="}}), None),
    ("generate_content", gemini({"text": "O"}, ended="MAX_TOKENS"), "truncated"),
    ("generate_content", gemini(ended="SAFETY"), "refused"),
    ("generate_content", gemini(ended="MALFORMED_FUNCTION_CALL"), "invalid_json"),
    ("generate_content", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "refused"),
    ("stream_generate_content", gemini(ended="RECITATION"), "refused"),
    ("embeddings", {"data": []}, None),
]


@pytest.mark.parametrize(("operation", "answer", "found"), FINDINGS)
def test_what_an_answer_states_is_what_counts(operation: str, answer: dict[str, Any], found: str | None) -> None:
    assert shortcoming_of(ALL, choices_of(operation, answer), FREELY, cut_by_caller=False) == found


@pytest.mark.parametrize("kind", ["invalid_json", "refused", "truncated", "empty"])
def test_only_what_the_policy_names_is_looked_at(kind: str) -> None:
    garbled = chat(None, "tool_calls", tool_calls=calling("{"))
    answers = {"invalid_json": garbled, "refused": chat(refusal="No."), "truncated": chat("O", "length"), "empty": chat("")}
    others = Checks(when=ALL.when - {kind})
    assert shortcoming_of(others, choices_of("chat", answers[kind]), FREELY, cut_by_caller=False) is None
    assert shortcoming_of(ALL, choices_of("chat", answers[kind]), FREELY, cut_by_caller=False) == kind


FORM = {"type": "json_schema", "json_schema": {"name": "sheet", "schema": TITLED}}
FLAT = {"type": "json_schema", "name": "sheet", "schema": TITLED}
OWN = {"type": "OBJECT", "required": ["title"], "properties": {"title": {"type": "STRING", "nullable": True}}}
BOOK = {"book": TITLED}
REQUESTS: list[tuple[str, dict[str, Any], Wanted]] = [
    ("chat", {}, FREELY),
    ("chat", {"response_format": {"type": "text"}}, FREELY),
    ("chat", {"response_format": {"type": "json_object"}}, Wanted(json=True)),
    ("chat", {"response_format": FORM}, Wanted(json=True, schema=TITLED)),
    ("completions", {"response_format": FORM}, Wanted(json=True, schema=TITLED)),
    (
        "chat",
        {"tools": [{"type": "function", "function": {"name": "book", "strict": True, "parameters": TITLED}}]},
        Wanted(functions=BOOK),
    ),
    ("chat", {"tools": [{"type": "function", "function": {"name": "book", "parameters": TITLED}}]}, FREELY),
    ("responses", {"text": {"format": FLAT}}, Wanted(json=True, schema=TITLED)),
    (
        "responses",
        {"tools": [{"type": "function", "name": "book", "strict": True, "parameters": TITLED}]},
        Wanted(functions=BOOK),
    ),
    ("messages", {"output_config": {"format": {"type": "json_schema", "schema": TITLED}}}, Wanted(json=True, schema=TITLED)),
    ("messages", {"output_format": {"type": "json_schema", "schema": TITLED}}, Wanted(json=True, schema=TITLED)),
    ("generate_content", {"generationConfig": {"responseMimeType": "application/json"}}, Wanted(json=True)),
    ("generate_content", {"generation_config": {"response_mime_type": "text/plain"}}, FREELY),
    (
        "generate_content",
        {"generationConfig": {"responseMimeType": "application/json", "responseSchema": OWN}},
        Wanted(json=True, schema={"type": "object", "required": ["title"], "properties": {"title": {"type": ["string", "null"]}}}),
    ),
    (
        "stream_generate_content",
        {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": TITLED}},
        Wanted(json=True, schema=TITLED),
    ),
    ("chat", {"response_format": "json"}, FREELY),
]


@pytest.mark.parametrize(("operation", "request_body", "wanted"), REQUESTS)
def test_what_a_request_wants_is_read_in_its_own_dialect(operation: str, request_body: dict[str, Any], wanted: Wanted) -> None:
    assert wanted_by(operation, request_body) == wanted


@pytest.mark.parametrize(
    ("text", "wanted", "is_short"),
    [
        ('{"title": "x"}', Wanted(json=True, schema=TITLED), False),
        ('{"name": "x"}', Wanted(json=True, schema=TITLED), True),
        ('{"title": 1}', Wanted(json=True, schema=TITLED), True),
        ('```json\n{"title": "x"}\n```', Wanted(json=True), True),
        ("Sure! Here it is", Wanted(json=True), True),
        ("NaN", Wanted(json=True), True),
        ("[" * 100_000, Wanted(json=True), True),
        ("Sure! Here it is", FREELY, False),
    ],
)
def test_text_is_held_against_the_form_that_was_asked_for(text: str, wanted: Wanted, is_short: bool) -> None:
    found = shortcoming_of(ALL, (Written(text=text),), wanted, cut_by_caller=False)
    assert found == ("invalid_json" if is_short else None)


def test_a_call_of_a_strict_function_is_held_against_its_parameters() -> None:
    wanted = Wanted(functions={"book": TITLED})
    for arguments, found in (('{"title": "x"}', None), ('{"name": 1}', "invalid_json")):
        choice = Written(calls=(("book", arguments),), does=True)
        assert shortcoming_of(ALL, (choice,), wanted, cut_by_caller=False) == found
        assert shortcoming_of(ALL, (Written(calls=(("other", arguments),), does=True),), wanted, cut_by_caller=False) is None


def test_an_answer_that_calls_a_function_need_not_be_json_besides() -> None:
    choice = Written(calls=(("book", "{}"),), does=True)
    assert shortcoming_of(ALL, (choice,), Wanted(json=True), cut_by_caller=False) is None


def test_what_the_callers_own_limit_cut_is_no_shortcoming_but_a_refusal_is() -> None:
    checks = Checks(when=ALL.when, must_match=compiled("end$"))
    cut = Written(text='{"a": ', cut=True)
    assert shortcoming_of(checks, (cut,), Wanted(json=True), cut_by_caller=True) is None
    assert shortcoming_of(checks, (cut,), Wanted(json=True), cut_by_caller=False) == "truncated"
    assert shortcoming_of(checks, (Written(cut=True, refused=True),), FREELY, cut_by_caller=True) == "refused"


@pytest.mark.parametrize(
    ("limit", "sent", "output", "choices", "is_callers"),
    [
        (None, None, 4096, 1, False),
        (None, 200, 200, 1, False),
        (300, 200, 200, 1, False),
        (300, 300, 300, 1, True),
        (300, 300, 299, 1, True),
        (300, 300, 150, 1, False),
        (300, 300, None, 1, True),
        (300, 300, 310, 2, True),
    ],
)
def test_whose_limit_cut_an_answer(limit: int | None, sent: int | None, output: int | None, choices: int, is_callers: bool) -> None:
    assert is_callers_cut(limit, sent, output, choices) is is_callers


def test_an_expression_must_be_found_in_the_text() -> None:
    checks = Checks(when=frozenset(), must_match=compiled("(?i)merino"))
    assert shortcoming_of(checks, (Written(text="A Merino jumper"),), FREELY, cut_by_caller=False) is None
    assert shortcoming_of(checks, (Written(text="A jumper"),), FREELY, cut_by_caller=False) == "must_match"
    assert shortcoming_of(checks, (Written(does=True),), FREELY, cut_by_caller=False) is None


def test_an_expression_that_never_ends_is_given_up_and_says_nothing() -> None:
    checks = Checks(when=frozenset(), must_match=compiled(r"(a|aa)+$"))
    text = "a" * 60 + "b"
    begun = time.perf_counter()
    assert holds(compiled(r"(a|aa)+$"), text) is None
    assert shortcoming_of(checks, (Written(text=text),), FREELY, cut_by_caller=False) is None
    assert time.perf_counter() - begun < 5


def test_only_the_beginning_of_a_text_is_searched() -> None:
    assert holds(compiled("end"), "x" * MOST_CHARACTERS + "end") is False
    assert holds(compiled("x$"), "x" * MOST_CHARACTERS + "end") is True


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"type": "nothing"},
        {"pattern": "("},
        {"$ref": "#"},
        {"patternProperties": {"^(a+)+$": False}},
        {"$defs": {**{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "d40": {}}, "$ref": "#/$defs/d0"},
    ],
    ids=["remote", "file", "missing", "type", "pattern", "endless", "unbound", "bomb"],
)
def test_a_schema_that_cannot_be_used_counts_against_nobody(schema: dict[str, Any]) -> None:
    begun = time.perf_counter()
    assert fits(schema, {"a": 1}, 8)
    assert time.perf_counter() - begun < 20


def test_references_within_a_schema_are_followed() -> None:
    schema = {"$defs": {"name": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/name"}}}
    assert fits(schema, {"a": "x"}, 8)
    assert not fits(schema, {"a": 1}, 8)
    assert not fits({"pattern": "^x"}, "a", 1)
    assert not fits({"uniqueItems": True}, [1, 1], 5)


def event(payload: dict[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(payload).encode() + b"\n\n"


CHAT_STREAM = b": hi\n\n" + b"".join(
    event({"choices": [choice]})
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": ""}},
        {"index": 0, "delta": {"content": '{"ti'}},
        {"index": 0, "delta": {"content": 'tle": "x"}'}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "book", "arguments": '{"a"'}}]}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}},
        {"index": 0, "delta": {}, "finish_reason": "length"},
    )
)
STREAMS: list[tuple[str, bytes, Written]] = [
    ("chat", CHAT_STREAM + b"data: [DONE]\n\n", Written(text='{"title": "x"}', calls=(("book", '{"a": 1}'),), does=True, cut=True)),
    ("chat", event({"choices": [{"index": 0, "delta": {"refusal": "No"}}]}), Written(refused=True)),
    (
        "completions",
        event({"choices": [{"text": "Hi"}]}) + event({"choices": [{"text": "!", "finish_reason": "stop"}]}),
        Written(text="Hi!"),
    ),
    (
        "responses",
        event({"type": "response.output_text.delta", "delta": "H"})
        + event({"type": "response.completed", "response": responses(said("Hi"))}),
        Written(text="Hi"),
    ),
    (
        "messages",
        event({"type": "message_start", "message": {"content": []}}, "message_start")
        + event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        + event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})
        + event({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}),
        Written(text="Hi", cut=True),
    ),
    ("stream_generate_content", event(gemini({"text": "H"}, ended="")) + event(gemini({"text": "i"})), Written(text="Hi")),
    (
        "stream_generate_content",
        json.dumps([gemini({"text": "H"}, ended=""), gemini({"text": "i"}, ended="SAFETY")]).encode(),
        Written(text="Hi", refused=True),
    ),
]


@pytest.mark.parametrize(("operation", "stream", "written"), STREAMS)
def test_a_stream_amounts_to_the_answer_that_it_would_have_been(operation: str, stream: bytes, written: Written) -> None:
    assert choices_of(operation, gathered(operation, stream)) == (written,)
    assert choices_of(operation, gathered(operation, stream.replace(b"\n", b"\r\n"))) == (written,)


def test_a_stream_that_holds_nothing_says_nothing() -> None:
    assert gathered("chat", b"") is None
    assert gathered("responses", event({"type": "response.created"})) is None
    assert choices_of("chat", None) == ()


_NAMES = {
    *("choices", "message", "delta", "content", "text", "type", "output", "candidates", "parts", "tool_calls", "function", "arguments"),
    *("index", "finish_reason", "response_format", "schema", "tools", "generationConfig", "responseSchema", "type", "json_schema"),
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(_NAMES)), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(sorted(CHECKED)), _JSON, _JSON)
def test_nothing_that_comes_makes_the_check_fail(operation: str, answer: Any, request_body: Any) -> None:
    wanted = wanted_by(operation, request_body)
    shortcoming_of(ALL, choices_of(operation, answer), wanted, cut_by_caller=False)
    stream = b"".join(event(each) for each in (answer if isinstance(answer, list) else [answer]))
    shortcoming_of(ALL, choices_of(operation, gathered(operation, stream)), wanted, cut_by_caller=False)


def test_json_is_read_as_the_standard_has_it() -> None:
    assert read_json(' {"a": [1, null]} ') == (True, {"a": [1, None]})
    assert read_json("Infinity") == (False, None)
