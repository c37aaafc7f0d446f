"""Reads sums as fine as an inventory needs them: by month, by what answered, by whose grid. It must never load a ledger call by call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.cells import Beside, beside_of, beside_sums, usage_sums
from proxy.ledger.columns import SCOPED_QUANTITIES, USAGE_COUNTS
from proxy.ledger.queries import Opinions, Selection, in_period, is_newest, moments_of, opinion_of, retagged_names, tag_of
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import NO_KNOWN_CALL, attempts, calls, estimates, import_spends, imports

BESIDE: Final = ("market_based_gco2e", "training_gco2e", "network_gco2e")
"""Lines whose doubt is kept as one number."""

_WHERE: Final = ("provider", "model", "region", "simulated", "usage_source")
_OPINION: Final = ("zone", "method", "method_version", "quality", "factor_set", "profile")
_GRID: Final = ("gco2e_per_kwh", "intensity_source", "intensity_year")
_SPEND: Final = ("category", "currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryCell:
    """Weighed attempts that share everything an inventory tells apart. opinions: their sums. zone: where they ran, as recorded.

    month: place among the months that were asked for. it_energy_wh: before PUE, None where no energy is known. spend: of money that was
    weighed, its kind and currency, and how much. usage: sums, `images` and `seconds` of sound and video among them.
    """

    month: int
    tags: tuple[str, ...]
    operation: str
    provider: str
    model: str
    region: str | None
    zone: str
    simulated: bool
    imported: bool
    usage_source: str | None
    gco2e_per_kwh: float
    intensity_source: str
    intensity_year: int
    it_energy_wh: float | None
    opinions: Opinions
    beside: Mapping[str, Beside]
    usage: Mapping[str, float]
    spend: tuple[str, str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Calls with a figure: how many, by whether they came from a file and whether the simulated provider answered."""

    imported: bool
    simulated: bool
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an inventory is made of."""

    cells: Sequence[InventoryCell]
    weighed: Sequence[Weighed]


def read_inventory(url: str, selection: Selection, tag_names: Sequence[str], months: Sequence[int]) -> Inventory:
    """The sums, of one instant; months: the instants at which all months but the first begin. Raises StartError."""
    check_schema(url)
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            cells = _cells(connection, selection, tag_names, months)
            return Inventory(cells=cells, weighed=_weighed(connection, selection))
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()


def _joined(selection: Selection) -> Any:
    return (
        calls.join(attempts, attempts.c.call_id == calls.c.call_id)
        .join(estimates, is_newest(selection.method, selection.estimate_set))
        .outerjoin(imports, imports.c.call_id == calls.c.call_id)
    )


def _cells(connection: Connection, selection: Selection, tag_names: Sequence[str], months: Sequence[int]) -> list[InventoryCell]:
    late = retagged_names(connection)
    tags = [tag_of(name, is_retagged=name in late).label(f"tag_{i}") for i, name in enumerate(tag_names)]
    facts: list[ColumnElement[Any]] = [
        _month(months).label("month"),
        calls.c.operation,
        *(attempts.c[name] for name in _WHERE),
        attempts.c.zone.label("place"),
        imports.c.call_id.is_not(None).label("imported"),
        *(estimates.c[name] for name in (*_OPINION, *_GRID)),
        *(import_spends.c[name] for name in _SPEND),
        *tags,
    ]
    statement = (
        select(
            literal("all").label("key"),
            *facts,
            func.count().label("attempts"),
            func.sum(estimates.c.it_energy_wh).label("it_energy_wh"),
            func.sum(import_spends.c.amount).label("amount"),
            *usage_sums(),
            *(moment for line in SCOPED_QUANTITIES for moment in moments_of(line)),
            *(moment for line in BESIDE for moment in beside_sums(line)),
        )
        .select_from(_joined(selection).outerjoin(import_spends, import_spends.c.attempt_id == attempts.c.attempt_id))
        .group_by(*facts)
    )
    return [_cell(dict(row), len(tags)) for row in connection.execute(in_period(statement, selection)).mappings()]


def _month(months: Sequence[int]) -> ColumnElement[int]:
    if not months:
        return literal(0)
    return case(*((calls.c.started_ms < start, place) for place, start in enumerate(months)), else_=len(months))


def _weighed(connection: Connection, selection: Selection) -> list[Weighed]:
    imported = imports.c.call_id.is_not(None).label("imported")
    number = func.count(func.coalesce(func.nullif(calls.c.origin_call_id, NO_KNOWN_CALL), calls.c.call_id).distinct()).label("calls")
    statement = select(imported, attempts.c.simulated, number).select_from(_joined(selection)).group_by(imported, attempts.c.simulated)
    found = connection.execute(in_period(statement, selection)).mappings()
    return [Weighed(imported=bool(row["imported"]), simulated=bool(row["simulated"]), calls=int(row["calls"])) for row in found]


def _cell(row: dict[str, Any], tags: int) -> InventoryCell:
    energy = row["it_energy_wh"]
    return InventoryCell(
        **{name: row[name] for name in ("month", "operation", "provider", "model", "region", "usage_source", *_GRID)},
        tags=tuple(row[f"tag_{i}"] for i in range(tags)),
        zone=row["place"],
        simulated=bool(row["simulated"]),
        imported=bool(row["imported"]),
        it_energy_wh=None if energy is None else float(energy),
        opinions=opinion_of(row),
        beside={line: beside_of(row, line) for line in BESIDE if row[f"{line}_attempts"]},
        usage={name: float(row[name]) for name in (*USAGE_COUNTS, "images", "seconds")},
        spend=None if row["category"] is None else (row["category"], row["currency"], float(row["amount"])),
    )
