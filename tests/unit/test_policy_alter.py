"""Caps in a request's bytes: never above what the caller asked for, no other byte touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policies import Apply
from config.settings import Settings
from config.tables import load_tables
from proxy.policy.alter import altered
from proxy.policy.candidates import Candidate, candidates_from

ROWS = [{"provider": name, "api_base": "https://x.example/v1", "api_key": "k"} for name in ("openai", "mistral")]
OPENAI, MISTRAL = candidates_from(Settings.model_validate({"models": {"a": {"deployments": ROWS}}}), load_tables().places).of("a")


def change(body: bytes, operation: str = "chat", candidate: Candidate = OPENAI, model: str = "gpt-4o", **caps: object) -> tuple[bytes, str]:
    return altered(body, Apply.model_validate(caps), operation, candidate, model)


numbers = st.none() | st.booleans() | st.integers(-5, 10_000) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)


@given(
    st.dictionaries(st.sampled_from(["max_tokens", "max_completion_tokens", "n", "messages", "é"]), numbers, min_size=1),
    st.none() | st.integers(1, 2000),
    st.none() | st.integers(1, 8),
    st.sampled_from([OPENAI, MISTRAL]),
)
def test_no_number_is_raised_and_nothing_else_changes(
    asked: dict[str, object], most: int | None, choices: int | None, candidate: Candidate
) -> None:
    body = json.dumps(asked).encode()
    left, names = change(body, candidate=candidate, max_output_tokens=most, n_at_most=choices)
    found = json.loads(left)
    for name, value in asked.items():
        cap = choices if name == "n" else most if name.startswith("max_") else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if cap is not None and is_number and value > cap:  # type: ignore[operator]  # it is a number
            assert found[name] == cap
        elif value is not None:
            assert found[name] == value
    assert set(found) - set(asked) <= {"max_tokens", "max_completion_tokens"}
    assert (left == body) == (names == "")
    assert change(left, candidate=candidate, max_output_tokens=most, n_at_most=choices)[0] == left


@pytest.mark.parametrize(
    ("operation", "candidate", "body", "expected"),
    [
        ("chat", OPENAI, b'{"messages":[]}', b'{"max_completion_tokens":9,"messages":[]}'),
        ("chat", MISTRAL, b'{"messages":[]}', b'{"max_tokens":9,"messages":[]}'),
        ("chat", MISTRAL, b'{"max_completion_tokens":50,"max_tokens":40}', b'{"max_completion_tokens":9,"max_tokens":9}'),
        ("completions", OPENAI, b'{"prompt":""}', b'{"max_tokens":9,"prompt":""}'),
        ("responses", OPENAI, b'{"input":""}', b'{"max_output_tokens":9,"input":""}'),
        ("messages", OPENAI, b'{"max_tokens":1024}', b'{"max_tokens":9}'),
        ("embeddings", OPENAI, b'{"input":""}', b'{"input":""}'),
        ("generate_content", OPENAI, b'{"contents":[]}', b'{"generationConfig":{"maxOutputTokens":9},"contents":[]}'),
        ("generate_content", OPENAI, b'{"generationConfig": {} }', b'{"generationConfig": {"maxOutputTokens":9} }'),
        ("stream_generate_content", OPENAI, b'{"generationConfig":{"topK":1}}', b'{"generationConfig":{"maxOutputTokens":9,"topK":1}}'),
        ("generate_content", OPENAI, b'{"generation_config":{"max_output_tokens": 50}}', b'{"generation_config":{"max_output_tokens": 9}}'),
        ("generate_content", OPENAI, b'{"generationConfig":{"maxOutputTokens":5}}', b'{"generationConfig":{"maxOutputTokens":5}}'),
        ("generate_content", OPENAI, b'{"generationConfig":{},"generation_config":{}}', b'{"generationConfig":{},"generation_config":{}}'),
        ("generate_content", OPENAI, b'{"generationConfig":null}', b'{"generationConfig":null}'),
        ("chat", OPENAI, b'{"max_tokens":50,"max_tokens":60}', b'{"max_tokens":50,"max_tokens":60}'),
        ("chat", OPENAI, b'{"max_tokens":"50"}', b'{"max_tokens":"50"}'),
        ("messages", OPENAI, b'{"max_tokens":2048,"thinking":{"budget_tokens":8}}', b'{"max_tokens":9,"thinking":{"budget_tokens":8}}'),
    ],
)
def test_the_limit_goes_where_the_operation_and_the_provider_look_for_it(
    operation: str, candidate: Candidate, body: bytes, expected: bytes
) -> None:
    assert change(body, operation, candidate, max_output_tokens=9)[0] == expected


@pytest.mark.parametrize(
    ("asked", "model", "cap", "expected"),
    [
        ("high", "gpt-image-1", "low", "low"),
        ("low", "gpt-image-1", "medium", "low"),
        (None, "gpt-image-1", "medium", "medium"),
        ("auto", "gpt-image-1", "standard", "medium"),
        (None, "dall-e-3", "low", None),
        ("hd", "dall-e-3", "low", "standard"),
        ("standard", "dall-e-3", "low", "standard"),
        ("exquisite", "dall-e-3", "low", "exquisite"),
    ],
)
def test_how_fine_a_picture_is_is_capped_in_the_models_own_words(asked: str | None, model: str, cap: str, expected: str | None) -> None:
    body = json.dumps({"prompt": "x"} | ({} if asked is None else {"quality": asked})).encode()
    left, names = change(body, "images", model=model, image_quality_at_most=cap)
    assert json.loads(left).get("quality") == expected
    assert names == ("" if expected == asked else "quality")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("1536x1024", "1024x1024"), ("1024x1024", "1024x1024"), ("512x512", "512x512"), ("auto", "1024x1024"), ("huge", "huge"), (7, 7)],
)
def test_how_large_a_picture_is_is_capped(asked: object, expected: object) -> None:
    left, _ = change(json.dumps({"size": asked}).encode(), "images", model="gpt-image-1", image_size_at_most="1024x1024")
    assert json.loads(left)["size"] == expected


def test_pictures_are_not_capped_in_other_calls() -> None:
    body = b'{"size":"1536x1024","quality":"high","n":4}'
    assert change(body, "embeddings", image_size_at_most="256x256", image_quality_at_most="low", n_at_most=1) == (body, "")


@pytest.mark.parametrize("budget", [9, 1024])
@pytest.mark.parametrize(("operation", "name", "inner"), [("messages", "thinking", "budget_tokens"), ("chat", "reasoning", "max_tokens")])
def test_a_limit_is_left_alone_where_the_thoughts_that_are_asked_for_would_not_fit_into_the_cap(
    operation: str, name: str, inner: str, budget: int
) -> None:
    body = json.dumps({"max_tokens": 2048, name: {inner: budget}}).encode()
    assert change(body, operation, max_output_tokens=9) == (body, "")
