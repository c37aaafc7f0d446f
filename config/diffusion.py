"""Architecture facts of image and video models, and how a name leads to them. It must never present a guess as a published fact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from config.model_name import key_of, named_size, plain_name, prefixes, trimmed_keys

Task = Literal["image", "video"]
Kind = Literal["unet", "dit", "linear-dit"]
Attends = Literal["all", "frame"]
Basis = Literal["exact", "class", "assumed"]
Billing = Literal["pixels", "tokens"]

FAMILY_ASSUMED = "diffusion-family-assumed"
ARCHITECTURE_ASSUMED = "diffusion-architecture-assumed"

_UNET_WORDS: Final = ("unet", "stable-diffusion-1", "stable-diffusion-2", "stable-diffusion-xl")
_SIZE_REACH: Final = 1.3
"""A relative whose stated size differs by more than this factor is none (definition)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionMatch:
    """Facts for a name, with warnings such as `diffusion-architecture-assumed`."""

    facts: DiffusionFacts
    warnings: tuple[str, ...] = ()


class DiffusionModels:
    """All rows of facts, and the way from any name to one of them."""

    __slots__ = ("_by_key", "_hints", "_rows")

    def __init__(self, rows: Iterable[DiffusionFacts], names: Mapping[str, str], hints: Mapping[str, str]) -> None:
        """names: key of a name -> id; hints: word of an unknown name -> id. Raises ValueError when one points nowhere."""
        self._rows = {row.id: row for row in rows}
        lost = sorted({*names.values(), *hints.values()} - set(self._rows))
        if lost:
            raise ValueError(f"names point to diffusion models that do not exist: {', '.join(lost)}")
        self._by_key = {key: self._rows[name] for key, name in names.items()}
        self._hints = tuple((f"-{key_of(word)}-", self._rows[name]) for word, name in sorted(hints.items(), key=_longest_first))

    def rows(self) -> tuple[DiffusionFacts, ...]:
        """All facts, in the order of the table."""
        return tuple(self._rows.values())

    def known(self, name: str) -> DiffusionFacts | None:
        """The facts of this very model, in any spelling; None when the table does not hold it."""
        key = key_of(plain_name(name))
        for candidate in (key, key.removesuffix("-diffusers"), *(shorter for shorter, _ in trimmed_keys(key))):
            if candidate in self._by_key:
                return self._by_key[candidate]
        return None

    def resolve(self, name: str, *, task: Task, params_b: float | None) -> DiffusionMatch:
        """Facts to weigh `name` with. Never raises: an unknown name falls to a relative, then to what its size suggests."""
        facts = self.known(name)
        if facts is not None:
            return DiffusionMatch(facts=facts)
        size = named_size(plain_name(name)) if params_b is None else None
        stated_b = size.total_b if size else params_b
        relative = self._relative(key_of(plain_name(name)), task, stated_b)
        if relative is not None:
            basis: Basis = "class" if relative.size_basis == "class" else "assumed"
            return DiffusionMatch(facts=replace(relative, size_basis=basis), warnings=(FAMILY_ASSUMED,))
        return self.assumed(name, task=task, params_b=stated_b)

    def assumed(self, name: str, *, task: Task, params_b: float | None) -> DiffusionMatch:
        """Facts that a size and a name suggest, whatever the table holds."""
        return DiffusionMatch(facts=assumed_facts(task, kind_hint(name), params_b), warnings=(ARCHITECTURE_ASSUMED,))

    def _relative(self, key: str, task: Task, params_b: float | None) -> DiffusionFacts | None:
        """The row of the longest known prefix, or of a word in the name, of the same task and about the same size."""
        by_prefix = (self._by_key[prefix] for prefix, _ in prefixes(key) if prefix in self._by_key)
        by_word = (row for word, row in self._hints if word in f"-{key}-")
        for row in (*by_prefix, *by_word):
            if row.task == task and _is_about(row.params_b, params_b):
                return row
        return None


def _longest_first(entry: tuple[str, str]) -> tuple[int, str]:
    return -len(entry[0]), entry[0]


def _is_about(known_b: float, stated_b: float | None) -> bool:
    return stated_b is None or max(known_b / stated_b, stated_b / known_b) <= _SIZE_REACH


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
