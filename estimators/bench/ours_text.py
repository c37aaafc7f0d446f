"""Our text estimator on one measured row, GPU part only. It must never see more of a row than the bench shows."""

from collections.abc import Mapping
from dataclasses import replace

from config.catalogue import Catalogue, ModelCard
from config.factors import FactorSet
from config.ranges import Range
from estimators.bench.protocol import number_in
from estimators.energy import call_variances
from estimators.hardware import Hardware
from estimators.physics_call import call_energy
from estimators.quantity import Quantity, scale
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage

OPERATING_PRIOR = "typical"
OLD_STACKS = {"mlenergy-v2": "2024"}
"""Data sets measured with an older serving software, and the name of its factor rows."""

SURE = ("exact", "alias", "dated")
"""Ways in which a name leads to a card for certain."""

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
    """The model's card with the sizes that the row states, if any; its architecture only where the name is known for certain."""
    match = catalogue.resolve(row["model"])
    sure = match.match in SURE
    total, active = (number_in(row, f"{size}_params_b") for size in ("total", "active"))
    sized = match.card
    if total is not None:
        active = min(active or total, total)
        sized = replace(sized, total_params_b=Range.exact(total), active_params_b=Range.exact(active), size_basis="exact")
    return replace(
        sized,
        reasoning=row.get("reasoning") == "1",
        architecture=match.card.architecture if sure else None,
    )


def _stated(row: Mapping[str, str]) -> Hardware:
    batch = number_in(row, "avg_batch") or number_in(row, "max_batch")
    return Hardware(
        gpu=row.get("gpu") or None,
        gpus=_whole(row, "num_gpus"),
        precision=row.get("precision") or None,
        batch=None if batch is None else max(batch, 1.0),
        attention_data_parallel=_whole(row, "dp"),
        stack=OLD_STACKS.get(row.get("dataset", "")),
    )


def _whole(row: Mapping[str, str], column: str) -> int | None:
    found = number_in(row, column)
    return None if found is None else max(round(found), 1)


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
