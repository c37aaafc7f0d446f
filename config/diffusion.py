"""The architecture of one image or video model. It must never stand without its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["image", "video"]
Kind = Literal["unet", "dit", "linear-dit"]
Attends = Literal["all", "frame"]
Basis = Literal["exact", "class", "assumed"]
Billing = Literal["pixels", "tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a product's maker asks for one output of the default shape, US dollars, and where that is said."""

    usd_per_output: float
    url: str
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionFacts:
    """One denoiser and how it is used when the caller does not say.

    params_b: denoiser, billions; token_params_b: those that one latent token passes in one step, billions. attention_width: sum over
    blocks of width times the square of the share of tokens in them; activation_width: the same with the share itself. blocks: what is
    launched one after the other in a step. pixels_per_token: side of the square that one token stands for; frames_per_token: frames.
    attends: to all tokens of a clip, or those of its frame. passes: evaluations per step, 2 under guidance. joint_text_tokens: text
    inside the token sequence. decode_weight: decoder's work per pixel, 1 = the common 8x decoder. qualities: work of a quality word
    relative to the default. edit_tokens_ratio: tokens that one input picture adds, per token of the output. doubt_factor: p95 over
    p50 of the work, 1 = the architecture is known. price: of a closed product, None where its maker states none.
    """

    id: str
    task: Task
    kind: Kind
    params_b: float
    token_params_b: float
    blocks: float
    width: float
    attention_width: float
    activation_width: float
    pixels_per_token: float
    frames_per_token: float
    attends: Attends
    passes: float
    joint_text_tokens: float
    text_params_b: float
    decode_weight: float
    steps: int
    default_width: int
    default_height: int
    default_frames: int
    default_fps: float | None
    qualities: Mapping[str, float]
    edit_tokens_ratio: float
    size_basis: Basis
    doubt_factor: float
    billing: Billing
    price: Price | None
    source: str
    url: str
    as_of: str
    note: str
