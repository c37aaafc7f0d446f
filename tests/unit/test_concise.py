"""The line that asks for a short answer: in the caller's language, spliced in, and nowhere that it could break an answer's form."""

import copy
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.concise import LINES, concise, last_words
from proxy.policy.language import LANGUAGES, language_of, language_of_market

SPOKEN = {
    "en": ("Describe a merino jumper.", "Tagline for summer shoes", "Make it shorter and warmer"),
    "fr": ("Décris un pull en mérinos.", "Slogan pour des chaussures d'été", "Plus court et plus chaleureux"),
    "de": ("Beschreibe einen Merinopullover.", "Ein Werbespruch für Sommerschuhe", "Kürzer und wärmer bitte"),
    "es": ("Describe un jersey de merino.", "Un eslogan para zapatos de verano", "Más corto y más cálido"),
    "it": ("Descrivi un maglione di lana merino.", "Uno slogan per scarpe estive", "Più corto e più caldo"),
    "pt": ("Descreve uma camisola de lã merino.", "Um slogan para sapatos de verão", "Mais curto e mais caloroso"),
    "nl": ("Beschrijf een merino trui.", "Een slogan voor zomerschoenen", "Korter en warmer graag"),
}
EN = LINES["en"]
USER = {"role": "user", "content": "Describe a merino jumper."}


@pytest.mark.parametrize(("language", "text"), [(language, text) for language, texts in SPOKEN.items() for text in texts])
def test_the_language_of_short_briefs_is_told(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "market", "language"),
    [
        ("", None, "en"),
        ("12 34 56", "fr", "fr"),
        ("12 34 56", "de-AT", "de"),
        ("12 34 56", "BR", "pt"),
        ("12 34 56", "be", "en"),
        ("白いセーターの説明を書いてください", "nl_BE", "nl"),
        ("Décris un pull\nen mérinos.", "de", "fr"),
    ],
)
def test_where_the_text_does_not_tell_the_market_does(text: str, market: str | None, language: str) -> None:
    assert language_of(text, market) == language


def test_there_is_a_line_in_every_language_that_is_told() -> None:
    assert set(LINES) == set(LANGUAGES)
    for language, line in LINES.items():
        assert language_of(line) == language_of_market(language) == language


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("chat", {"messages": [USER]}, {"messages": [{"role": "system", "content": EN}, USER]}),
    (
        "chat",
        {"messages": [{"role": "developer", "content": "Be kind."}, USER]},
        {"messages": [{"role": "developer", "content": f"Be kind.\n\n{EN}"}, USER]},
    ),
    (
        "chat",
        {"messages": [USER, {"content": [{"type": "text", "text": "a"}], "role": "system"}]},
        {"messages": [USER, {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": EN}], "role": "system"}]},
    ),
    ("chat", {"messages": [{"role": "system", "content": ""}, USER]}, {"messages": [{"role": "system", "content": EN}, USER]}),
    ("responses", {"input": "Describe a merino jumper."}, {"instructions": EN, "input": "Describe a merino jumper."}),
    ("responses", {"input": [USER], "instructions": None}, {"input": [USER], "instructions": EN}),
    ("responses", {"input": [USER], "instructions": "x"}, {"input": [USER], "instructions": f"x\n\n{EN}"}),
    ("messages", {"messages": [USER]}, {"system": EN, "messages": [USER]}),
    ("messages", {"messages": [USER], "system": "x"}, {"messages": [USER], "system": f"x\n\n{EN}"}),
    (
        "messages",
        {"messages": [USER], "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {
            "messages": [USER],
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": EN}],
        },
    ),
    (
        "generate_content",
        {"contents": [{"parts": [{"text": "Describe a merino jumper."}]}]},
        {"systemInstruction": {"parts": [{"text": EN}]}, "contents": [{"parts": [{"text": "Describe a merino jumper."}]}]},
    ),
    (
        "stream_generate_content",
        {"contents": [USER], "system_instruction": {"parts": [{"text": "x"}]}},
        {"contents": [USER], "system_instruction": {"parts": [{"text": "x"}, {"text": EN}]}},
    ),
]


@pytest.mark.parametrize(("operation", "asked", "expected"), CASES)
def test_the_line_stands_where_the_dialect_has_its_instructions(operation: str, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    left = concise(json.dumps({"model": "m", **asked}).encode(), operation)
    assert json.loads(left) == {"model": "m", **expected}
    assert concise(left, operation) is left


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("chat", {"messages": [USER], "response_format": SCHEMA}),
        ("chat", {"messages": [USER], "response_format": {"type": "json_object"}}),
        ("chat", {"messages": [USER], "tools": [{"type": "function"}]}),
        ("chat", {"messages": [USER], "functions": [{"name": "f"}]}),
        ("chat", {"messages": []}),
        ("chat", {"messages": "hello"}),
        ("chat", {"messages": [{"role": "system", "content": None}, USER]}),
        ("responses", {"input": "a", "text": {"format": {"type": "json_schema"}}}),
        ("responses", {"input": "a", "tools": [{"type": "web_search"}]}),
        ("responses", {"input": "a", "prompt": {"id": "pmpt_1"}}),
        ("messages", {"messages": [USER], "tools": [{"name": "f"}]}),
        ("messages", {"messages": [USER], "output_config": {"format": {"type": "json_schema"}}}),
        ("generate_content", {"contents": [USER], "generationConfig": {"responseMimeType": "application/json"}}),
        ("generate_content", {"contents": [USER], "generation_config": {"response_schema": {"type": "OBJECT"}}}),
        ("generate_content", {"contents": [USER], "tools": [{"googleSearch": {}}]}),
        ("generate_content", {"contents": [USER], "cachedContent": "cachedContents/1"}),
        ("completions", {"prompt": "a"}),
        ("embeddings", {"input": "a"}),
        ("images", {"prompt": "a"}),
    ],
)
def test_an_answer_with_a_form_of_its_own_is_left_alone(operation: str, asked: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", **asked}).encode()
    assert concise(body, operation) is body


@pytest.mark.parametrize(
    "asked",
    [
        {"response_format": {"type": "text"}, "tools": [], "functions": None},
        {"response_format": None, "max_tokens": 5},
    ],
)
def test_a_form_that_is_named_and_not_asked_for_does_not_matter(asked: dict[str, Any]) -> None:
    assert EN in concise(json.dumps({"messages": [USER], **asked}).encode(), "chat").decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"messages":',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user"}],"messages":[{"role":"user"}]}',
        b'{"messages":[{"role":"system","content":"a","content":"b"}]}',
    ],
)
def test_what_cannot_be_read_or_says_it_twice_is_left_alone(body: bytes) -> None:
    assert concise(body, "chat") is body


texts = st.sampled_from([text for spoken in SPOKEN.values() for text in spoken]) | st.text(max_size=30)
values = st.recursive(st.none() | st.booleans() | st.integers(-99, 99) | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
parts = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
turns = st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": texts | st.lists(parts)})
fields = st.dictionaries(st.sampled_from(["seed", "é", "stop", "metadata"]), values, max_size=3)


@given(st.lists(turns, max_size=4), fields, st.sampled_from([None, 1]), st.booleans())
def test_nothing_is_lost_and_nothing_but_the_line_is_added(
    asked: list[dict[str, Any]], others: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps({"model": "m", "messages": asked, **others}, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    left = concise(body, "chat")
    if left is body:
        return
    line = next(line for line in LINES.values() if line.encode() in left)
    assert _less_one_piece(left, body), "bytes that were there are gone"
    found, expected = json.loads(left), copy.deepcopy(json.loads(body))
    system = next((turn for turn in expected["messages"] if turn["role"] in ("system", "developer")), None)
    if system is None:
        expected["messages"].insert(0, {"role": "system", "content": line})
    elif isinstance(system["content"], str):
        system["content"] = f"{system['content']}\n\n{line}" if system["content"] else line
    else:
        system["content"].append({"type": "text", "text": line})
    assert found == expected


def _less_one_piece(longer: bytes, shorter: bytes) -> bool:
    """True when taking one run of bytes out of `longer` leaves `shorter`."""
    head = next((i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if a != b), len(shorter))
    tail = len(shorter) - head
    return tail == 0 or longer.endswith(shorter[head:])


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text(max_size=40))
def test_instructions_keep_every_character(told: str, said: str) -> None:
    body = json.dumps({"instructions": told, "input": said}).encode()
    found = json.loads(concise(body, "responses"))
    assert found["input"] == said
    assert found["instructions"].startswith(told)


def test_the_last_words_are_those_of_the_user() -> None:
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert last_words(json.dumps(said).encode()) == "a"
    assert last_words(b'"c"') == "c"
    assert last_words(b"") == ""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    assert last_words(json.dumps([{"role": "user", "content": [picture, {"type": "text", "text": "d"}]}]).encode()).strip() == "d"


def test_without_a_policy_that_asks_for_it_no_detector_is_loaded() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, proxy.app; print([name for name in sys.modules if 'langdetect' in name])"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "[]"
