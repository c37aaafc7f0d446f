"""The model catalogue and the ways that names lead into it. It must never let a name fail, nor an unknown one look certain."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.catalogue import REMEMBERED_NAMES, Catalogue
from config.model_class import ModelClasses
from config.model_name import key_of, named_size, place_in_name
from config.tables import load_tables

CATALOGUE = load_tables().catalogue
CARDS = {card.id: card for card in CATALOGUE.cards()}


def test_the_catalogue_holds_the_models_people_call() -> None:
    assert len(CARDS) >= 90
    assert {"openai", "anthropic", "google", "mistral", "meta", "deepseek", "qwen", "cohere", "amazon", "xai", "microsoft"} <= {
        card.vendor for card in CARDS.values()
    }
    for operation in ("chat", "completions", "embeddings", "images", "audio"):
        assert any(operation in card.operations for card in CARDS.values()), operation


def test_every_card_states_sizes_that_can_be() -> None:
    for card in CARDS.values():
        assert 0.01 < card.total_params_b.value < 10_000, card
        assert card.active_params_b.value <= card.total_params_b.value, card
        assert card.source, card
        assert card.url.startswith("https://"), card
        assert card.as_of.startswith("2026-"), card
        if card.size_basis == "exact":
            assert card.open_weights, card
            assert card.total_params_b.low == card.total_params_b.high, card
        else:
            assert card.note, f"{card.id}: a size that is not published needs its reason"


def test_an_inferred_size_is_tier_d_and_wide() -> None:
    inferred = [card for card in CARDS.values() if card.size_basis == "inferred"]
    assert len(inferred) > 50
    for card in inferred:
        assert card.tier == "D", card
        assert not card.open_weights, card
        assert card.active_params_b.high / card.active_params_b.low > 6, card


RESOLVED = [
    ("gpt-4o", "exact", "gpt-4o"),
    ("GPT-4o", "alias", "gpt-4o"),
    ("gpt-4o-2024-11-20", "dated", "gpt-4o"),
    ("gpt-4.1-mini-2025-04-14", "dated", "gpt-4.1-mini"),
    ("gpt-35-turbo", "alias", "gpt-3.5-turbo"),
    ("claude-sonnet-4-5-20250929", "dated", "claude-sonnet-4-5"),
    ("anthropic/claude-3.5-sonnet", "alias", "claude-3-5-sonnet"),
    ("mistral-large-latest", "alias", "mistral-large-3"),
    ("mistral-large-2407", "alias", "mistral-large-2"),
    ("azure/gpt-4o-mini", "alias", "gpt-4o-mini"),
    ("azure/eu/gpt-4o-2024-08-06", "dated", "gpt-4o"),
    ("openai/gpt-5-nano", "alias", "gpt-5-nano"),
    ("bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "dated", "claude-sonnet-4-5"),
    ("bedrock/eu-north-1/deepseek.v3.2", "alias", "deepseek-v3.2"),
    ("arn:aws:bedrock:eu-west-3:1:inference-profile/eu.anthropic.claude-opus-4-6-v1", "dated", "claude-opus-4-6"),
    ("anthropic.claude-v2:1", "alias", "claude-2"),
    ("amazon.titan-embed-text-v2:0", "alias", "titan-embed-text-v2"),
    ("amazon.nova-micro-v1:0", "dated", "nova-micro"),
    ("deepseek.r1-v1:0", "dated", "deepseek-r1"),
    ("mistral.mixtral-8x7b-instruct-v0:1", "dated", "mixtral-8x7b"),
    ("openai.gpt-oss-120b-1:0", "alias", "gpt-oss-120b"),
    ("vertex_ai/claude-opus-4-5@20251101", "alias", "claude-opus-4-5"),
    ("vertex_ai/meta/llama-3.3-70b-instruct-maas", "alias", "llama-3.3-70b"),
    ("meta-llama/Llama-3.1-8B-Instruct", "alias", "llama-3.1-8b"),
    ("meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", "alias", "llama-3.1-70b"),
    ("accounts/fireworks/models/llama-v3p1-8b-instruct", "alias", "llama-3.1-8b"),
    ("@cf/meta/llama-3.1-8b-instruct-fp8", "alias", "llama-3.1-8b"),
    ("openrouter/meta-llama/llama-3.1-8b-instruct:free", "alias", "llama-3.1-8b"),
    ("ft:gpt-4o-mini:org::id", "alias", "gpt-4o-mini"),
    ("ft:gpt-4o-mini-2024-07-18:org:name:id", "dated", "gpt-4o-mini"),
    ("llama3.1:8b", "alias", "llama-3.1-8b"),
    ("llama3.1:70b-instruct-q4_K_M", "alias", "llama-3.1-70b"),
    ("gemma3:27b", "alias", "gemma-3-27b"),
    ("deepseek-r1:70b", "alias", "deepseek-r1-distill-llama-70b"),
    ("Qwen/Qwen3-30B-A3B-Instruct-2507", "dated", "qwen3-30b-a3b"),
    ("gemini/gemini-2.5-flash-lite", "alias", "gemini-2.5-flash-lite"),
    ("models/gemini-2.5-flash-preview-05-20", "dated", "gemini-2.5-flash"),
    ("text-embedding-3-small", "exact", "text-embedding-3-small"),
    ("nomic-embed-text:latest", "alias", "nomic-embed-text-v1.5"),
    ("deepseek/deepseek-chat-v3-0324:free", "alias", "deepseek-v3"),
    ("deepseek/deepseek-chat-v3.1", "alias", "deepseek-v3.1"),
    ("mistral-small-2409", "exact", "mistral-small-2409"),
    ("codestral-2405", "alias", "codestral-22b"),
    ("codestral-2501", "dated", "codestral"),
    ("open-codestral-mamba", "alias", "codestral-mamba"),
    ("mistral-saba-2502", "dated", "mistral-saba"),
    ("google/gemini-pro-1.5", "alias", "gemini-1.5-pro"),
    ("google/gemini-flash-1.5-8b", "alias", "gemini-1.5-flash-8b"),
    ("text-moderation-latest", "alias", "text-moderation-007"),
    ("amazon.titan-image-generator-v2:0", "alias", "titan-image-generator-v2"),
    ("luma.ray-v2:0", "alias", "luma-ray-2"),
    ("deepseek-r1:1.5b", "alias", "deepseek-r1-distill-qwen-1.5b"),
    ("gpt-oss:latest", "alias", "gpt-oss-20b"),
    ("mxbai-embed-large:335m", "alias", "mxbai-embed-large-v1"),
    ("aws_polly/neural", "alias", "polly-neural"),
    ("gpt-4-1106-vision-preview", "alias", "gpt-4-turbo"),
    ("sim-small", "alias", "llama-3.1-8b"),
    ("sim-medium", "alias", "qwen3-30b-a3b"),
    ("sim-large", "alias", "llama-3.3-70b"),
    ("sim-embed", "alias", "bge-large-en-v1.5"),
    ("sim-image-tokens", "alias", "qwen-image"),
    ("sim-moderate", "alias", "llama-guard-3-8b"),
    ("sim-transcribe-tokens", "alias", "voxtral-mini"),
]


@pytest.mark.parametrize(("name", "match", "card_id"), RESOLVED)
def test_a_known_name_in_any_spelling_finds_its_card(name: str, match: str, card_id: str) -> None:
    found = CATALOGUE.resolve(name)
    assert (found.match, found.card.id, found.warnings) == (match, card_id, ())
    assert found.card is CARDS[card_id]


@pytest.mark.parametrize(
    ("name", "card_id"), [("gpt-4o-banana", "gpt-4o"), ("claude-sonnet-4-5-experimental-build", "claude-sonnet-4-5"), ("o3:tuned", "o3")]
)
def test_an_unknown_member_of_a_known_family_is_weighed_wider_and_says_so(name: str, card_id: str) -> None:
    found = CATALOGUE.resolve(name)
    relative = CARDS[card_id]
    assert found.match == "family"
    assert found.warnings == ("model-family-assumed",)
    assert found.card.id == card_id
    assert found.card.tier == "D"
    assert found.card.size_basis == "inferred"
    assert found.card.active_params_b.low < relative.active_params_b.low
    assert found.card.active_params_b.high > relative.active_params_b.high


@pytest.mark.parametrize(
    ("name", "low_b", "high_b"),
    [
        ("gpt-9.4-mini", 1, 60),
        ("somebody/model-70b-chat", 5, 110),
        ("somebody/model-30b-a3b", 1.5, 6),
        ("somebody/model-8x7b", 4, 35),
        ("somebody/model-110m", 0.01, 0.2),
        ("qwen3.5-9b-other", 0.5, 15),
        ("deepseek-r1-distill-something-1.5b", 0.1, 2.5),
        ("claude-opus-19", 10, 500),
        ("gemini-9.9-flash", 1, 60),
        ("my-embedding-model", 0.01, 10),
        ("a-new-large-model", 10, 500),
    ],
)
def test_an_unknown_name_is_weighed_by_what_it_says_of_its_size(name: str, low_b: float, high_b: float) -> None:
    found = CATALOGUE.resolve(name)
    assert found.match == "class"
    assert found.warnings == ("model-unknown",)
    assert low_b <= found.card.active_params_b.low
    assert found.card.active_params_b.high <= high_b


def test_size_words_in_the_rest_of_a_name_keep_it_from_a_relative_of_another_size() -> None:
    small = CATALOGUE.resolve("gpt-5.5-mini").card
    large = CATALOGUE.resolve("gpt-5.5").card
    assert small.tier == "E"
    assert small.active_params_b.value < large.active_params_b.value


def test_an_unknown_embedding_model_is_an_embedding_model() -> None:
    assert CATALOGUE.resolve("acme/embed-multilingual-9").card.operations == {"embeddings"}
    assert CATALOGUE.resolve("acme/embedding-7b").card.operations == {"embeddings"}


@pytest.mark.parametrize(
    "name", ["", " ", "/", ":", "@", "ft:", "x" * 10_000, "-" * 10_000, "a-" * 5_000, "\x00\ud800", "模型", "0b", "0x0b", "0m", "a0b-1b"]
)
def test_odd_names_are_weighed_as_unknown(name: str) -> None:
    found = CATALOGUE.resolve(name)
    assert found.match == "class"
    assert found.card.tier == "E"
    assert found.warnings == ("model-unknown",)


@given(st.text(max_size=400))
def test_no_name_raises_and_none_gives_an_empty_size(name: str) -> None:
    found = CATALOGUE.resolve(name)
    assert 0 < found.card.active_params_b.low <= found.card.active_params_b.value <= found.card.active_params_b.high
    assert 0 < found.card.total_params_b.low <= found.card.total_params_b.high < math.inf
    assert found == CATALOGUE.resolve(name)


@given(
    st.lists(
        st.sampled_from(
            ["gpt", "llama", "3.1", "70b", "8x7b", "a3b", "mini", "opus", "v1:0", "@", "/", "ft:", "eu.", "2024-11-20", "embed", "p", "1"]
        ),
        max_size=12,
    ),
    st.sampled_from(["-", "/", ":", ".", ""]),
)
def test_names_made_of_real_parts_never_raise(parts: list[str], glue: str) -> None:
    found = CATALOGUE.resolve(glue.join(parts))
    assert (found.match == "class") == ("model-unknown" in found.warnings)
    assert (found.match == "class") == (found.card.tier == "E")


@given(st.text(alphabet="bcdfghjkqvwxyz", min_size=4, max_size=12))
def test_a_name_that_says_nothing_is_tier_e_and_wide(name: str) -> None:
    card = CATALOGUE.resolve(name).card
    assert card.tier == "E"
    assert card.active_params_b.high / card.active_params_b.low >= 36
    assert card.active_params_b.value <= card.total_params_b.value


def test_the_memory_of_names_is_bounded() -> None:
    catalogue = load_tables().catalogue
    for number in range(REMEMBERED_NAMES + 10):
        catalogue.resolve(f"model-{number}")
    assert len(catalogue._remembered) <= REMEMBERED_NAMES
    catalogue.resolve("y" * 10_000)
    assert all(len(name) < 10_000 for name in catalogue._remembered)


def test_a_catalogue_refuses_an_alias_that_points_nowhere_or_two_ways() -> None:
    classes = CATALOGUE._classes
    with pytest.raises(ValueError, match="unknown model"):
        Catalogue((CARDS["gpt-4o"],), {"other": "no-such"}, classes)
    with pytest.raises(ValueError, match="already means"):
        Catalogue((CARDS["gpt-4o"], CARDS["gpt-4"]), {"GPT 4o": "gpt-4"}, classes)


def test_classes_need_their_pillars() -> None:
    with pytest.raises(ValueError, match="no row of kind"):
        ModelClasses(())


@pytest.mark.parametrize(
    ("plain", "total_b", "active_b", "experts"),
    [
        ("llama-3.1-70b", 70, None, None),
        ("qwen3-30b-a3b", 30, 3, None),
        ("mixtral-8x22b", 176, None, 8),
        ("smollm-135m", 0.135, None, None),
        ("qwen2.5-1.5b", 1.5, None, None),
        ("model-3b-a30b", 3, None, None),
    ],
)
def test_the_size_in_a_name_is_read(plain: str, total_b: float, active_b: float | None, experts: int | None) -> None:
    size = named_size(plain)
    assert size is not None
    assert size.total_b == pytest.approx(total_b)
    assert (size.active_b, size.experts) == (active_b, experts)


@pytest.mark.parametrize("plain", ["gpt-4o", "claude-3-5-sonnet", "qwen-1m", "gpt-4.1", "0b"])
def test_a_name_without_size_states_none(plain: str) -> None:
    assert named_size(plain) is None


def test_spellings_share_one_key() -> None:
    assert len({key_of(name) for name in ("llama3.1:8b", "Llama-3.1-8B", "llama-v3.1-8b", "llama 3.1 8b")}) == 1


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "eu"),
        ("bedrock/us-gov.openai.gpt-oss-120b-1:0", "us-gov"),
        ("bedrock/eu-north-1/deepseek.v3.2", "eu-north-1"),
        ("azure/eu/gpt-4o", "eu"),
        ("gpt-4o", None),
        ("anthropic.claude-3-haiku", None),
        ("", None),
    ],
)
def test_the_place_in_a_name_is_read(name: str, place: str | None) -> None:
    assert place_in_name(name) == place


@pytest.mark.parametrize(
    "line",
    [
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4.1-nano", "gpt-4.1-mini", "gpt-4.1"),
        ("gpt-5-nano", "gpt-5-mini", "gpt-5"),
        ("gemini-1.5-flash-8b", "gemini-1.5-flash", "gemini-1.5-pro"),
        ("gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"),
        ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"),
        ("nova-lite", "nova-pro", "nova-premier"),
    ],
)
def test_the_members_of_a_line_grow_in_the_order_that_their_names_say(line: tuple[str, ...]) -> None:
    sizes = [(CARDS[card].active_params_b.value, CARDS[card].total_params_b.value) for card in line]
    for smaller, larger in pairwise(sizes):
        assert smaller[0] < larger[0]
        assert smaller[1] < larger[1]
