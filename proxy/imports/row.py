"""One row of a file as values, whatever tool wrote it. It must never hold a name, an address or a text that somebody wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from estimators.usage import UsageSource

Tags = tuple[tuple[str, str], ...]


class BadRow(Exception):
    """A row that cannot be read; its text names file, line and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What pictures were like; None: not told."""

    width: int | None = None
    height: int | None = None
    quality: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What somebody counted of one call, or of many together in [start_ms, end_ms); end_ms None: of one call.

    own_id: what the source calls it for good, None: nothing. ids: by which the ledger may know the call. operation: as in OPERATIONS.
    amounts: by the names of ledger.import_ledger.AMOUNTS, `calls` among them. money: what the source says it cost, in `currency`.
    """

    line: int
    provider: str | None
    model: str
    operation: str
    start_ms: int
    amounts: Mapping[str, float]
    end_ms: int | None = None
    own_id: str | None = None
    ids: tuple[str, ...] = ()
    tags: Tags = ()
    latency_s: float = 0.0
    batched: bool = False
    source: UsageSource = "provider"
    shape: Shape = field(default_factory=Shape)
    money: float | None = None
    currency: str | None = None

    @property
    def is_sum(self) -> bool:
        """True when it stands for many calls, which cannot be told apart."""
        return self.end_ms is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """Money for a tool in one month, without tax, in `currency`. seats: None where it is no price of seats.

    is_tool: it pays for something that no base URL is behind, whatever else its vendor sells.
    """

    line: int
    provider: str
    model: str
    start_ms: int
    amount: float
    currency: str
    category: str
    seats: float | None = None
    tags: Tags = ()
    own_id: str | None = None
    is_tool: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRow:
    """A row of which nothing is to be weighed; reason: a code."""

    line: int
    reason: str


Row = UsageRow | SpendRow | SkippedRow
