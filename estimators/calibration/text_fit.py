"""Lays the text form on measured rows and moves its parameters until it lies best. It must never see a held-out row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from config.factors import FactorSet
from estimators.calibration.text_parameters import PARAMETERS, input_tokens_row
from estimators.calibration.text_rows import Floats, TextRows
from estimators.model_shape import Shape
from estimators.physics import FORM_ROWS, Deployment, EnergyForm

Values = Mapping[str, float]
NOISE_SD = 0.15
"""Logarithmic error beyond which a row pulls less and less (soft L1): the spread between repeated measurements of one cell."""


def fit(rows: TextRows, factors: FactorSet) -> dict[str, float]:
    """The parameters that fit `rows` best, each drawn towards its prior. factors: rows that are not fitted."""
    prior = np.log([parameter.prior for parameter in PARAMETERS])
    prior_sd = np.array([parameter.prior_sd for parameter in PARAMETERS])
    pull = np.sqrt(rows.weight / rows.weight.mean())

    def residuals(z: Floats) -> Floats:
        """What is squared: softened errors by weight, then the pull of the priors."""
        error = (predict(values_of(prior + prior_sd * z), rows, factors) - rows.log_j) / NOISE_SD
        robust = np.sign(error) * np.sqrt(2 * (np.sqrt(1 + error * error) - 1))
        return np.concatenate([pull * robust, z])

    best = least_squares(residuals, np.zeros(len(PARAMETERS)), max_nfev=100)
    return values_of(prior + prior_sd * best.x)


def values_of(logs: Floats) -> dict[str, float]:
    """Parameter values by id from their logarithms, in the order of PARAMETERS."""
    return {parameter.id: float(value) for parameter, value in zip(PARAMETERS, np.exp(logs), strict=True)}


def predict(values: Values, rows: TextRows, factors: FactorSet) -> Floats:
    """Logarithm of J per output token of each row: decode, attention, and the prompt shared out over the answer."""
    form = _form(values, factors)
    at = _deployment(values, rows, factors)
    input_tokens = np.select([rows.task == task for task in _tasks(values)], [values[input_tokens_row(task)] for task in _tasks(values)])
    media_tokens = _media_tokens(values, rows)
    context = input_tokens + media_tokens + rows.output_tokens / 2
    prompt = form.prefill_gpu_j_per_token(at) * (input_tokens + media_tokens) + form.encoder_gpu_j_per_token(at) * media_tokens
    decode = form.decode_gpu_j_per_token(at) + form.attention_gpu_j_per_token_per_context_token(at) * context
    found: Floats = np.log(decode + prompt / rows.output_tokens)
    return found


def _media_tokens(values: Values, rows: TextRows) -> Floats:
    """Tokens of the image or video in the prompt: the model's own number, else what the sample's pictures seem to have."""
    image = np.where(rows.image_tokens > 0, rows.image_tokens, values["sample.image_tokens"])
    found: Floats = np.select([rows.modality == "text+image", rows.modality == "text+video"], [image, values["sample.video_tokens"]], 0.0)
    return found


def _tasks(values: Values) -> list[str]:
    prefix = input_tokens_row("")
    return [name.removeprefix(prefix) for name in values if name.startswith(prefix)]


def _form(values: Values, factors: FactorSet) -> EnergyForm:
    found: dict[str, Any] = {name: values[row] if row in values else factors[row].value for name, row in FORM_ROWS.items()}
    return EnergyForm(**found)


def _deployment(values: Values, rows: TextRows, factors: FactorSet) -> Deployment:
    """All rows as one deployment whose facts are arrays."""

    def of(names: Any, row: str) -> Any:
        known = {name: _value(values, factors, row.format(name)) for name in np.unique(names)}
        return np.array([known[name] for name in names])

    static = np.where(rows.old_stack, values["stack.2024.static_scale"], 1.0)
    dynamic = np.where(rows.old_stack, values["stack.2024.dynamic_scale"], 1.0)
    facts: dict[str, Any] = {
        "shape": Shape(**rows.shape),  # type: ignore[arg-type]  # arrays stand for numbers
        "gpus": rows.gpus,
        "batch": rows.batch,
        "bytes_per_param": of(rows.precision, "precision.{}.bytes_per_param"),
        "static_scale": of(rows.gpu, "gpu.{}.static_scale") * static,
        "dynamic_scale": of(rows.gpu, "gpu.{}.dynamic_scale") * dynamic,
        "attention_scale": of(rows.gpu, "gpu.{}.attention_scale") * dynamic,
        "step_scale": of(rows.precision, "precision.{}.step_scale"),
        "stream_scale": of(rows.precision, "precision.{}.stream_scale"),
        "matmul_scale": of(rows.precision, "precision.{}.matmul_scale"),
    }
    return Deployment(**facts)


def _value(values: Values, factors: FactorSet, row: str) -> float:
    """A fitted value, else the factor row; the A100's attention goes with its other work."""
    if row == "gpu.a100.attention_scale":
        return values["gpu.a100.dynamic_scale"]
    return values[row] if row in values else factors[row].value
