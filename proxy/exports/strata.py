"""Tells what a sum is in an inventory: whose machines, which method, how good. It must never guess whose machines answered."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from proxy.exports.gather import Gathered
from proxy.ledger.inventory_cells import InventoryCell

Stratum = Literal["live", "imported", "simulated"]
STRATA: Final[tuple[Stratum, ...]] = ("live", "imported", "simulated")

Whose = Literal["purchased", "rented", "own"]
WHOSE: Final[tuple[Whose, ...]] = ("purchased", "rented", "own")

Kind = Literal["text", "image", "other"]
KINDS: Final[tuple[Kind, ...]] = ("text", "image", "other")

Method = Literal["supplier-specific", "hybrid", "average-data", "spend-based"]
METHODS: Final[Mapping[str, Method]] = {"disclosed": "supplier-specific", "metered": "hybrid", "spend": "spend-based"}
"""Calculation methods of scope 3 category 1 by ours: a reviewed figure of the supplier, its meter with an average grid, money."""

AVERAGE: Final[Method] = "average-data"
PRIMARY: Final = frozenset({"disclosed", "metered"})
"""Methods whose figure comes from the supplier or a meter."""

SCORES: Final[Mapping[str, int]] = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5}
"""Data quality by tier, 1 best; a mapping of this tool's."""

TOLD: Final = "provider"
"""Who counted the tokens: the provider itself."""


def stratum(cell: InventoryCell) -> Stratum:
    """Where it came from: seen live, taken from a file, or answered by the simulated provider."""
    if cell.imported:
        return "imported"
    return "simulated" if cell.simulated else "live"


def counted(gathered: Gathered) -> tuple[InventoryCell, ...]:
    """The cells that an export's own figures are of: those seen live; imported ones stand apart, and simulated ones unless asked for."""
    wanted = {"live", "simulated"} if gathered.with_simulated else {"live"}
    return tuple(cell for cell in gathered.cells if stratum(cell) in wanted)


def whose(cell: InventoryCell, gathered: Gathered) -> Whose:
    """A provider's, or one's own; a machine of one's own with a cloud's region is taken for rented."""
    if cell.provider not in gathered.own_providers:
        return "purchased"
    return "own" if cell.region is None else "rented"


def kind_of(cell: InventoryCell) -> Kind:
    """What was made, by the rule that reports have for their units."""
    usage = cell.usage
    if usage["images"] > 0:
        return "image"
    writes = usage["output_tokens"] > 0 and not usage["seconds"] and not usage["audio_output_tokens"]
    return "text" if writes else "other"


def our_method(cell: InventoryCell) -> str:
    """The method of the estimate, without its version."""
    return cell.opinions.shared.method.partition("@")[0]


def scope3_method(cell: InventoryCell) -> Method:
    """The calculation method as the GHG Protocol names it."""
    return METHODS.get(our_method(cell), AVERAGE)


def grams_of(cells: Sequence[InventoryCell]) -> float:
    """Expected grams of the cells."""
    return sum(cell.opinions.lines["gco2e"].mean for cell in cells if "gco2e" in cell.opinions.lines)


def share(part: Sequence[InventoryCell], whole: Sequence[InventoryCell]) -> float | None:
    """Of the grams, the share of some; None without any."""
    grams = grams_of(whole)
    return grams_of(part) / grams if grams > 0 else None


def score(cells: Sequence[InventoryCell]) -> float | None:
    """Data quality, weighted by grams: 1 best, 5 worst."""
    grams = grams_of(cells)
    return sum(SCORES[cell.opinions.quality] * grams_of([cell]) for cell in cells) / grams if grams > 0 else None


def primary_share(cells: Sequence[InventoryCell]) -> float | None:
    """Of the grams, the share whose figure comes from the supplier's reviewed disclosure or from a meter."""
    return share([cell for cell in cells if our_method(cell) in PRIMARY], cells)


def told_share(cells: Sequence[InventoryCell]) -> float | None:
    """Of the grams, the share whose tokens the provider counted itself."""
    return share([cell for cell in cells if cell.usage_source == TOLD], cells)
