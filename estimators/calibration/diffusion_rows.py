"""Measured images and clips as arrays for the diffusion form. It must never let energy, power or latency in as an input."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.diffusion import DiffusionFacts, Task
from config.diffusion_assumed import assumed_facts, kind_hint
from config.read_diffusion import shipped_diffusion_models
from estimators.bench.cells import weights
from estimators.bench.protocol import VisibleRow
from estimators.bench.read import MeasuredRow
from estimators.physics_diffusion import Shape, Work, work_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DiffusionRows:
    """One entry per measured row; `weight` sums to 1 per cell. `log_j`: logarithm of joules per output, the target."""

    work: Mapping[str, Array]
    gpus: Array
    batch: Array
    is_a100: Array
    is_b200: Array
    is_video: NDArray[np.bool_]
    families: NDArray[np.str_]
    weight: Array
    log_j: Array

    def family_names(self) -> list[str]:
        """The families, in order of their names."""
        return sorted(set(self.families.tolist()))


def diffusion_rows(measured: Sequence[MeasuredRow], *, architecture_known: bool = True) -> DiffusionRows:
    """Rows of images and clips. Without `architecture_known` facts come from size and name alone, as for a model that nobody knows."""
    rows = [row.visible("known") for row in measured]
    tagged: list[tuple[VisibleRow, Task]] = [
        (row, "video" if each.kind == "video" else "image") for each, row in zip(measured, rows, strict=True)
    ]
    found = [_facts(row, task, architecture_known) for row, task in tagged]
    works = [work_of(facts, _shape(row)) for row, facts in zip(rows, found, strict=True)]
    return DiffusionRows(
        work={field: np.array([float(getattr(work, field)) for work in works]) for field in Work._fields},
        gpus=_column(rows, lambda row: float(row["num_gpus"])),
        batch=_column(rows, lambda row: float(row["batch"])),
        is_a100=_column(rows, lambda row: float("A100" in row["gpu"])),
        is_b200=_column(rows, lambda row: float("B200" in row["gpu"])),
        is_video=np.array([task == "video" for _, task in tagged]),
        families=np.array([row.family for row in measured]),
        weight=np.array(weights(measured)),
        log_j=np.log([row.joules for row in measured]),
    )


def _facts(row: VisibleRow, task: Task, known: bool) -> DiffusionFacts:
    params_b = float(row["params_b_denoiser"])
    if not known:
        return assumed_facts(task, kind_hint(row["model"]), params_b)
    return shipped_diffusion_models().resolve(row["model"], task=task, params_b=params_b).facts


def _shape(row: VisibleRow) -> Shape:
    return Shape(float(row["width"]), float(row["height"]), float(row["frames"] or 1), float(row["steps"]))


def _column(rows: Sequence[VisibleRow], read: Callable[[VisibleRow], float]) -> Array:
    return np.array([read(row) for row in rows], dtype=np.float64)
