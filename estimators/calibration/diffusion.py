"""Fits the diffusion form on measured rows and judges it on families left out. It must never be imported by what serves calls."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtri, stdtrit

from config.factors import FactorSet
from estimators.bench.ours_diffusion import predict_diffusion_row
from estimators.bench.protocol import Prediction
from estimators.bench.read import MeasuredRow
from estimators.bench.scores import Score, score
from estimators.calibration.diffusion_rows import Array, DiffusionRows, diffusion_rows
from estimators.calibration.parameter import Fitted, FormFit, fitted_spreads, rounded, with_values
from estimators.physics_diffusion import J_PER_NJ, J_PER_PJ


class Prior(NamedTuple):
    """A weak belief: median and standard deviation of the logarithm (or of the number itself, for exponents)."""

    median: float
    sd: float
    unit: str
    note: str


PRIORS: Final[Mapping[str, Prior]] = {
    "matmul_pj_per_flop": Prior(
        2.1, 0.5, "pJ/FLOP", "H100 at 700 W and 35 to 50 % of its 989 TFLOP/s: 1.4 to 2.0; real kernels a little more"
    ),
    "attention_ratio": Prior(1.0, 0.15, "-", "Energy of an attention operation over one of a matrix product"),
    "activation_nj": Prior(12.0, 0.7, "nJ/value", "Memory traffic around one value of a block's width: some 100 bytes at 20 to 100 pJ/B"),
    "linear_overhead_ratio": Prior(1.0, 0.2, "-", "Depthwise convolutions of linear attention, which compute little and move much"),
    "decoder_j_per_megapixel": Prior(30.0, 0.5, "J/megapixel", "Decoder of the latent: some 10 TFLOP per megapixel"),
    "launch_j": Prior(0.1, 0.7, "J/(step*block)", "What a run pays once per step and block whatever its batch: launches and waiting"),
    "launch_gpu_exponent": Prior(1.4, 0.3, "-", "Growth of the same with the number of GPUs that wait for each other"),
    "sharding_ratio": Prior(0.11, 0.5, "-", "Extra denoising energy per further GPU at compute_per_traffic 1"),
    "gpu_scale.a100": Prior(1.2, 0.2, "-", "A100 relative to H100, all but launches"),
    "gpu_scale.b200": Prior(0.93, 0.2, "-", "B200 relative to H100"),
    "launch_scale.a100": Prior(0.7, 0.3, "-", "A100 relative to H100, launches"),
}

RESIDUAL_SCALE: Final = 0.2
HUBER_KNEE: Final = 1.5
"""Residuals of the logarithm beyond knee * scale count linearly: one odd model must not bend the form."""

PSEUDO_FAMILIES: Final = 3
"""Families of image spread that the video spread is shrunk towards: few families of video have been measured."""

SHARDED_LEAST_SD: Final = 0.12
UNKNOWN_LEAST_SD: Final = 0.3
"""Spreads are never stated smaller than this: what a few families show by luck is no knowledge."""

SPREADS: Final[Mapping[str, str]] = {
    "diffusion.sd_images": "Images on one GPU: root mean square by family, wider by Student's t over the normal for so few families",
    "diffusion.sd_video": "Video on one GPU: as for images, drawn towards theirs",
    "diffusion.sd_sharded_images": "Added in quadrature where one image is shared by several GPUs",
    "diffusion.sd_sharded_video": "Added in quadrature where one clip is shared by several GPUs",
    "diffusion.sd_unknown_architecture": "Added in quadrature where the architecture is guessed from size and name",
}
RESIDUALS: Final = "Leave-one-family-out residuals of the same fit; low and high: 0.7 and 1.4 times"

Values = Mapping[str, float]


def predict_log_j(rows: DiffusionRows, at: Values) -> Array:
    """Logarithm of joules per output; the same form as `DiffusionForm.gpu_j`, on arrays."""
    work = rows.work
    pj = at["matmul_pj_per_flop"] * J_PER_PJ
    denoise = pj * (work["matmul_flop"] + at["attention_ratio"] * work["attention_flop"])
    denoise = denoise + at["activation_nj"] * J_PER_NJ * work["activations"]
    denoise = denoise * np.where(work["is_linear"] > 0, at["linear_overhead_ratio"], 1.0)
    sharding = 1 + at["sharding_ratio"] * (rows.gpus - 1) / work["compute_per_traffic"]
    once = pj * work["text_flop"] + at["decoder_j_per_megapixel"] * work["decoded_megapixels"]
    gpu = np.where(rows.is_a100 > 0, at["gpu_scale.a100"], np.where(rows.is_b200 > 0, at["gpu_scale.b200"], 1.0))
    launch_scale = np.where(rows.is_a100 > 0, at["launch_scale.a100"], 1.0)
    launched = at["launch_j"] * work["launches"] * launch_scale * rows.gpus ** at["launch_gpu_exponent"]
    logs: Array = np.log(gpu * (denoise * sharding + once) + launched / rows.batch)
    return logs


def fit(rows: DiffusionRows, use: NDArray[np.bool_]) -> Values:
    """Robust least squares on log energy over the rows in `use`; families weigh equally, priors as one observation each."""
    names = list(PRIORS)
    medians = np.log(np.array([PRIORS[name].median for name in names]))
    sds = np.array([PRIORS[name].sd for name in names])
    weight = np.sqrt(_family_weight(rows, use))

    def residuals(logs: Array) -> Array:
        """What is squared: softened errors by weight, then the pull of the priors."""
        gap = (predict_log_j(rows, dict(zip(names, np.exp(logs), strict=True))) - rows.log_j)[use] / RESIDUAL_SCALE
        soft = np.sign(gap) * HUBER_KNEE * np.sqrt(2 * (np.sqrt(1 + (gap / HUBER_KNEE) ** 2) - 1))
        both: Array = np.concatenate([weight * soft, (logs - medians) / sds])
        return both

    best = least_squares(residuals, medians, x_scale=0.1).x
    return {name: float(value) for name, value in zip(names, np.exp(best), strict=True)}


def _family_weight(rows: DiffusionRows, use: NDArray[np.bool_]) -> Array:
    """Cell weights of the rows in `use`, scaled so that every family has the average weight of one."""
    weight, families = rows.weight[use], rows.families[use]
    names = sorted(set(families.tolist()))
    average = float(weight.sum()) / len(names)
    by_family = {name: average / float(weight[families == name].sum()) for name in names}
    scaled: Array = weight * np.array([by_family[family] for family in families.tolist()])
    return scaled


def leave_one_family_out(rows: DiffusionRows, predict_on: DiffusionRows | None = None) -> tuple[Array, dict[str, Values]]:
    """Predictions of every row by a fit that saw no row of its family, and those fits; `predict_on`: the same rows with other facts."""
    shown = predict_on or rows
    predicted = np.zeros(len(rows.log_j))
    folds = {}
    for family in rows.family_names():
        left_out = rows.families == family
        folds[family] = fit(rows, ~left_out)
        predicted[left_out] = predict_log_j(shown, folds[family])[left_out]
    return predicted, folds


def fit_diffusion(measured: Sequence[MeasuredRow], factors: FactorSet) -> FormFit:
    """The form fitted to all rows, images and clips together, with ranges, spreads and scores from the fits that leave one family out."""
    rows = diffusion_rows(measured)
    everything = np.ones(len(rows.log_j), dtype=np.bool_)
    best = fit(rows, everything)
    predicted, folds = leave_one_family_out(rows)
    guessed, _ = leave_one_family_out(rows, diffusion_rows(measured, architecture_known=False))
    spreads = residual_spreads(rows, predicted, guessed, everything)
    return FormFit(
        parameters=(*_parameters(best, folds), *fitted_spreads(spreads, SPREADS, RESIDUALS)),
        scores=_scores(measured, rows, (predicted, guessed), folds, factors),
        rows=len(measured),
        cells=round(float(rows.weight.sum())),
        families=tuple(folds),
    )


def _parameters(best: Values, folds: Mapping[str, Values]) -> list[Fitted]:
    found = []
    for name, prior in PRIORS.items():
        seen = [best[name], *(fold[name] for fold in folds.values())]
        span = (rounded(best[name]), rounded(min(seen)), rounded(max(seen)))
        found.append(Fitted(id=f"diffusion.{name}", value=span[0], low=span[1], high=span[2], unit=prior.unit, note=prior.note))
    return found


def _scores(
    measured: Sequence[MeasuredRow], rows: DiffusionRows, left_out: tuple[Array, Array], folds: Mapping[str, Values], factors: FactorSet
) -> dict[str, Score]:
    """Each family predicted by what ships, with parameters and spreads that never saw it."""
    blind_to = {
        family: with_values(
            factors,
            {f"diffusion.{name}": value for name, value in values.items()} | residual_spreads(rows, *left_out, rows.families != family),
        )
        for family, values in folds.items()
    }
    answers = []
    for row in measured:
        q = predict_diffusion_row(row.visible("known"), blind_to[row.family], blind=False)
        answers.append(Prediction(p50=q.p50, mean=q.mean, low=q.p5, high=q.p95))
    found = {}
    for kind in ("image", "video"):
        for name, alone in (("1 GPU", True), ("any number of GPUs", False)):
            some = [i for i, row in enumerate(measured) if row.kind == kind and (not alone or row.number("num_gpus") == 1)]
            if some:
                found[f"{kind}, {name}"] = score([measured[i] for i in some], [answers[i] for i in some])
    return found


def residual_spreads(rows: DiffusionRows, predicted: Array, guessed: Array, seen: NDArray[np.bool_]) -> dict[str, float]:
    """Standard deviations of the logarithm for families that the fit has not seen, by what makes them harder, told from the rows `seen`."""
    one, several = (rows.gpus == 1) & seen, (rows.gpus > 1) & seen
    images, _ = _spread(rows, predicted, one & ~rows.is_video)
    own_video, families = _spread(rows, predicted, one & rows.is_video)
    video = float(np.sqrt((families * own_video**2 + PSEUDO_FAMILIES * images**2) / (families + PSEUDO_FAMILIES)))
    sharded_images = _family_rms(rows, predicted, several & ~rows.is_video)
    sharded_video = _family_rms(rows, predicted, several & rows.is_video)
    unknown = _family_rms(rows, guessed, one)
    return {
        "diffusion.sd_images": images,
        "diffusion.sd_video": video,
        "diffusion.sd_sharded_images": _beyond(sharded_images, images, SHARDED_LEAST_SD),
        "diffusion.sd_sharded_video": _beyond(sharded_video, video, SHARDED_LEAST_SD),
        "diffusion.sd_unknown_architecture": _beyond(unknown, images, UNKNOWN_LEAST_SD),
    }


def _beyond(whole: float, alone: float, least: float) -> float:
    """What a difficulty adds to a spread, in quadrature."""
    return float(np.sqrt(max(whole**2 - alone**2, least**2)))


def _spread(rows: DiffusionRows, predicted: Array, part: NDArray[np.bool_]) -> tuple[float, int]:
    """The families' root mean square, wider by Student's t over the normal at 95 % as so few families taught it; their number."""
    families = len(set(rows.families[part].tolist()))
    few = stdtrit(max(families - 1, 1), 0.95) / ndtri(0.95)
    return _family_rms(rows, predicted, part) * float(few), families


def _family_rms(rows: DiffusionRows, predicted: Array, part: NDArray[np.bool_]) -> float:
    """Root mean square of the errors with equal weight for every family."""
    return float(np.sqrt(np.average((predicted - rows.log_j)[part] ** 2, weights=_family_weight(rows, part))))
