"""Stated hardware: names in any spelling are understood, unknown words are said to be unknown, and what is known narrows a figure."""

import pytest

from estimators import prepare
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, gpu_id, gpu_ids, precision_id, precision_ids, recognised, stated
from estimators.usage import Usage
from tests.weighing_samples import OPEN_70B, PARIS, shipped_factors

ANSWER = Usage(input_tokens=1000, output_tokens=300)
KNOWN = Hardware(gpu="h100", gpus=4, precision="fp8", batch=32)


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("h100", "h100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("H100-80GB", "h100"),
        ("GH200-144G", "gh200"),
        ("NVIDIA_GB200", "gb200"),
        ("GeForce RTX 4090", "rtx4090"),
        ("A100_80g", "a100"),
        ("NVIDIA A10", "a10"),
        ("L40S", "l40s"),
        ("L40", None),
        ("T400", None),
        ("TPU v5e", None),
        ("", None),
        (None, None),
    ],
)
def test_an_accelerator_is_known_by_any_spelling_and_by_no_longer_number(name: str | None, gpu: str | None) -> None:
    assert gpu_id(name, shipped_factors()) == gpu


@pytest.mark.parametrize("gpu", gpu_ids(shipped_factors()))
def test_every_accelerator_of_the_tables_is_itself_and_can_be_weighed_on(gpu: str) -> None:
    assert gpu_id(gpu, shipped_factors()) == gpu
    assert prepare(OPEN_70B, PARIS, shipped_factors(), hardware=Hardware(gpu=gpu)).estimate(ANSWER).gco2e.mean > 0


@pytest.mark.parametrize("precision", precision_ids(shipped_factors()))
def test_every_precision_of_the_tables_is_itself_and_can_be_weighed_in(precision: str) -> None:
    assert precision_id(precision, shipped_factors()) == precision
    assert prepare(OPEN_70B, PARIS, shipped_factors(), hardware=Hardware(precision=precision)).estimate(ANSWER).gco2e.mean > 0


def test_words_become_ids_and_what_no_row_has_is_not_known() -> None:
    said = Hardware(gpu="NVIDIA H100", precision="bfloat16", gpus=2)
    assert recognised(said, shipped_factors()) == (Hardware(gpu="h100", precision="bf16", gpus=2), ())
    strange = Hardware(gpu="abacus", precision="roman", batch=8)
    assert recognised(strange, shipped_factors()) == (Hardware(batch=8), ("gpu-unknown", "precision-unknown"))
    assert recognised(UNKNOWN_HARDWARE, shipped_factors()) == (UNKNOWN_HARDWARE, ())


def test_only_stated_facts_are_told() -> None:
    assert stated(UNKNOWN_HARDWARE) == {}
    assert stated(KNOWN) == {"gpu": "h100", "gpus": 4, "precision": "fp8", "batch": 32}


def test_a_strange_accelerator_weighs_as_an_unknown_one_and_says_so() -> None:
    unknown = prepare(OPEN_70B, PARIS, shipped_factors()).estimate(ANSWER)
    strange = prepare(OPEN_70B, PARIS, shipped_factors(), hardware=Hardware(gpu="abacus")).estimate(ANSWER)
    batch_only = prepare(OPEN_70B, PARIS, shipped_factors(), hardware=Hardware(gpu="abacus", batch=32)).estimate(ANSWER)
    assert strange == unknown._replace(warnings=(*unknown.warnings, "gpu-unknown"))
    assert (batch_only.quality_parts.hardware, strange.quality_parts.hardware) == ("D", "D")


def test_known_machines_narrow_the_range() -> None:
    unknown = prepare(OPEN_70B, PARIS, shipped_factors()).estimate(ANSWER)
    known = prepare(OPEN_70B, PARIS, shipped_factors(), hardware=KNOWN).estimate(ANSWER)
    assert known.gco2e.p95 / known.gco2e.p5 < unknown.gco2e.p95 / unknown.gco2e.p5
    assert (unknown.quality_parts.hardware, known.quality_parts.hardware) == ("D", "C")
