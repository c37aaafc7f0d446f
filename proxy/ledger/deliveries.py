"""What finished assets came to: sums of the calls for each, and the words said of them. It must never load their calls one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from estimators.quantity import Quantity, ScopeKeys
from proxy.call import UNKNOWN_ORIGIN
from proxy.ledger.queries import UNASSIGNED, Selection, in_period, is_newest, moments_of, sum_of, tag_of
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
    """Cells of all assets; a call whose attempts lie in several is counted in each."""
    names = [
        *(tag_of(name).label(f"at_{name}") for name in ASSET_TAGS),
        *(tag_of(name).label(f"tag_{i}") for i, name in enumerate(tag_names)),
    ]
    keys = [attempts.c.provider, attempts.c.model, estimates.c.zone, *(estimates.c[name] for name in _BASIS)]
    begun = func.coalesce(func.nullif(calls.c.origin_call_id, UNKNOWN_ORIGIN), calls.c.call_id)
    joined = calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id).outerjoin(
        estimates, is_newest(selection.method, selection.estimate_set)
    )
    statement: Select[Any] = (
        select(
            *names,
            *keys,
            func.count(begun.distinct()).label("calls"),
            *moments_of("gco2e"),
        )
        .select_from(joined)
        .where(tag_of("asset") != UNASSIGNED)
        .where(func.coalesce(attempts.c.unweighed_reason, "") != "not_generated")
        .group_by(*names, *keys)
    )
    return [_cell(dict(row), len(tag_names)) for row in connection.execute(in_period(statement, selection)).mappings()]


def words_of(connection: Connection) -> list[Word]:
    """Every word on an asset, oldest first."""
    names = ("asset", "brand", "campaign", "verdict", "minutes_saved")
    statement = select(*(asset_verdicts.c[name] for name in names)).order_by(asset_verdicts.c.decided_ms, asset_verdicts.c.verdict_id)
    return [Word(**row) for row in connection.execute(statement).mappings()]


def _cell(row: dict[str, Any], tags: int) -> AssetCell:
    weighed = row["gco2e"] is not None
    keys = ScopeKeys(f"{row['method']}@{row['method_version']}", row["provider"], row["model"], row["zone"]) if weighed else None
    return AssetCell(
        **{name: row[f"at_{name}"] for name in ASSET_TAGS},
        tags=tuple(row[f"tag_{i}"] for i in range(tags)),
        calls=int(row["calls"]),
        shared=keys,
        gco2e=sum_of(row, "gco2e") if weighed else None,
    )
