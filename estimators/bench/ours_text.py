"""Our text estimator on one measured row, GPU part only. It must never see more of a row than the bench shows."""

from collections.abc import Mapping
from dataclasses import replace

from config.catalogue import Catalogue, ModelCard
from config.factors import FactorSet
from config.ranges import Range
from estimators.energy import call_variances
from estimators.hardware import Hardware
from estimators.physics_call import call_energy
from estimators.quantity import Quantity, scale
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage

OPERATING_PRIOR = "typical"
OLD_STACKS = {"mlenergy-v2": "2024"}
"""Data sets measured with an older serving software, and the name of its factor rows."""

PRECISION_WORDS = ("fp8", "int8", "awq", "gptq", "int4", "mxfp4", "nvfp4")
"""What a model's name says of its weights."""


def predict_text_row(row: Mapping[str, str], catalogue: Catalogue, factors: FactorSet, *, blind: bool) -> Quantity:
    """J per output token, all GPUs together, the prompt shared out over the answer.

    blind: only the model, its sizes, the task and the length of the answer are used. Raises ValueError for a number that is none.
    """
    card = card_of_row(row, catalogue)
    hardware = _named(row) if blind else _stated(row)
    energy = call_energy(card, factors, OPERATING_PRIOR, hardware)
    answer = max(float(row.get("output_tokens_mean") or 0), 1.0)
    media_tokens = _media_tokens(row, card, factors)
    usage = Usage(
        input_tokens=round(_input_tokens(row, factors)) + media_tokens,
        image_input_tokens=media_tokens,
        output_tokens=round(answer),
        source="provider",
    )
    spent = TokenEnergy(replace(energy, call_mean_j=0.0), call_variances(factors)).gpu_energy_j(usage)
    return scale(spent, 1 / round(answer))


def card_of_row(row: Mapping[str, str], catalogue: Catalogue) -> ModelCard:
    """The model's card with the sizes that the row states; its architecture only where the name is known for certain."""
    match = catalogue.resolve(row["model"])
    total, active = float(row["total_params_b"]), float(row["active_params_b"])
    sure = match.match in ("exact", "alias", "dated")
    return replace(
        match.card,
        total_params_b=Range.exact(total),
        active_params_b=Range.exact(min(active, total)),
        size_basis="exact",
        reasoning=row.get("reasoning") == "1",
        architecture=match.card.architecture if sure else None,
    )


def _stated(row: Mapping[str, str]) -> Hardware:
    return Hardware(
        gpu=row.get("gpu") or None,
        gpus=int(float(row["num_gpus"])) if row.get("num_gpus") else None,
        precision=row.get("precision") or None,
        batch=max(float(row["avg_batch"]), 1.0) if row.get("avg_batch") else None,
        attention_data_parallel=int(float(row["dp"])) if row.get("dp") else None,
        stack=OLD_STACKS.get(row.get("dataset", "")),
    )


def _named(row: Mapping[str, str]) -> Hardware:
    name = row["model"].lower()
    return Hardware(precision=next((word for word in PRECISION_WORDS if word in name), None))


def _input_tokens(row: Mapping[str, str], factors: FactorSet) -> float:
    known = f"sample.input_tokens.{row.get('task', '')}"
    return factors[known if known in factors else "sample.input_tokens.other"].value


def _media_tokens(row: Mapping[str, str], card: ModelCard, factors: FactorSet) -> int:
    """Tokens of the image or video that the task's prompts carry."""
    modality = row.get("input_modality")
    if modality == "text+image":
        known = card.architecture.image_tokens if card.architecture else None
        return known or round(factors["sample.image_tokens"].value)
    return round(factors["sample.video_tokens"].value) if modality == "text+video" else 0
