"""What is known of the machines that serve a model. It must never guess: None stays unknown and is weighed as a mixture."""

import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Known facts of one deployment; every None is filled by the operating prior.

    gpu: generation, such as `h100`, `b200`, `a100` (any spelling that hardware names use). gpus: accelerators that serve one copy.
    precision: of the weights, such as `bf16`, `fp8`, `int4`. batch: requests decoded together, on average, >= 1.
    attention_data_parallel: copies of the attention part among which requests are split, 1 when it is sharded like the rest.
    stack: an older serving software with factor rows `stack.<name>.*`, such as `2024`; None: today's.
    """

    gpu: str | None = None
    gpus: int | None = None
    precision: str | None = None
    batch: float | None = None
    attention_data_parallel: int | None = None
    stack: str | None = None


UNKNOWN_HARDWARE = Hardware()

UNKNOWN_WORD = {"gpu": "gpu-unknown", "precision": "precision-unknown"}
"""Warnings on what is weighed although a stated word is in no factor row: that fact is as if nobody had stated it."""

PRECISION_WORDS = {
    "bfloat16": "bf16",
    "float16": "bf16",
    "fp16": "bf16",
    "half": "bf16",
    "float8": "fp8",
    "int8": "fp8",
    "w8a8": "fp8",
    "mxfp4": "fp4",
    "nvfp4": "fp4",
    "float4": "fp4",
    "w4a16": "int4",
    "awq": "int4",
    "gptq": "int4",
    "float32": "fp32",
}
"""Other words for a width of weights that factor rows know."""


def gpu_id(name: str | None, known: Collection[str]) -> str | None:
    """The factor rows' id of an accelerator in any spelling (`NVIDIA H100 80GB HBM3` is `h100`); None when unknown.

    known: ids of factor rows, of which `gpu.<id>.memory_gb` names the accelerators. The longest id that the name contains wins; a
    digit behind it makes another accelerator of it (`L40` is no `l4`).
    """
    if name is None:
        return None
    return max((gpu for gpu in gpu_ids(known) if names_gpu(gpu, name)), key=len, default=None)


def names_gpu(gpu: str, name: str) -> bool:
    """Whether a name in any spelling holds this id, with no digit behind it: `L40` is no `l4`."""
    return re.search(r"[\s_-]*".join(gpu) + r"(?!\d)", name.lower()) is not None


def gpu_ids(known: Collection[str]) -> tuple[str, ...]:
    """The accelerators that factor rows describe."""
    return _between("gpu.", ".memory_gb", known)


def precision_id(name: str | None, known: Collection[str]) -> str | None:
    """The factor rows' id of a weight precision in any spelling (`bfloat16` is `bf16`, `fp8_e4m3` is `fp8`); None when unknown."""
    if name is None:
        return None
    plain = name.lower().replace("-", "").replace("_", "")
    found = next((row for word, row in PRECISION_WORDS.items() if plain.startswith(word)), plain)
    return next((row for row in (found, found[:3], found[:4]) if f"precision.{row}.bytes_per_param" in known), None)


def precision_ids(known: Collection[str]) -> tuple[str, ...]:
    """The widths of weights that factor rows describe."""
    return _between("precision.", ".bytes_per_param", known)


def _between(head: str, tail: str, known: Collection[str]) -> tuple[str, ...]:
    """The words `<id>` of the factor rows `<head><id><tail>`."""
    return tuple(row.removeprefix(head).removesuffix(tail) for row in known if row.startswith(head) and row.endswith(tail))


class StrangeWord(NamedTuple):
    """A stated word that no factor row has: of which fact of Hardware, and the words that there are."""

    field: str
    word: str
    known: tuple[str, ...]


def strange_words(hardware: Hardware, known: Collection[str]) -> Iterator[StrangeWord]:
    """The stated words of accelerator and precision that no factor row has."""
    if hardware.gpu is not None and gpu_id(hardware.gpu, known) is None:
        yield StrangeWord("gpu", hardware.gpu, gpu_ids(known))
    if hardware.precision is not None and precision_id(hardware.precision, known) is None:
        yield StrangeWord("precision", hardware.precision, precision_ids(known))


def recognised(hardware: Hardware, known: Collection[str]) -> tuple[Hardware, tuple[str, ...]]:
    """The hardware in the factor rows' words, and a warning for each word that none has: that fact counts as not known."""
    found = replace(hardware, gpu=gpu_id(hardware.gpu, known), precision=precision_id(hardware.precision, known))
    return found, tuple(UNKNOWN_WORD[strange.field] for strange in strange_words(hardware, known))


def stated(hardware: Hardware) -> dict[str, str | int | float]:
    """The facts that somebody stated, by name."""
    return {name: value for name, value in asdict(hardware).items() if value is not None}
