"""Reading a provider's usage: every shape that providers write, and anything else without an exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators.usage import Usage
from proxy.meter.usage import read_usage

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens", "text_tokens", "new_tokens"]), NUMBERS
)
SHAPES = st.dictionaries(
    st.sampled_from(
        ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "prompt_cache_hit_tokens", "cost"]
    ),
    NUMBERS,
)
SUBSETS = st.dictionaries(
    st.sampled_from(["prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"]), DETAILS
)
ANYTHING = st.recursive(
    NUMBERS | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt_tokens", "input_tokens_details", "x"]), inner, max_size=3)
    ),
)


def read(document: object) -> Usage | None:
    return read_usage(json.dumps(document).encode())


@given(SHAPES, SUBSETS)
def test_no_subset_ever_exceeds_its_total(counts: dict[str, Any], details: dict[str, Any]) -> None:
    usage = read({**counts, **details})
    named = [counts.get(name) for name in ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")]
    assert (usage is None) == all(count is None for count in named)
    if usage is not None:
        assert 0 <= usage.cached_input_tokens <= usage.input_tokens
        assert 0 <= usage.image_input_tokens + usage.audio_input_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_output_tokens + usage.audio_output_tokens <= usage.output_tokens
        assert (usage.source, usage.partial) == ("provider", False)


@given(ANYTHING)
def test_no_json_makes_it_fail(document: object) -> None:
    usage = read(document)
    assert usage is None or usage.input_tokens >= 0


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    assert read_usage(raw) is None or raw.lstrip()[:1] == b"{"


def test_deep_nesting_does_not_make_it_fail() -> None:
    deep = b'{"prompt_tokens":3,"completion_tokens":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    usage = read_usage(deep)
    assert usage is None or usage.input_tokens == 3


@pytest.mark.parametrize("raw", ["null", "7", "[]", '"x"', "{}", '{"total_tokens":5}', '{"prompt_tokens":"5"}', '{"prompt_tokens":true}'])
def test_what_names_no_count_is_no_usage(raw: str) -> None:
    assert read_usage(raw.encode()) is None


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0, "rejected_prediction_tokens": 0},
        },
        {"input_tokens": 2006, "cached_input_tokens": 1920, "output_tokens": 300, "reasoning_output_tokens": 192},
    ),
    "embeddings": ({"prompt_tokens": 8, "total_tokens": 8}, {"input_tokens": 8}),
    "responses": (
        {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 6},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 7},
            "total_tokens": 123,
        },
        {"input_tokens": 36, "cached_input_tokens": 6, "output_tokens": 87, "reasoning_output_tokens": 7},
    ),
    "deepseek": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
        {"input_tokens": 100, "cached_input_tokens": 64, "output_tokens": 5},
    ),
    "hidden-reasoning": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 400}, {"input_tokens": 10, "output_tokens": 390}),
    "floats": ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, {"input_tokens": 10, "output_tokens": 5}),
    "null-details": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None, "completion_tokens_details": None},
        {"input_tokens": 10, "output_tokens": 5},
    ),
    "audio": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 40,
            "prompt_tokens_details": {"audio_tokens": 30, "image_tokens": 10},
            "completion_tokens_details": {"audio_tokens": 25, "reasoning_tokens": 3},
        },
        {
            "input_tokens": 50,
            "audio_input_tokens": 30,
            "image_input_tokens": 10,
            "output_tokens": 40,
            "audio_output_tokens": 25,
            "reasoning_output_tokens": 3,
        },
    ),
    "negative": ({"prompt_tokens": -3, "completion_tokens": 5}, {"input_tokens": 0, "output_tokens": 5}),
    "liar": (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 900}},
        {"input_tokens": 5, "cached_input_tokens": 5, "output_tokens": 1},
    ),
    "unknown-details-of-another-type": (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": "none"},
        {"input_tokens": 5, "output_tokens": 1},
    ),
    "unknown-detail-of-another-type": (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": "x"}},
        {"input_tokens": 5, "output_tokens": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_dialect_is_read_into_inclusive_buckets(name: str) -> None:
    document, expected = CASES[name]
    assert read(document) == Usage(**expected, source="provider")
