"""GPU energy of one image or clip on one known deployment. It must never hold a number of its own: all come from factor rows."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from config.diffusion import DiffusionFacts
from config.factors import FactorSet

FLOP_PER_PARAM = 2
"""A multiplication and an addition (definition)."""

ATTENTION_FLOP = 4
"""Per pair of tokens and unit of width: scores and weighted sum, two operations each (definition)."""

BLOCK_PARAMS = 12
"""Parameters of a transformer block over the square of its width (definition)."""

TEXT_ENCODER_TOKENS = 256
"""Tokens of a padded prompt in common pipelines (definition)."""

PIXELS_PER_MEGAPIXEL = 1e6
PER_BILLION = 1e9
J_PER_PJ = 1e-12
J_PER_NJ = 1e-9
INTENSITY_UNIT = 20000.0
"""Unit of `compute_per_traffic`: that of a transformer 3,000 wide over 2,000 tokens (definition)."""


class Shape(NamedTuple):
    """What is made: pixels of each picture or frame, frames of one clip (1 for an image), denoising steps, pictures given as input."""

    width: float
    height: float
    frames: float
    steps: float
    input_images: float = 0.0


class Work(NamedTuple):
    """What one output asks of the accelerators, and of its run: floating-point operations, values written, megapixels, launches."""

    matmul_flop: float
    attention_flop: float
    activations: float
    text_flop: float
    decoded_megapixels: float
    launches: float
    is_linear: bool
    compute_per_traffic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionDeployment:
    """Accelerators that share one run, outputs of one run, and scales relative to an H100 with 16-bit weights."""

    gpus: float = 1.0
    batch: float = 1.0
    gpu_scale: float = 1.0
    launch_scale: float = 1.0
    precision_scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionForm:
    """Parameters of the form; METHODS.md gives symbol, unit and source of each."""

    matmul_pj_per_flop: float
    attention_ratio: float
    activation_nj: float
    linear_overhead_ratio: float
    decoder_j_per_megapixel: float
    launch_j: float
    launch_gpu_exponent: float
    sharding_ratio: float

    def gpu_j(self, work: Work, at: DiffusionDeployment) -> float:
        """GPU joules per output, all GPUs together."""
        denoise = self.matmul_pj_per_flop * J_PER_PJ * (work.matmul_flop + self.attention_ratio * work.attention_flop)
        denoise += self.activation_nj * J_PER_NJ * work.activations
        denoise *= (self.linear_overhead_ratio if work.is_linear else 1.0) * at.precision_scale
        sharding = 1 + self.sharding_ratio * (at.gpus - 1) / work.compute_per_traffic
        once = self.matmul_pj_per_flop * J_PER_PJ * work.text_flop + self.decoder_j_per_megapixel * work.decoded_megapixels
        launched = self.launch_j * work.launches * at.launch_scale * math.pow(at.gpus, self.launch_gpu_exponent)
        return at.gpu_scale * (denoise * sharding + once) + launched / at.batch


def diffusion_form(factors: FactorSet) -> DiffusionForm:
    """The form with the central values of its factor rows."""
    return DiffusionForm(
        matmul_pj_per_flop=factors["diffusion.matmul_pj_per_flop"].value,
        attention_ratio=factors["diffusion.attention_ratio"].value,
        activation_nj=factors["diffusion.activation_nj"].value,
        linear_overhead_ratio=factors["diffusion.linear_overhead_ratio"].value,
        decoder_j_per_megapixel=factors["diffusion.decoder_j_per_megapixel"].value,
        launch_j=factors["diffusion.launch_j"].value,
        launch_gpu_exponent=factors["diffusion.launch_gpu_exponent"].value,
        sharding_ratio=factors["diffusion.sharding_ratio"].value,
    )


def work_of(facts: DiffusionFacts, shape: Shape) -> Work:
    """The work of one output of this shape."""
    per_frame = max(shape.width * shape.height / facts.pixels_per_token**2, 1.0)
    frames = latent_frames(facts, shape.frames)
    own = per_frame * frames
    given = own * facts.edit_tokens_ratio * shape.input_images
    tokens = own + facts.joint_text_tokens + given
    pairs = tokens * tokens if facts.attends == "all" else (per_frame + given / frames) ** 2 * frames
    evaluations = shape.steps * facts.passes
    reach = 0.0 if facts.attention_width == 0 else (tokens if facts.attends == "all" else per_frame)
    return Work(
        matmul_flop=evaluations * FLOP_PER_PARAM * facts.token_params_b * PER_BILLION * tokens,
        attention_flop=evaluations * ATTENTION_FLOP * facts.attention_width * pairs,
        activations=evaluations * facts.activation_width * tokens,
        text_flop=FLOP_PER_PARAM * facts.text_params_b * PER_BILLION * TEXT_ENCODER_TOKENS * facts.passes,
        decoded_megapixels=shape.width * shape.height * (shape.frames + shape.input_images) * facts.decode_weight / PIXELS_PER_MEGAPIXEL,
        launches=shape.steps * facts.blocks,
        is_linear=facts.kind == "linear-dit",
        compute_per_traffic=(BLOCK_PARAMS * FLOP_PER_PARAM / ATTENTION_FLOP * facts.width + reach) / INTENSITY_UNIT,
    )


def latent_frames(facts: DiffusionFacts, frames: float) -> float:
    """Frames of the latent: the first alone, the rest in groups of `frames_per_token`."""
    if facts.frames_per_token <= 1 or frames <= 1:
        return max(frames, 1.0)
    return math.ceil((frames - 1) / facts.frames_per_token) + 1
