"""Reads the model tables into the catalogue. It must never accept a size without its source."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources.abc import Traversable
from typing import Literal, get_args

from config.catalogue import Catalogue
from config.disclosures import Disclosure, read_disclosures
from config.model_card import ModelCard, SizeBasis
from config.model_class import CLASS_KINDS, ModelClass, ModelClasses
from config.model_name import key_of
from config.ranges import Range
from config.read_architectures import read_architectures
from config.rows import Row, read_rows

OPERATIONS = ("chat", "completions", "embeddings", "images", "audio", "video", "moderation")
SIZE_COLUMNS = ("total_b", "total_low_b", "total_high_b", "active_b", "active_low_b", "active_high_b")
SOURCE_COLUMNS = ("source", "url", "as_of", "note")
MODEL_COLUMNS = (
    "id", "vendor", "family", *SIZE_COLUMNS, "size_basis", "tier", "operations",
    "open_weights", "reasoning", "vision", "context_tokens", "released", *SOURCE_COLUMNS,
)  # fmt: skip
ALIAS_COLUMNS = ("alias", "model", "kind", "note")
ALIAS_KINDS = ("name", "line")
"""Another name of the model; or the bare name of a line of models, of which the present member is assumed."""
CLASS_COLUMNS = ("id", "kind", "prefix", "hint", *SIZE_COLUMNS, "operations", *SOURCE_COLUMNS)
_TIERS: dict[SizeBasis, tuple[str, ...]] = {"exact": ("B", "C"), "range": ("C", "D"), "inferred": ("D",), "class": ("E",)}


def read_catalogue(folder: Traversable) -> Catalogue:
    """The catalogue of `folder`; raises ValueError naming file, line and column."""
    cards: dict[str, ModelCard] = {}
    names: dict[str, str] = {}
    disclosures = read_disclosures(folder)
    for row in read_rows(folder, "models.csv", MODEL_COLUMNS):
        card = _card(row, disclosures)
        _claim(row, "id", card.id, card.id, names)
        cards[card.id] = card
    for card_id, architecture in read_architectures(folder, cards.values()).items():
        cards[card_id] = replace(cards[card_id], architecture=architecture)
    if strangers := disclosures.keys() - cards.keys():
        raise ValueError(f"disclosures.csv: column 'model': {min(strangers)!r} is not in models.csv")
    aliases: dict[str, dict[str, str]] = {kind: {} for kind in ALIAS_KINDS}
    for row in read_rows(folder, "model_aliases.csv", ALIAS_COLUMNS):
        alias, model = row.text("alias"), row.text("model")
        if model not in cards:
            row.refuse("model", f"{model!r} is not in models.csv")
        _claim(row, "alias", alias, model, names)
        aliases[row.one_of("kind", ALIAS_KINDS)][alias] = model
    classes = [_model_class(row) for row in read_rows(folder, "model_classes.csv", CLASS_COLUMNS)]
    return Catalogue(cards.values(), aliases["name"], ModelClasses(classes), lines=aliases["line"])


def _claim(row: Row, column: str, name: str, model: str, names: dict[str, str]) -> None:
    """Refuses a name that another row has already."""
    key = key_of(name)
    if not key or key in names:
        row.refuse(column, f"{name!r} is already the name of {names.get(key, 'nothing')!r}")
    names[key] = model


def _sizes(row: Row) -> tuple[Range, Range]:
    """Total and active parameters."""
    total = row.span("total_b", "total_low_b", "total_high_b")
    active = row.span("active_b", "active_low_b", "active_high_b")
    if total.low <= 0:
        row.refuse("total_low_b", "must be greater than 0")
    if active.low <= 0:
        row.refuse("active_low_b", "must be greater than 0")
    return total, active


def _operations(row: Row) -> frozenset[str]:
    found = row.words("operations")
    if not found or not set(found) <= set(OPERATIONS):
        row.refuse("operations", f"{' '.join(found)!r} must be among {', '.join(OPERATIONS)}")
    return frozenset(found)


def _card(row: Row, disclosures: Mapping[str, Disclosure]) -> ModelCard:
    total, active = _sizes(row)
    if active.value > total.value or active.high > total.high:
        row.refuse("active_b", "exceeds the total")
    basis: SizeBasis = next(name for name in get_args(SizeBasis) if name == row.one_of("size_basis", get_args(SizeBasis)))
    tiers: dict[str, Literal["B", "C", "D", "E"]] = {"B": "B", "C": "C", "D": "D", "E": "E"}
    context = row.maybe_number("context_tokens")
    return ModelCard(
        id=row.text("id"),
        vendor=row.text("vendor"),
        family=row.text("family"),
        total_params_b=total,
        active_params_b=active,
        size_basis=basis,
        tier=tiers[row.one_of("tier", _TIERS[basis])],
        operations=_operations(row),
        open_weights=row.flag("open_weights"),
        reasoning=row.flag("reasoning"),
        vision=row.flag("vision"),
        context_tokens=None if context is None else int(context),
        released=row.optional("released"),
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
        note=row.text("note") if basis != "exact" else row.optional("note"),
        disclosure=disclosures.get(row.text("id")),
    )


def _model_class(row: Row) -> ModelClass:
    total, active = _sizes(row)
    return ModelClass(
        id=row.text("id"),
        kind=next(kind for kind in CLASS_KINDS if kind == row.one_of("kind", CLASS_KINDS)),
        prefix=row.optional("prefix"),
        hint=row.optional("hint"),
        total_params=total,
        active_params=active,
        operations=_operations(row),
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
        note=row.text("note"),
    )
