"""How many tokens a picture counts, family by family: the published rules and what others measured."""

import base64
import json
from typing import Any

import pytest

from proxy.endpoints import ENDPOINT_BY_PATH
from proxy.endpoints.drawn import drawn_tokens
from proxy.endpoints.parse import parse
from proxy.meter.fallback import count_prompt
from proxy.meter.picture_tokens import picture_tokens
from proxy.simulate.picture import draw


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        ("gpt-4o", 1024, 1024, "high", 765), ("gpt-4o", 2048, 4096, "high", 1105), ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4.1", 1024, 1024, None, 765), ("gpt-4.5-preview", 512, 512, "auto", 255),
        ("gpt-4o-mini", 1024, 1024, "low", 2833), ("gpt-4o-mini", 512, 512, "high", 8500),
        ("gpt-5", 1024, 1024, None, 630), ("gpt-5.1", 1024, 1024, "low", 70), ("o1", 1024, 1024, None, 675), ("o3", 100, 100, "low", 75),
        ("computer-use-preview", 512, 512, None, 194),
        ("gpt-4.1-mini", 1024, 1024, "low", 1659), ("gpt-4.1-nano", 1024, 1024, None, 2520), ("o4-mini", 1024, 1024, None, 1762),
        ("gpt-4.1-mini", 1800, 2400, None, 2353),
        ("gpt-5-mini", 1024, 1024, None, 1229), ("gpt-5-nano", 1024, 1024, None, 1536), ("gpt-5.2", 1024, 1024, None, 1229),
        ("gpt-5.5", 4032, 3024, "high", 2942), ("gpt-5.5", 4032, 3024, "original", 11868), ("gpt-6", 4032, 3024, "original", 14364),
        ("claude-sonnet-4-5", 1092, 1092, None, 1590), ("claude-3-5-sonnet", 4032, 3024, None, 1600),
        ("claude-3-haiku", 200, 200, None, 54),
        ("claude-opus-4-7", 3840, 2160, None, 4784), ("claude-opus-4-7", 560, 560, None, 400),
        ("gemini-2.5-flash", 384, 384, None, 258), ("gemini-2.5-flash", 1024, 1024, None, 1032), ("gemini-3-pro", 300, 300, "low", 280),
    ],
)  # fmt: skip
def test_a_picture_has_the_tokens_that_its_family_counts(model: str, width: int, height: int, detail: str | None, tokens: int) -> None:
    assert picture_tokens(model, width, height, detail) == tokens
    assert picture_tokens(f"vendor/{model}-2026-01-01", width, height, detail) == tokens


def test_what_others_measured_is_met_within_three_percent() -> None:
    assert picture_tokens("claude-opus-4-7", 4032, 3024) == pytest.approx(4005, rel=0.03)
    assert 1065 <= picture_tokens("gemini-3-pro", 4032, 3024) <= 1101


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-mini", "claude-opus-4-7", "gemini-3-pro", "house-model"])
def test_a_picture_of_unknown_size_counts_as_a_square(model: str) -> None:
    assert picture_tokens(model, None, None) == picture_tokens(model, 1024, 1024)


def test_odd_sides_never_count_less_than_a_token() -> None:
    for model in ("gpt-4o", "gpt-6", "gpt-5-mini", "claude-3-opus", "claude-5", "gemini-2.0-flash", "qwen2-vl", "pixtral"):
        for size in ((1, 1), (1, 100_000), (100_000, 1)):
            assert picture_tokens(model, *size, "high") >= 1


@pytest.mark.parametrize(
    ("quality", "size", "tokens"),
    [
        ("low", (1024, 1024), 272), ("medium", (1024, 1536), 1584), ("high", (1536, 1024), 6208), ("auto", (1024, 1024), None),
        ("low", (512, 512), None),
    ],
)  # fmt: skip
def test_a_drawn_picture_has_the_tokens_of_its_quality_and_size(quality: str, size: tuple[int, int], tokens: int | None) -> None:
    assert drawn_tokens("gpt-image-1.5", quality, *size) == tokens
    assert drawn_tokens("gpt-image-2", quality, *size) is None


def asked(endpoint: str, **body: Any) -> Any:
    return count_prompt(parse(ENDPOINT_BY_PATH[endpoint], json.dumps(body).encode()))


def test_inlined_pictures_are_counted_by_their_own_size_and_addresses_by_the_usual_one() -> None:
    inlined = "data:image/png;base64," + base64.b64encode(draw("input", 512, 512)).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": inlined}},
        {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}},
    ]
    usage = asked("/v1/chat/completions", model="gpt-4o", messages=[{"role": "user", "content": parts}])
    assert (usage.image_input_tokens, usage.input_images) == (255 + 85, 2)
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": inlined}, {"type": "input_image", "file_id": "file-1"}]}]
    usage = asked("/v1/responses", model="gpt-4o", input=items)
    assert (usage.image_input_tokens, usage.input_images) == (255 + 765, 2)
    source = {"type": "base64", "media_type": "image/png", "data": inlined.split(",")[1]}
    usage = asked("/v1/messages", model="claude-sonnet-4-5", messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert usage.image_input_tokens == 350  # 512 x 512 / 750
