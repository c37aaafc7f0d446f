"""The table of architectures, its reader and the rule of thumb. It must never accept a build that its model card contradicts."""

from collections.abc import Callable
from math import log
from pathlib import Path
from statistics import median, pstdev

import pytest

from config.architecture import Architecture, typical
from config.model_card import ModelCard
from config.read_architectures import ARCHITECTURE_COLUMNS, Architectures, read_architectures
from config.tables import Tables, load_tables


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def published(tables: Tables) -> dict[str, Architecture]:
    """The build of every model that publishes one, by card id."""
    return {card.id: card.architecture for card in tables.catalogue.cards() if card.architecture is not None}


def builds(tables: Tables) -> list[tuple[Architecture, Architecture, ModelCard]]:
    """Published build, rule of thumb and card; models that share a build count once."""
    cards = {card.id: card for card in tables.catalogue.cards()}
    distinct = {(one.layers, one.hidden_size, one.kv_bytes_per_token, one.experts): one for one in published(tables).values()}
    return [
        (one, typical(card.total_params_b.value, card.active_params_b.value), card) for one in distinct.values() for card in [cards[one.id]]
    ]


def layers(one: Architecture) -> float:
    return one.layers


def width(one: Architecture) -> float:
    return one.hidden_size


def layers_by_width(one: Architecture) -> float:
    return one.layers * one.hidden_size


def kv_bytes(one: Architecture) -> float:
    return one.kv_bytes_per_token


# layers, width, cache bytes, experts, experts per token; by hand from the vendors' configuration files
KNOWN = {
    "llama-3.1-8b": (32, 4096, 2 * 32 * 8 * 128 * 2, 1, 1),
    "llama-3.1-405b": (126, 16384, 516_096, 1, 1),
    "deepseek-v3": (61, 7168, 61 * (512 + 64) * 2, 256, 8),
    "deepseek-r1": (61, 7168, 70_272, 256, 8),
    "kimi-k2": (61, 7168, 70_272, 384, 8),
    "gpt-oss-120b": (36, 2880, 2 * 18 * 8 * 64 * 2, 128, 4),
    "qwen3-30b-a3b": (48, 2048, 98_304, 128, 8),
    "qwen3-next-80b-a3b": (48, 2048, 2 * 12 * 2 * 256 * 2, 512, 10),
    "gemma-3-27b": (62, 5376, 2 * 10 * 16 * 128 * 2, 1, 1),
    "mixtral-8x7b": (32, 4096, 131_072, 8, 2),
    "llama-4-maverick": (48, 5120, 2 * 12 * 8 * 128 * 2, 128, 1),
    "nemotron-nano-9b-v2": (56, 4480, 2 * 4 * 8 * 128 * 2, 1, 1),
}


@pytest.mark.parametrize("card_id", KNOWN)
def test_known_models_have_the_build_of_their_configuration_file(tables: Tables, card_id: str) -> None:
    found = published(tables)[card_id]
    assert (found.layers, found.hidden_size, found.kv_bytes_per_token, found.experts, found.experts_per_token) == KNOWN[card_id]


def test_the_checked_bytes_of_the_two_forms_of_attention() -> None:
    assert KNOWN["llama-3.1-8b"][2] == 131_072
    assert KNOWN["deepseek-v3"][2] == 70_272


def test_names_of_models_lead_to_their_build_through_the_catalogue(tables: Tables) -> None:
    card = tables.catalogue.resolve("meta-llama/Llama-3.1-8B-Instruct").card
    assert published(tables)[card.id].layers == 32


def test_every_id_is_an_open_model_and_every_row_names_its_file(tables: Tables) -> None:
    cards = {card.id: card for card in tables.catalogue.cards()}
    assert len(published(tables)) >= 350
    for card_id, one in published(tables).items():
        assert one.id == card_id
        assert cards[card_id].open_weights
        assert one.url.endswith(".json")


def test_mixer_and_precision_of_marked_models(tables: Tables) -> None:
    found = published(tables)
    assert (found["gpt-oss-120b"].native_precision, found["gpt-oss-120b"].mixer) == ("mxfp4", "attention")
    assert (found["deepseek-v3"].native_precision, found["kimi-k2-thinking"].native_precision) == ("fp8", "int4")
    assert (found["jamba-1.5-large"].mixer, found["qwen3.5-27b"].mixer, found["nemotron-3-nano-30b-a3b"].mixer) == ("hybrid",) * 3


def test_active_parameters_follow_from_shared_ones_and_experts(tables: Tables) -> None:
    """total and active of the card, experts and top-k of the build: three numbers that must tell one story."""
    checked = 0
    for one, _, card in builds(tables):
        if one.shared_b is None:
            continue
        total, active = card.total_params_b.value, card.active_params_b.value
        implied = one.shared_b + (total - one.shared_b) * one.experts_per_token / one.experts
        assert 0.75 <= implied / active <= 1.45, one.id
        checked += 1
    assert checked > 30


def test_shared_parameters_are_those_stated_or_implied(tables: Tables) -> None:
    assert published(tables)["deepseek-v3"].shared_params_b(671, 37) == pytest.approx(17.1, rel=0.01)
    assert published(tables)["llama-3.1-8b"].shared_params_b(8.03, 8.03) == 8.03
    implied = published(tables)["qwen3-omni-30b-a3b"]
    assert implied.shared_b is None
    assert implied.shared_params_b(30.5, 3.3) == pytest.approx(1.49, rel=0.01)
    assert implied.shared_params_b(100, 1) == 0


def test_the_rule_of_thumb_is_within_a_factor_of_two_for_nine_in_ten(tables: Tables) -> None:
    pairs = builds(tables)
    assert len(pairs) > 150
    for measure in (layers, width, layers_by_width):
        within = [0.5 <= measure(published) / measure(rule) <= 2 for published, rule, _ in pairs]
        assert sum(within) >= 0.9 * len(within)


def test_the_rule_of_thumb_stands_in_the_middle_of_the_table(tables: Tables) -> None:
    pairs = builds(tables)

    def middle(measure: Callable[[Architecture], float], *, experts: bool) -> float:
        return median(measure(published) / measure(rule) for published, rule, _ in pairs if (published.experts > 1) == experts)

    for experts in (False, True):
        assert middle(layers, experts=experts) == pytest.approx(1, abs=0.1)
        assert middle(layers_by_width, experts=experts) == pytest.approx(1, abs=0.1)
        assert middle(kv_bytes, experts=experts) == pytest.approx(1, abs=0.2)
    assert middle(lambda one: one.experts / one.experts_per_token, experts=True) == pytest.approx(1, abs=0.1)


def test_the_spread_around_the_rule_of_thumb_is_the_one_that_the_methods_state(tables: Tables) -> None:
    pairs = builds(tables)
    for measure, stated in ((layers, 0.27), (layers_by_width, 0.25), (kv_bytes, 1.2)):
        assert pstdev(log(measure(published) / measure(rule)) for published, rule, _ in pairs) == pytest.approx(stated, rel=0.15)


def test_a_typical_dense_model_has_one_expert_and_a_sparse_one_many() -> None:
    dense, sparse = typical(70, 70), typical(671, 37)
    assert (dense.experts, dense.experts_per_token, dense.shared_b) == (1, 1, None)
    assert dense.layers == pytest.approx(80, rel=0.1)
    assert sparse.experts > 100
    assert sparse.shared_b is not None
    assert sparse.shared_b + (671 - sparse.shared_b) * sparse.experts_per_token / sparse.experts == pytest.approx(37, rel=0.01)
    assert sparse.native_precision is None
    assert "rule of thumb" in sparse.source


@pytest.mark.parametrize(("total_b", "active_b"), [(0, 0), (8, 0), (8, 9), (-1, -1)])
def test_a_size_that_cannot_be_has_no_typical_build(total_b: float, active_b: float) -> None:
    with pytest.raises(ValueError, match="active parameters"):
        typical(total_b, active_b)


GOOD = {
    "id": "mixtral-8x7b", "layers": "32", "hidden_size": "4096", "kv_bytes_per_token": "131072", "experts": "8", "experts_per_token": "2",
    "shared_b": "1.6", "mixer": "attention", "native_precision": "bf16", "image_tokens": "", "source": "model card / config.json",
    "url": "https://huggingface.co/mistralai/Mixtral-8x7B-Instruct-v0.1/blob/main/config.json", "as_of": "2026-11-23",
}  # fmt: skip


def read_rows_of(folder: Path, tables: Tables, *rows: dict[str, str]) -> Architectures:
    lines = [",".join(ARCHITECTURE_COLUMNS), *(",".join(row[column] for column in ARCHITECTURE_COLUMNS) for row in rows)]
    folder.joinpath("architectures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_architectures(folder, tables.catalogue.cards())


def test_a_good_row_is_read(tmp_path: Path, tables: Tables) -> None:
    found = read_rows_of(tmp_path, tables, GOOD)["mixtral-8x7b"]
    assert (found.experts, found.image_tokens) == (8, None)


def test_the_tokens_of_a_picture_are_read_where_the_model_fixes_them(tmp_path: Path, tables: Tables) -> None:
    assert read_rows_of(tmp_path, tables, {**GOOD, "image_tokens": "576"})["mixtral-8x7b"].image_tokens == 576
    assert {name: published(tables)[name].image_tokens for name in ("gemma-3-27b", "llava-1.5-7b", "llama-3.1-8b")} == {
        "gemma-3-27b": 256, "llava-1.5-7b": 576, "llama-3.1-8b": None,
    }  # fmt: skip
    cards = {card.id: card for card in tables.catalogue.cards()}
    assert all(cards[one.id].vision for one in published(tables).values() if one.image_tokens)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("id", "no-such-model", "not in models.csv"),
        ("id", "mistral-7b", "all parameters of this model are active"),
        ("layers", "0", "whole number"),
        ("layers", "31.5", "whole number"),
        ("hidden_size", "wide", "not a number"),
        ("kv_bytes_per_token", "-1", "finite number"),
        ("kv_bytes_per_token", "", "empty"),
        ("experts", "1", "exceeds the experts"),
        ("experts_per_token", "9", "exceeds the experts"),
        ("shared_b", "47", "below the total"),
        ("shared_b", "0", "above 0"),
        ("mixer", "recurrent", "not one of"),
        ("native_precision", "fp4", "not one of"),
        ("image_tokens", "0", "whole number"),
        ("image_tokens", "576.5", "whole number"),
        ("image_tokens", "some", "not a number"),
        ("source", "", "empty"),
        ("url", "config.json", "https"),
        ("as_of", "", "empty"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path: Path, tables: Tables, column: str, value: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        read_rows_of(tmp_path, tables, {**GOOD, column: value})
    assert str(caught.value).startswith("architectures.csv:2: column ")


def test_a_dense_row_states_no_shared_parameters(tmp_path: Path, tables: Tables) -> None:
    dense = {**GOOD, "id": "mistral-7b", "experts": "1", "experts_per_token": "1"}
    assert read_rows_of(tmp_path, tables, {**dense, "shared_b": ""})["mistral-7b"].shared_b is None
    with pytest.raises(ValueError, match=r"architectures\.csv:2: column 'shared_b'"):
        read_rows_of(tmp_path, tables, dense)


def test_a_row_that_stands_twice_is_refused(tmp_path: Path, tables: Tables) -> None:
    with pytest.raises(ValueError, match=r"architectures\.csv:3: column 'id': 'mixtral-8x7b' stands there twice"):
        read_rows_of(tmp_path, tables, GOOD, GOOD)
