"""Our own estimate of one measured image or clip row. It must never look at a column that the bench hides."""

from collections.abc import Mapping

from config.diffusion import DiffusionFacts, Task
from config.factors import FactorSet
from config.read_diffusion import shipped_diffusion_models
from estimators.bench.protocol import number_in
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.physics_diffusion import Shape
from estimators.physics_diffusion_fleet import diffusion_gpu_j_per_output
from estimators.quantity import Quantity

OPERATING_PRIOR = "typical"


def predict_diffusion_row(row: Mapping[str, str], factors: FactorSet, blind: bool) -> Quantity:
    """GPU joules per output, all GPUs together; `blind`: the deployment's columns are ignored. Empty or missing columns are unknowns."""
    task: Task = "video" if "video" in row.get("task", "") or (number_in(row, "frames") or 1) > 1 else "image"
    params_b = number_in(row, "params_b_denoiser")
    models = shipped_diffusion_models()
    match = models.resolve(row.get("model", ""), task=task, params_b=params_b)
    facts = match.facts if match.facts.task == task else models.assumed(row.get("model", ""), task=task, params_b=params_b).facts
    hardware = UNKNOWN_HARDWARE if blind else _hardware(row)
    return diffusion_gpu_j_per_output(facts, _shape(row, facts), factors, operating_prior=OPERATING_PRIOR, hardware=hardware)


def _shape(row: Mapping[str, str], facts: DiffusionFacts) -> Shape:
    return Shape(
        width=number_in(row, "width") or facts.default_width,
        height=number_in(row, "height") or facts.default_height,
        frames=number_in(row, "frames") or facts.default_frames,
        steps=number_in(row, "steps") or facts.steps,
    )


def _hardware(row: Mapping[str, str]) -> Hardware:
    gpus = number_in(row, "num_gpus")
    return Hardware(
        gpu=row.get("gpu") or None,
        gpus=None if gpus is None else int(gpus),
        precision=row.get("precision") or None,
        batch=number_in(row, "batch"),
    )
