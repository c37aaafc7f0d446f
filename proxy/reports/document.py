"""A report as values, before it is text, page, sheet or data. It must never hold a sentence: words belong to the renderers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.reports.line import Line, Spread

Effect = Literal["volume", "mix", "length", "region", "method"]
"""What a change since the period before is made of: more calls, other models, longer or more answers per call, other places, factors."""

Level = Literal["brand", "campaign", "asset"]

Scope = Literal["method", "provider", "model", "zone", "call"]

NoteCode = Literal[
    "simulated",  # share: of the attempts, answered by the simulated provider
    "unweighed",  # attempts: something was generated that is in no figure
    "not_generated",  # attempts: refused or failed, without a weight of their own
    "pending",  # attempts: their work is not booked yet
    "estimated_usage",  # share: of the metered attempts, usage by rule of thumb
    "counted_usage",  # share: of the metered attempts, usage counted by the proxy's tokenizer
    "instead",  # calls: no provider answered them
    "unassigned",  # tag, share: of the grams, without this tag
    "imported",  # calls: not seen live, taken from a usage export
    "observed",  # calls: seen live by telemetry alone, they never came through the proxy
    "not_reconciled",  # no provider's own figures were compared
    "several_factor_sets",  # count: figures of the period rest on so many factor sets
    "previous_empty",  # nothing was weighed in the period before
    "previous_pruned",  # single calls of the period before were deleted by retention, and its sums do not begin or end with it
    "restated",  # share: of the grams, restated by a declared basis; gco2e_per_kwh, zone, source, year: of its factor
    "pruned",  # until: single calls before were deleted by retention; the parts that need them are empty
    "empty",  # no call in the period
]

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What every export carries. Times are RFC 3339 in `time_zone`; hashes are sha256 in hex. until is excluded.

    estimate_set: the named set of opinions, None: the live one. intensity: `yearly` factors (the inventory), or a declared basis such as
    `ademe-annual`. scope: the tags whose calls alone are in the report. lines: what the total sums up.
    """

    tool_version: str
    config_sha256: str
    factor_sets: tuple[str, ...]
    methods: tuple[str, ...]
    profiles: tuple[str, ...]
    since: str
    until: str
    time_zone: str
    created: str = ""
    estimate_set: str | None = None
    intensity: str = "yearly"
    scope: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryLine:
    """One line of the boundary: its name (operational, embodied, training, network), its sum, and whether the total contains it.

    undivided: what was weighed as a whole, such as money.

    weighed_attempts: how many attempts have this line.
    """

    name: Literal["operational", "embodied", "undivided", "training", "network"]
    gco2e: Spread | None
    is_in_total: bool
    weighed_attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hourly:
    """The second column: grams by the grid's intensity of the very hour, where that is known; in no total.

    covered_share: of the operational grams, the share whose hour is known. covered_yearly_gco2e, covered_hourly_gco2e: operational grams of
    those calls by the yearly factor and by the hour's. gco2e: the total if these calls are counted by the hour.
    """

    covered_share: float
    covered_yearly_gco2e: float
    covered_hourly_gco2e: float
    gco2e: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The total of the period before and the grams that each effect explains; they add up to the difference exactly (LMDI)."""

    previous: Line
    previous_since: str
    previous_until: str
    difference_gco2e: float
    gco2e_by_effect: Mapping[Effect, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """Finished things of one kind (the tag `tool`). gco2e_per_accepted: all calls of the kind's assets over the accepted ones.

    None where none was accepted. gco2e: of all calls of the kind's assets. minutes_saved: as people declared; beside, never netted.
    """

    kind: str
    assets: int
    accepted: int
    rejected: int
    undecided: int
    calls: int
    gco2e: Spread | None
    calls_per_accepted: float | None
    gco2e_per_accepted: Spread | None
    minutes_saved: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Grams of a unit that is made: `1000_words`, `1000_output_tokens`, `image`. quantity: how many units were made.

    assumption: id of the factor row that the count rests on, None: counted.
    """

    name: Literal["1000_words", "1000_output_tokens", "image"]
    quantity: float
    calls: int
    gco2e_per_unit: Spread
    assumption: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """What one policy did: baseline, choice and their modelled difference (choice less baseline), with water beside carbon.

    None where no call was modelled. modelled_calls: those that baseline and choice are the sums of. held_back_calls: evidence of what the
    policy does (`grammage policy evidence`). water_unknown: why the difference in water is None (a code).
    """

    policy: str
    mode: str
    calls_by_action: Mapping[str, int]
    modelled_calls: int
    held_back_calls: int
    baseline_gco2e: Spread | None
    choice_gco2e: Spread | None
    difference_gco2e: Spread | None
    probability_less: float | None
    difference_water_ml: Spread | None
    water_unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighter:
    """Something that would weigh less: calls of one model and kind, what they weigh now, and the modelled difference to another way.

    difference_gco2e is below 0 where it weighs less; probability_less: of that.
    """

    kind: Literal["smaller_model", "lower_carbon_region", "shorter_answers", "fewer_iterations"]
    what: str
    instead: str
    calls: int
    gco2e: Spread
    difference_gco2e: Spread
    probability_less: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What the range is made of: the total with one source of doubt at its 5th and 95th percentile, the others at rest.

    key: the model, zone, provider or method whose doubt it is; None: all of the scope.
    """

    scope: Scope
    key: str | None
    gco2e_low: float
    gco2e_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Advice with where it comes from."""

    id: str
    text_en: str
    text_fr: str
    source: str
    url: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How one team works, never one person: shares are ratios 0..1, None without a base. dimension: the tag that names teams."""

    dimension: str
    team: str
    calls: int
    gco2e: Spread | None
    calls_per_accepted: float | None
    oversized_share: float | None
    long_answer_share: float | None
    tips: tuple[Tip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what a provider counted is in the report. tokens, money: ratios to what the provider says, None: not reconciled.

    attempts: all in the report. imported_calls: calls that imported records stand for, None where these may be gone.
    """

    provider: str
    month: str
    tokens: float | None
    money: float | None
    gap: str | None
    attempts: int = 0
    imported_calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """The total as so many of an everyday thing; labels come with the sourced row."""

    id: str
    label_en: str
    label_fr: str
    count: float
    source: str
    url: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One brand, campaign or asset with what lies below it, heaviest first. cut: how many lighter ones are not listed.

    calls: attempts with a figure.
    """

    level: Level
    name: str
    calls: int
    gco2e: Spread | None
    below: tuple["Branch", ...] = ()
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a reader must know: a code that renderers have a sentence for in each language, and the values in it."""

    code: NoteCode
    values: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWeight:
    """What the proxy itself weighed: all of its processes, idle or at work. In no other figure.

    measured_share: of cpu_s, the share in which the host's energy counters were read; the power of the rest is modelled. gco2e_per_call:
    by the calls of the period, None without any. warnings: codes, such as `region-assumed`.
    """

    gco2e: Spread
    operational_gco2e: Spread
    embodied_gco2e: Spread
    facility_energy_wh: Spread
    water_ml: Spread
    gco2e_per_call: Spread | None
    cpu_s: float
    process_hours: float
    processes: int
    measured_share: float
    zones: tuple[str, ...]
    methods: tuple[str, ...]
    factor_sets: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedKind:
    """Records of one kind of file. calls: that they stand for. gco2e: None where none is weighed. gco2e_by_tier: expected values."""

    source: str
    records: int
    calls: int
    gco2e: Spread | None
    gco2e_by_tier: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedShare:
    """The total in two parts: what was seen live, and what was taken from files. Both are in the total, once."""

    live_gco2e: Spread | None
    gco2e: Spread | None
    kinds: tuple[ImportedKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a page shows, in its order.

    groups: lines by dimension (`model`, `provider`, `zone`, `operation`, `policy`, `day`, `tag:NAME`), heaviest first, days in order.
    imported_calls and unmetered_calls are None where the ledger cannot tell. pending_calls wait for a late booking. instead: calls that no
    provider answered, by what did. purposes: of campaigns, as declared. own: the proxy itself; None where
    it is not known, or the report is of some tags alone. imported: None where nothing was imported. single_calls_since: calls before were
    deleted by retention, so that the parts which need single calls are empty; None: all are there.
    """

    basis: Basis
    total: Line
    hourly: Hourly | None
    boundary: tuple[BoundaryLine, ...]
    change: Change | None
    deliverables: tuple[Deliverable, ...]
    units: tuple[Unit, ...]
    unmetered_calls: int | None
    imported_calls: int | None
    pending_calls: int
    instead: Mapping[str, int]
    coverage: tuple[Coverage, ...]
    policies: tuple[PolicyLine, ...]
    lighter: tuple[Lighter, ...]
    drivers: tuple[Driver, ...]
    equivalences: tuple[Likeness, ...]
    groups: Mapping[str, tuple[Line, ...]]
    tree: tuple[Branch, ...]
    habits: tuple[Habit, ...]
    purposes: Mapping[str, str]
    notes: tuple[Note, ...] = ()
    own: OwnWeight | None = None
    imported: ImportedShare | None = None
    single_calls_since: str | None = None
