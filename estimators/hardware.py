"""What is known of the machines that serve a model. It must never guess: None stays unknown and is weighed as a mixture."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace


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

GPU_UNKNOWN = "gpu-unknown"
PRECISION_UNKNOWN = "precision-unknown"
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
    lower = name.lower()
    return max((gpu for gpu in gpu_ids(known) if re.search(r"[\s_-]*".join(gpu) + r"(?!\d)", lower)), key=len, default=None)


def gpu_ids(known: Collection[str]) -> tuple[str, ...]:
    """The accelerators that factor rows describe."""
    return tuple(
        row.removeprefix("gpu.").removesuffix(".memory_gb") for row in known if row.startswith("gpu.") and row.endswith(".memory_gb")
    )


def precision_id(name: str | None, known: Collection[str]) -> str | None:
    """The factor rows' id of a weight precision in any spelling (`bfloat16` is `bf16`); None when unknown."""
    if name is None:
        return None
    plain = name.lower().replace("-", "").replace("_", "")
    found = next((row for word, row in PRECISION_WORDS.items() if plain.startswith(word)), plain)
    return next((row for row in (found, found[:3], found[:4]) if f"precision.{row}.bytes_per_param" in known), None)


def precision_ids(known: Collection[str]) -> tuple[str, ...]:
    """The widths of weights that factor rows describe."""
    head, tail = "precision.", ".bytes_per_param"
    return tuple(row.removeprefix(head).removesuffix(tail) for row in known if row.startswith(head) and row.endswith(tail))


def recognised(hardware: Hardware, known: Collection[str]) -> tuple[Hardware, tuple[str, ...]]:
    """The hardware in the factor rows' words, and a warning for each word that none has: that fact counts as not known."""
    gpu, precision = gpu_id(hardware.gpu, known), precision_id(hardware.precision, known)
    said = ((hardware.gpu, gpu, GPU_UNKNOWN), (hardware.precision, precision, PRECISION_UNKNOWN))
    return replace(hardware, gpu=gpu, precision=precision), tuple(code for word, found, code in said if word is not None and found is None)


def stated(hardware: Hardware) -> dict[str, str | int | float]:
    """The facts that somebody stated, by name."""
    return {name: value for name, value in asdict(hardware).items() if value is not None}
