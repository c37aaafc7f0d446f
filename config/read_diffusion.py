"""Reads the table of image and video models. It must never accept facts without their source."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

from config.diffusion import Attends, Basis, Billing, DiffusionFacts, Kind, Price, Task
from config.diffusion_names import DiffusionModels
from config.model_name import key_of
from config.rows import Row, read_rows

FILE = "diffusion_models.csv"
DIFFUSION_COLUMNS = (
    "id", "names", "hints", "task", "kind", "params_b", "token_params_b", "blocks", "width", "attention_width", "activation_width",
    "pixels_per_token", "frames_per_token", "attends", "passes", "joint_text_tokens", "text_params_b", "decode_weight", "steps",
    "default_width", "default_height", "default_frames", "default_fps", "qualities", "edit_tokens_ratio", "size_basis", "doubt_factor",
    "billing", "usd_per_output", "usd_per_second", "price_url", "price_as_of", "source", "url", "as_of", "note",
)  # fmt: skip

_TASKS: dict[str, Task] = {"image": "image", "video": "video"}
_KINDS: dict[str, Kind] = {"unet": "unet", "dit": "dit", "linear-dit": "linear-dit"}
_ATTENDS: dict[str, Attends] = {"all": "all", "frame": "frame"}
_BASES: dict[str, Basis] = {"exact": "exact", "class": "class"}
_BILLINGS: dict[str, Billing] = {"pixels": "pixels", "tokens": "tokens"}

_Word = TypeVar("_Word", bound=str)


@cache
def shipped_diffusion_models() -> DiffusionModels:
    """The table that ships with the package, read once."""
    return read_diffusion_models(files("config").joinpath("data"))


def read_diffusion_models(folder: Traversable) -> DiffusionModels:
    """The table of `folder`; raises ValueError naming file, line and column."""
    rows: list[DiffusionFacts] = []
    names: dict[str, str] = {}
    hints: dict[str, str] = {}
    for row in read_rows(folder, FILE, DIFFUSION_COLUMNS):
        facts = _facts(row)
        for column, words, claimed in (
            ("id", (facts.id,), names),
            ("names", row.words("names"), names),
            ("hints", row.words("hints"), hints),
        ):
            for word in words:
                key = key_of(word)
                if not key or claimed.get(key, facts.id) != facts.id:
                    row.refuse(column, f"{word!r} already means {claimed.get(key, 'nothing')!r}")
                claimed[key] = facts.id
        rows.append(facts)
    return DiffusionModels(rows, names, hints)


def _facts(row: Row) -> DiffusionFacts:
    blocks, width = _positive(row, "blocks"), _positive(row, "width")
    kind = _word(row, "kind", _KINDS)
    attention = row.maybe_number("attention_width")
    activation = row.maybe_number("activation_width")
    default_fps = row.maybe_number("default_fps")
    doubt_factor = row.number("doubt_factor")
    if doubt_factor < 1:
        row.refuse("doubt_factor", "must be 1 or more")
    return DiffusionFacts(
        id=row.text("id"),
        task=_word(row, "task", _TASKS),
        kind=kind,
        params_b=_positive(row, "params_b"),
        token_params_b=_positive(row, "token_params_b"),
        blocks=blocks,
        width=width,
        attention_width=attention if attention is not None else (0.0 if kind == "linear-dit" else blocks * width),
        activation_width=activation if activation is not None else blocks * width,
        pixels_per_token=_positive(row, "pixels_per_token"),
        frames_per_token=_positive(row, "frames_per_token"),
        attends=_word(row, "attends", _ATTENDS),
        passes=_positive(row, "passes"),
        joint_text_tokens=row.number("joint_text_tokens"),
        text_params_b=row.number("text_params_b"),
        decode_weight=row.number("decode_weight"),
        steps=int(_positive(row, "steps")),
        default_width=int(_positive(row, "default_width")),
        default_height=int(_positive(row, "default_height")),
        default_frames=int(_positive(row, "default_frames")),
        default_fps=default_fps,
        qualities=dict(_quality(row, word) for word in row.words("qualities")),
        edit_tokens_ratio=row.number("edit_tokens_ratio"),
        size_basis=_word(row, "size_basis", _BASES),
        doubt_factor=doubt_factor,
        billing=_word(row, "billing", _BILLINGS),
        price=_price(row, default_fps),
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
        note=row.optional("note"),
    )


def _price(row: Row, fps: float | None) -> Price | None:
    """The price of one output of the default shape; of a clip by its default seconds."""
    per_output, per_second = row.maybe_number("usd_per_output"), row.maybe_number("usd_per_second")
    if per_output is None and per_second is None:
        return None
    if per_second is None:
        usd, column = per_output or 0.0, "usd_per_output"
    else:
        if per_output is not None or fps is None:
            row.refuse("usd_per_second", "is for clips of a known frame rate, and stands alone")
        usd, column = per_second * row.number("default_frames") / fps, "usd_per_second"
    if usd <= 0:
        row.refuse(column, "must be greater than 0")
    if row.one_of("size_basis", tuple(_BASES)) != "class":
        row.refuse(column, "is for closed products only")
    return Price(usd_per_output=usd, url=row.url("price_url"), as_of=row.text("price_as_of"))


def _word(row: Row, column: str, allowed: dict[str, _Word]) -> _Word:
    return allowed[row.one_of(column, tuple(allowed))]


def _positive(row: Row, column: str) -> float:
    found = row.number(column)
    return found if found > 0 else row.refuse(column, "must be greater than 0")


def _quality(row: Row, word: str) -> tuple[str, float]:
    """`hd:2` as the word and its work."""
    name, _, work = word.partition(":")
    try:
        return name, float(work)
    except ValueError:
        row.refuse("qualities", f"{word!r} is not of the form word:number")
