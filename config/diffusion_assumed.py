"""The architecture that a size and a name suggest where none is known. It must never be taken for a row of the table."""

from collections.abc import Mapping
from typing import Final

from config.diffusion import DiffusionFacts, Kind, Task
from config.model_name import key_of, plain_name

_UNET_WORDS: Final = ("unet", "stable-diffusion-1", "stable-diffusion-2", "stable-diffusion-xl")


def kind_hint(name: str) -> Kind:
    """What an unknown name suggests: a transformer, unless it speaks of the older convolutional family."""
    key = key_of(plain_name(name))
    return "unet" if any(word in key for word in _UNET_WORDS) else "dit"


ASSUMED_PARAMS_B: Final[Mapping[Task, float]] = {"image": 8.0, "video": 10.0}
"""Size of a model of which nothing is known, billions: middle of the open models in the table; a judgement."""

_TOKEN_SHARE: Final = 0.6
"""Share of a transformer's parameters that one image token passes: 0.33 with separate text weights, 0.55 to 0.95 without; a judgement."""

_SHAPE: Final = 43200.0
"""12 * 60**2: parameters per block over width squared, at 60 of width per block, as in the transformers of the table."""

_UNET_TOKEN_SCALE: Final = 0.098
_UNET_TOKEN_EXPONENT: Final = 0.6
"""Parameters per latent pixel of the convolutional models in the table: about 0.098 * params_b**0.6 billions."""


def assumed_facts(task: Task, kind: Kind, params_b: float | None) -> DiffusionFacts:
    """Facts that a size and a kind suggest; the doubt of an unknown architecture is added by whoever weighs with them."""
    params = params_b or ASSUMED_PARAMS_B[task]
    is_video = task == "video"
    if kind == "unet":
        token_params, blocks, width = _UNET_TOKEN_SCALE * params**_UNET_TOKEN_EXPONENT, 55.0, 640.0
        attention, activation = 1000.0, 24000.0 if is_video else 11000.0
    else:
        token_params = params * _TOKEN_SHARE
        blocks = max((token_params * 1e9 / _SHAPE) ** (1 / 3), 1.0)
        width = 60.0 * blocks
        attention, activation = (0.0 if kind == "linear-dit" else blocks * width), blocks * width
    return DiffusionFacts(
        id=f"assumed-{task}-{kind}",
        task=task,
        kind=kind,
        params_b=params,
        token_params_b=token_params,
        blocks=blocks,
        width=width,
        attention_width=attention,
        activation_width=activation,
        pixels_per_token={"unet": 8.0, "dit": 16.0, "linear-dit": 32.0}[kind],
        frames_per_token=4.0 if is_video and kind != "unet" else 1.0,
        attends="frame" if kind == "unet" else "all",
        passes=2.0,
        joint_text_tokens=0.0,
        text_params_b=5.0,
        decode_weight=1.0,
        steps=50 if is_video else 28,
        default_width=1280 if is_video else 1024,
        default_height=720 if is_video else 1024,
        default_frames=121 if is_video else 1,
        default_fps=24.0 if is_video else None,
        qualities={},
        edit_tokens_ratio=0.5,
        size_basis="assumed",
        doubt_factor=1.0,
        billing="pixels",
        price=None,
        source="Judgement of this project: shape that the size suggests, from the open models of the table",
        url="https://huggingface.co/models",
        as_of="2026-11-23",
        note="architecture not known",
    )
