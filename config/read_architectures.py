"""Reads the table of architectures. It must never accept one without a model card, nor one that contradicts the card."""

from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from typing import get_args

from config.architecture import Architecture, Mixer, NativePrecision
from config.model_card import ModelCard
from config.rows import Row, read_rows

FILE = "architectures.csv"
ARCHITECTURE_COLUMNS = (
    "id", "layers", "hidden_size", "kv_bytes_per_token", "experts", "experts_per_token", "shared_b", "mixer", "native_precision",
    "image_tokens", "source", "url", "as_of",
)  # fmt: skip
Architectures = Mapping[str, Architecture]
"""Card id -> architecture, for the models that publish theirs."""


def read_architectures(folder: Traversable, cards: Iterable[ModelCard]) -> Architectures:
    """The rows of architectures.csv; raises ValueError naming file, line and column."""
    known = {card.id: card for card in cards}
    found: dict[str, Architecture] = {}
    for row in read_rows(folder, FILE, ARCHITECTURE_COLUMNS):
        card = known.get(row.text("id"))
        if card is None:
            row.refuse("id", f"{row.text('id')!r} is not in models.csv")
        if card.id in found:
            row.refuse("id", f"{card.id!r} stands there twice")
        found[card.id] = _architecture(row, card)
    return found


def _architecture(row: Row, card: ModelCard) -> Architecture:
    experts, taken = _experts(row, card)
    return Architecture(
        id=card.id,
        layers=_whole(row, "layers"),
        hidden_size=_whole(row, "hidden_size"),
        kv_bytes_per_token=row.number("kv_bytes_per_token"),
        experts=experts,
        experts_per_token=taken,
        shared_b=_shared_b(row, card, experts),
        mixer=next(kind for kind in get_args(Mixer) if kind == row.one_of("mixer", get_args(Mixer))),
        native_precision=next(
            kind for kind in get_args(NativePrecision) if kind == row.one_of("native_precision", get_args(NativePrecision))
        ),
        image_tokens=_whole(row, "image_tokens") if row.optional("image_tokens") else None,
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
    )


def _whole(row: Row, column: str) -> int:
    """The cell as a whole number >= 1."""
    found = row.number(column)
    return int(found) if found >= 1 and found.is_integer() else row.refuse(column, f"{found:g} is not a whole number >= 1")


def _experts(row: Row, card: ModelCard) -> tuple[int, int]:
    """Routed experts of one layer and how many a token takes."""
    experts, taken = _whole(row, "experts"), _whole(row, "experts_per_token")
    if taken > experts:
        row.refuse("experts_per_token", "exceeds the experts")
    if experts > 1 and card.active_params_b.value >= card.total_params_b.value:
        row.refuse("experts", "must be 1: all parameters of this model are active")
    return experts, taken


def _shared_b(row: Row, card: ModelCard, experts: int) -> float | None:
    """Parameters outside the routed experts; only a model with experts states them."""
    shared_b = row.maybe_number("shared_b")
    if shared_b is not None and (experts == 1 or not 0 < shared_b < card.total_params_b.value):
        row.refuse("shared_b", "is for a model with experts, above 0 and below the total")
    return shared_b
