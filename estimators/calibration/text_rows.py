"""Measured text rows as arrays that the form can be laid on. It must never read power, throughput or latency."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.catalogue import Catalogue
from config.factors import FactorSet
from estimators.bench.cells import weights
from estimators.bench.ours_text import OLD_STACKS, card_of_row
from estimators.bench.read import MeasuredRow
from estimators.hardware import gpu_id, precision_id
from estimators.model_shape import Shape, shape_of

Floats = NDArray[np.float64]
SHAPE_FIELDS = tuple(Shape.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRows:
    """Columns of n rows: logarithm of J per output token, weights (each cell 1 in total), shape fields, and how each was served.

    image_tokens: 0 where the model does not fix them.
    """

    log_j: Floats
    weight: Floats
    family: NDArray[np.str_]
    shape: dict[str, Floats]
    gpu: NDArray[np.str_]
    precision: NDArray[np.str_]
    task: NDArray[np.str_]
    modality: NDArray[np.str_]
    old_stack: NDArray[np.bool_]
    gpus: Floats
    batch: Floats
    output_tokens: Floats
    image_tokens: Floats

    def only(self, chosen: NDArray[np.bool_]) -> "TextRows":
        """The rows where `chosen` is true."""
        picked: dict[str, Any] = {name: getattr(self, name)[chosen] for name in self.__dataclass_fields__ if name != "shape"}
        return TextRows(**picked, shape={name: values[chosen] for name, values in self.shape.items()})


def text_rows(rows: Sequence[MeasuredRow], catalogue: Catalogue, factors: FactorSet, *, architecture_known: bool = True) -> TextRows:
    """The rows as arrays. Without `architecture_known` every model is built by the rule of thumb for its size.

    Raises ValueError for a GPU or precision without factor rows.
    """
    shown = [row.visible("known") for row in rows]
    cards = [card_of_row(row, catalogue) for row in shown]
    if not architecture_known:
        cards = [replace(card, architecture=None) for card in cards]
    shapes = [shape_of(card, card.total_params_b.value, card.active_params_b.value) for card in cards]
    return TextRows(
        log_j=np.log([row.joules for row in rows]),
        weight=np.array(weights(rows)),
        family=np.array([row.family for row in rows]),
        shape={name: np.array([getattr(shape, name) for shape in shapes], dtype=float) for name in SHAPE_FIELDS},
        gpu=np.array([_known(gpu_id(row["gpu"], factors), row["gpu"]) for row in shown]),
        precision=np.array([_known(precision_id(row["precision"], factors), row["precision"]) for row in shown]),
        task=np.array([row["task"] for row in shown]),
        modality=np.array([row["input_modality"] for row in shown]),
        old_stack=np.array([row["dataset"] in OLD_STACKS for row in shown]),
        gpus=np.array([float(row["num_gpus"]) for row in shown]),
        batch=np.maximum(np.array([float(row["avg_batch"]) for row in shown]), 1.0),
        output_tokens=np.array([float(row["output_tokens_mean"]) for row in shown]),
        image_tokens=np.array([float((card.architecture and card.architecture.image_tokens) or 0) for card in cards]),
    )


def _known(found: str | None, name: str) -> str:
    if found is None:
        raise ValueError(f"{name!r} has no factor rows; add some or leave its rows out")
    return found
