"""The facts of one model, and how a name led to them. It must never present an inferred size as a published one."""

from dataclasses import dataclass
from typing import Literal

from config.architecture import Architecture
from config.disclosures import Disclosure
from config.ranges import Range

SizeBasis = Literal["exact", "range", "inferred", "class"]
Match = Literal["exact", "alias", "dated", "family", "class"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Facts of one model: parameters in billions (total in memory, active per token), what it does, and who says so.

    size_basis: exact (published), range (published bounds), inferred (closed model, reasoned), class (unknown model).
    tier: B (measured publicly) | C (open architecture) | D (closed, inferred) | E (unknown).
    disclosure: a reviewed footprint of exactly this version; None for all others, also for a name that only resembles it.
    architecture: how it is built, None where that is not published.
    operations: subset of {"chat", "completions", "embeddings", "images", "audio", "video", "moderation"}.
    """

    id: str
    vendor: str
    family: str
    total_params_b: Range
    active_params_b: Range
    size_basis: SizeBasis
    tier: Literal["B", "C", "D", "E"]
    operations: frozenset[str]
    open_weights: bool
    reasoning: bool
    vision: bool
    context_tokens: int | None
    released: str
    source: str
    url: str
    as_of: str
    note: str
    disclosure: Disclosure | None = None
    architecture: Architecture | None = None

    @property
    def is_moe(self) -> bool:
        """True when fewer parameters are active per token than are held in memory."""
        return self.active_params_b.value < self.total_params_b.value * 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMatch:
    """How a requested name was resolved: the card, by which rule, and warnings such as `model-unknown`."""

    card: ModelCard
    match: Match
    warnings: tuple[str, ...] = ()
