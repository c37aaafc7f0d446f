"""What finished assets came to: sums of the calls for each, and the words said of them. It must never load their calls one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from estimators.quantity import Quantity, ScopeKeys
from proxy.call import UNKNOWN_ORIGIN
from proxy.ledger.queries import NOT_GENERATED, UNASSIGNED, Selection, in_period, is_newest, moments_of, sum_of, tag_of
from proxy.ledger.tables import asset_verdicts, attempts, calls, estimates

ASSET_TAGS: Final = ("brand", "campaign", "asset")
_BASIS: Final = ("method", "method_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCell:
    """Calls for one asset that share their errors. shared, gco2e: None where nothing was weighed. tags: kind first, then as asked for."""

    brand: str
    campaign: str
    asset: str
    tags: tuple[str, ...]
    calls: int
    shared: ScopeKeys | None
    gco2e: Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word on an asset, brand and campaign None: of whatever it is."""

    asset: str
    brand: str | None
    campaign: str | None
    verdict: str
    minutes_saved: float | None


def assets_of(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> list[AssetCell]:
    """Cells of all assets. An asset's calls are counted in its first cell, so that counts add up whatever its calls were tried at."""
    names = [
        *(tag_of(name).label(f"at_{name}") for name in ASSET_TAGS),
        *(tag_of(name).label(f"tag_{i}") for i, name in enumerate(tag_names)),
    ]
    counts = _counts(connection, selection, names)
    keys = [attempts.c.provider, attempts.c.model, estimates.c.zone, *(estimates.c[name] for name in _BASIS)]
    columns: list[ColumnElement[Any]] = [*names, *keys, *moments_of("gco2e")]
    statement = (
        select(*columns)
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_newest(selection.method, selection.estimate_set))
        )
        .where(tag_of("asset") != UNASSIGNED)
        .group_by(*names, *keys)
    )
    found = [_cell(dict(row), counts, len(tag_names)) for row in connection.execute(in_period(statement, selection)).mappings()]
    return [*found, *(_cell(_named(key), {key: count}, len(tag_names)) for key, count in counts.items() if count)]


def _counts(connection: Connection, selection: Selection, names: Sequence[ColumnElement[str]]) -> dict[tuple[str, ...], int]:
    """Answered calls by asset; work that was booked late is its call's own."""
    begun = func.coalesce(func.nullif(calls.c.origin_call_id, UNKNOWN_ORIGIN), calls.c.call_id)
    columns: list[ColumnElement[Any]] = [*names, func.count(begun.distinct()).label("calls")]
    statement = (
        select(*columns)
        .select_from(calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id))
        .where(tag_of("asset") != UNASSIGNED)
        .where(func.coalesce(attempts.c.unweighed_reason, "") != NOT_GENERATED)
        .group_by(*names)
    )
    return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(in_period(statement, selection))}


def _named(key: tuple[str, ...]) -> dict[str, Any]:
    """The row of an asset of which nothing was weighed."""
    tags = {f"tag_{i}": value for i, value in enumerate(key[len(ASSET_TAGS) :])}
    return {**{f"at_{name}": value for name, value in zip(ASSET_TAGS, key, strict=False)}, **tags, "gco2e": None}


def words_of(connection: Connection) -> list[Word]:
    """Every word on an asset, oldest first."""
    names = ("asset", "brand", "campaign", "verdict", "minutes_saved")
    statement = select(*(asset_verdicts.c[name] for name in names)).order_by(asset_verdicts.c.decided_ms, asset_verdicts.c.verdict_id)
    return [Word(**row) for row in connection.execute(statement).mappings()]


def _cell(row: dict[str, Any], counts: dict[tuple[str, ...], int], tag_count: int) -> AssetCell:
    """The cell of a row; it takes the asset's count, so that no other cell has it too."""
    weighed = row["gco2e"] is not None
    keys = ScopeKeys(f"{row['method']}@{row['method_version']}", row["provider"], row["model"], row["zone"]) if weighed else None
    at, tags = tuple(row[f"at_{name}"] for name in ASSET_TAGS), tuple(row[f"tag_{i}"] for i in range(tag_count))
    count = counts.get((*at, *tags), 0)
    counts[*at, *tags] = 0
    return AssetCell(
        brand=at[0],
        campaign=at[1],
        asset=at[2],
        tags=tags,
        calls=count,
        shared=keys,
        gco2e=sum_of(row, "gco2e") if weighed else None,
    )
