"""A report as values, before it is text, page, sheet or data. It must never hold a sentence: words belong to the renderers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from proxy.reports.line import Line, Spread

Effect = Literal["volume", "mix", "length", "region", "method"]
"""What a change since the period before is made of: more calls, other models, longer or more answers per call, other places, factors."""

Dimension = Literal["model", "provider", "zone", "operation", "policy", "day", "brand", "campaign", "tool", "asset", "stage", "market"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What every export carries. Times are RFC 3339; hashes are sha256 in hex. estimate_set: the named set of opinions, None: the live one.

    intensity: `yearly` factors (the inventory), or a declared basis such as `ademe-annual`.
    """

    tool_version: str
    config_sha256: str
    factor_sets: tuple[str, ...]
    methods: tuple[str, ...]
    profiles: tuple[str, ...]
    since: str
    until: str
    time_zone: str
    estimate_set: str | None = None
    intensity: str = "yearly"
    scope: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryLine:
    """One line of the boundary: its name (operational, embodied, training, network), its sum, and whether the total contains it."""

    name: str
    gco2e: Spread | None
    is_in_total: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The total of the period before and the grams that each effect explains; they add up to the difference exactly (LMDI)."""

    previous: Line
    previous_since: str
    previous_until: str
    gco2e_by_effect: Mapping[Effect, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """Finished things of one kind. gco2e_per_accepted: all calls of the kind's assets over the accepted ones; None where none was."""

    kind: str
    assets: int
    accepted: int
    rejected: int
    calls: int
    calls_per_accepted: float | None
    gco2e_per_accepted: Spread | None
    minutes_saved: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """What one policy did: baseline, choice and their modelled difference, with water beside carbon; None where no call was weighed."""

    policy: str
    mode: str
    calls_by_action: Mapping[str, int]
    baseline_gco2e: Spread | None
    choice_gco2e: Spread | None
    difference_gco2e: Spread | None
    difference_water_ml: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighter:
    """Something that would weigh less: calls of one model and kind, what they weigh now, and the modelled difference to another one."""

    kind: Literal["smaller_model", "lower_carbon_region", "shorter_answers", "fewer_iterations"]
    what: str
    instead: str
    calls: int
    gco2e: Spread
    difference_gco2e: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What the range is made of: the total with one source of doubt at its 5th and 95th percentile, the others at rest."""

    name: str
    gco2e_low: float
    gco2e_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How one team works, never one person: shares are ratios 0..1, None without a base. tips: ids of sourced tips, at most three."""

    team: str
    calls: int
    gco2e: Spread | None
    calls_per_accepted: float | None
    oversized_share: float | None
    long_answer_share: float | None
    tips: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is in the report beside live calls, and what is missing. tokens, money: ratios to what the provider says, None: not reconciled."""

    provider: str
    month: str
    tokens: float | None
    money: float | None
    gap: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a page shows, in its order."""

    basis: Basis
    total: Line
    hourly_gco2e: float | None
    boundary: tuple[BoundaryLine, ...]
    change: Change | None
    deliverables: tuple[Deliverable, ...]
    unmetered_calls: int
    imported_calls: int
    coverage: tuple[Coverage, ...]
    policies: tuple[PolicyLine, ...]
    lighter: tuple[Lighter, ...]
    drivers: tuple[Driver, ...]
    equivalences: tuple[tuple[str, float], ...]
    groups: Mapping[str, tuple[Line, ...]]
    habits: tuple[Habit, ...]
    purposes: Mapping[str, str]
    notes: tuple[str, ...] = ()
