"""Sorts sums into scopes, categories and posts, each with its reason. It must never put one gram into two of them."""

from dataclasses import dataclass
from typing import Final, Literal

from proxy.exports.gather import Gathered
from proxy.exports.strata import Whose, counted, scope3_method, score, whose
from proxy.exports.sums import attempts_of, beside_of, beyond_of, both, grouped, sum_of
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.line import Spread

Line = Literal["gco2e", "operational_gco2e", "embodied_gco2e"]
BEYOND: Final = ("training_gco2e", "network_gco2e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where grams go: scope and category of the GHG Protocol, category of ISO 14064-1, post of the French method. id: of `reasons` too."""

    id: str
    whose: Whose
    line: Line
    scope: str
    iso: str
    post: str


PLACES: Final = (
    Place(id="purchased", whose="purchased", line="gco2e", scope="3.1", iso="4", post="4.5"),
    Place(id="rented", whose="rented", line="gco2e", scope="3.1", iso="4", post="4.5"),
    Place(id="own_electricity", whose="own", line="operational_gco2e", scope="2", iso="2", post="2.1"),
    Place(id="own_hardware", whose="own", line="embodied_gco2e", scope="3.2", iso="4", post="4.2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The grams of one place. methods: calculation methods of scope 3, heaviest first."""

    place: Place
    gco2e: Spread | None
    attempts: int
    methods: tuple[str, ...]
    data_quality_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Category1:
    """Scope 3 category 1 of what was bought: in the total, what stands beside it (training, network), and both together.

    The ends of `whole` are sums of ends: the widest that its range can be.
    """

    in_total: Spread | None
    beside: Spread | None
    whole: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope2:
    """Electricity of one's own machines by both methods. market_share: of location-based grams, the share with a published factor.

    market_based_gco2e: by that factor where there is one, by the grid elsewhere; None where there is none at all.
    """

    location_based_gco2e: Spread | None
    market_based_gco2e: Spread | None
    market_share: float | None
    energy_wh: Spread | None


def cells_of(gathered: Gathered, of: Whose) -> list[InventoryCell]:
    """The counted cells of one kind of machine."""
    return [cell for cell in counted(gathered) if whose(cell, gathered) == of]


def placed(gathered: Gathered) -> list[Placed]:
    """A line for each place that has grams."""
    found = []
    for place in PLACES:
        cells = cells_of(gathered, place.whose)
        if cells:
            found.append(
                Placed(
                    place=place,
                    gco2e=sum_of(cells, place.line),
                    attempts=attempts_of(cells),
                    methods=tuple(grouped(cells, scope3_method)),
                    data_quality_score=score(cells),
                )
            )
    return found


def own_beyond(gathered: Gathered) -> Spread | None:
    """Training and network that the total of one's own machines holds by its profile: in no place above."""
    cells = cells_of(gathered, "own")
    return both(*(beside_of([cell for cell in cells if line in beyond_of(cell)], line) for line in BEYOND))


def category1(gathered: Gathered) -> Category1:
    """What was bought."""
    cells = [cell for of in ("purchased", "rented") for cell in cells_of(gathered, of)]
    inside = sum_of(cells, "gco2e")
    beside = both(*(beside_of([cell for cell in cells if line not in beyond_of(cell)], line) for line in BEYOND))
    return Category1(in_total=inside, beside=beside, whole=both(inside, beside))


def scope2(gathered: Gathered) -> Scope2:
    """One's own machines' electricity."""
    cells = cells_of(gathered, "own")
    told = [cell for cell in cells if "market_based_gco2e" in cell.beside]
    rest = [cell for cell in cells if "market_based_gco2e" not in cell.beside]
    location, of_told = sum_of(cells, "operational_gco2e"), sum_of(told, "operational_gco2e")
    has_share = location is not None and location.mean > 0
    return Scope2(
        location_based_gco2e=location,
        market_based_gco2e=both(beside_of(told, "market_based_gco2e"), sum_of(rest, "operational_gco2e")) if told else None,
        market_share=(0.0 if of_told is None else of_told.mean / location.mean) if has_share and location is not None else None,
        energy_wh=sum_of(cells, "facility_energy_wh"),
    )
