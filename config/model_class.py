"""What to assume of a model that the catalogue does not hold. It must never look certain: its cards are tier E and wide."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from config.model_card import ModelCard
from config.model_name import NamedSize, named_size
from config.ranges import Range

ClassKind = Literal["embeddings", "named-active", "named-experts", "named-large", "named", "hint", "default", "family"]
CLASS_KINDS: tuple[ClassKind, ...] = ("embeddings", "named-active", "named-experts", "named-large", "named", "hint", "default", "family")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClass:
    """One row of assumptions. `hint` and `embeddings`: sizes in billions, for names that begin with `prefix` and contain `hint`.

    `named*`: ratios to the size in the name. `family`: ratios to the size of the known relative. `default`: all other names.
    """

    id: str
    kind: ClassKind
    prefix: str
    hint: str
    total_params: Range
    active_params: Range
    operations: frozenset[str]
    source: str
    url: str
    as_of: str
    note: str


class ModelClasses:
    """All classes in order of precedence; exactly one each of the named, default and family kinds."""

    __slots__ = ("_hints", "_one")

    def __init__(self, rows: Iterable[ModelClass]) -> None:
        rows = tuple(rows)
        self._hints = tuple((_bordered(row.prefix), _bordered(row.hint), row) for row in rows if row.kind in ("hint", "embeddings"))
        self._one = {row.kind: row for row in rows if row.kind not in ("hint", "embeddings")}
        missing = [kind for kind in CLASS_KINDS if kind not in ("hint", "embeddings") and kind not in self._one]
        if missing:
            raise ValueError(f"model_classes.csv:1: column 'kind': no row of kind {', '.join(missing)}")

    def card_for(self, plain: str, key: str) -> ModelCard:
        """The class card of an unknown name: by the size it states, else by vendor and size words, else the default."""
        bordered = _bordered(key)
        hinted = next((row for prefix, hint, row in self._hints if hint in bordered and bordered.startswith(prefix)), None)
        size = named_size(plain)
        if size is None:
            return _card(hinted or self._one["default"], 1.0, 1.0)
        row = self._one[_named_kind(size)]
        if hinted is not None:
            row = replace(row, operations=hinted.operations)
        return _card(row, size.total_b, size.active_b if size.active_b is not None else size.total_b)

    def is_hinted(self, rest: str) -> bool:
        """True when the part of a key that a relative does not share speaks of another size or another trade."""
        bordered = f"{rest}-"
        return any(hint and not prefix and hint in bordered for prefix, hint, _ in self._hints)

    def widened(self, card: ModelCard) -> ModelCard:
        """The card of a relative, with the range of the family around it."""
        row = self._one["family"]
        return replace(
            card,
            total_params_b=_scaled_span(card.total_params_b, row.total_params),
            active_params_b=_scaled_span(card.active_params_b, row.active_params),
            size_basis="inferred",
            tier="E" if card.tier == "E" else "D",
            note=f"assumed from the relative {card.id}. {card.note}".strip(),
            disclosure=None,
        )


def _bordered(words: str) -> str:
    """The words between `-`, so that only whole words match; empty stays empty and matches all."""
    return f"-{words}-" if words else ""


def _named_kind(size: NamedSize) -> ClassKind:
    """Which ratios fit the form in which a name states its size."""
    if size.active_b is not None:
        return "named-active"
    if size.experts is not None:
        return "named-experts"
    return "named-large" if size.total_b > LARGE_B else "named"


LARGE_B = 130.0
"""Billions of parameters above which a name without an active size is taken as a mixture of experts more often than not (definition)."""


def _scaled_span(size: Range, ratio: Range) -> Range:
    return Range(size.value * ratio.value, size.low * ratio.low, size.high * ratio.high)


def _card(row: ModelClass, total_b: float, active_b: float) -> ModelCard:
    """The class as a card; the sizes are ratios (named kinds) or billions (total_b == active_b == 1)."""
    return ModelCard(
        id=row.id,
        vendor="unknown",
        family="unknown",
        total_params_b=row.total_params.scaled(total_b),
        active_params_b=row.active_params.scaled(active_b),
        size_basis="class",
        tier="E",
        operations=row.operations,
        open_weights=False,
        reasoning=False,
        vision=False,
        context_tokens=None,
        released="",
        source=row.source,
        url=row.url,
        as_of=row.as_of,
        note=row.note,
    )
