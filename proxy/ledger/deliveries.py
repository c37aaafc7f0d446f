"""What finished assets came to: counted by kind, the heaviest by name, and the words said of them. It must never load all assets.

One statement over the calls of a period: pruned calls are in none of it, which whoever reads it must say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CTE, ColumnElement, Connection, String, and_, cast, func, literal, null, select, union_all

from estimators.quantity import Quantity, ScopeKeys
from proxy.ledger.queries import (
    NOT_GENERATED,
    UNASSIGNED,
    Selection,
    in_period,
    is_newest,
    moments_of,
    retagged_names,
    scope_keys,
    sum_of,
    tag_of,
)
from proxy.ledger.tables import NO_KNOWN_CALL, asset_verdicts, attempts, calls, estimates

ASSET_TAGS: Final = ("brand", "campaign", "asset")
MOST_LISTED: Final = 20
"""So many assets of one campaign are named, the heaviest."""

Asset = tuple[str, str, str]
"""Brand, campaign, asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An asset that somebody said a word on, and the value of a tag of its calls."""

    asset: Asset
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Assets of calls whose tag has one value: how many, their answered calls, and those that words were said of."""

    assets: int
    calls: int
    judged: tuple[Judged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One of the heaviest assets of its campaign. calls: answered ones. parts: sums of grams with what their errors share.

    assets: how many the campaign has.
    """

    asset: Asset
    calls: int
    assets: int
    parts: tuple[tuple[Quantity, ScopeKeys], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word on an asset, brand and campaign None: of whatever it is."""

    asset: str
    brand: str | None
    campaign: str | None
    verdict: str
    minutes_saved: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """made: by tag and by its value. listed: the heaviest."""

    made: Mapping[str, Mapping[str, Made]]
    listed: Sequence[Listed]


NO_ASSETS: Final = Assets(made={}, listed=())


def assets_of(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> Assets:
    """The assets of a period, counted by the value of each of the tags."""
    late = retagged_names(connection)
    made: dict[str, dict[str, Made]] = {}
    heaviest: list[Any] = []
    for name in dict.fromkeys(tag_names):
        rows = connection.execute(_statement(selection, name, late)).all()
        made[name] = _made(rows)
        heaviest = heaviest or [row for row in rows if row.part == "listed"]
    return Assets(made=made, listed=_listed(connection, selection, late, heaviest))


def _made(rows: Sequence[Any]) -> dict[str, Made]:
    judged: dict[str, list[Judged]] = {}
    for row in rows:
        if row.part == "judged":
            judged.setdefault(row.value, []).append(Judged(asset=(row.brand, row.campaign, row.asset), value=row.value))
    return {
        row.value: Made(assets=int(row.assets), calls=int(row.calls), judged=tuple(judged.get(row.value, ())))
        for row in rows
        if row.part == "made"
    }


def _statement(selection: Selection, tag_name: str, late: frozenset[str]) -> Any:
    """All assets summed up once, and told in three ways: counted by the tag's value, the heaviest, and those that were judged."""
    one = _one(selection, tag_name, late)
    text = cast(null(), String)
    counted = select(
        literal("made").label("part"),
        text.label("brand"),
        text.label("campaign"),
        text.label("asset"),
        one.c.value.label("value"),
        func.sum(one.c.calls).label("calls"),
        func.count().label("assets"),
    ).group_by(one.c.value)
    place = func.row_number().over(
        partition_by=(one.c.brand, one.c.campaign), order_by=(func.coalesce(func.sum(one.c.grams), 0.0).desc(), one.c.asset)
    )
    number = func.count().over(partition_by=(one.c.brand, one.c.campaign))
    names = [one.c[name] for name in ASSET_TAGS]
    ranked = select(*names, func.sum(one.c.calls).label("calls"), number.label("assets"), place.label("place")).group_by(*names).subquery()
    named = [ranked.c[name] for name in ASSET_TAGS]
    listed = select(literal("listed"), *named, text, ranked.c.calls, ranked.c.assets).where(ranked.c.place <= MOST_LISTED)
    said = select(asset_verdicts.c.asset)
    judged = select(literal("judged"), *names, one.c.value, one.c.calls, literal(1)).where(one.c.asset.in_(said))
    return union_all(counted, listed, judged)


def _one(selection: Selection, tag_name: str, late: frozenset[str]) -> CTE:
    """Each asset with its answered calls (work that was booked late is its call's own) and its grams, by the value of the tag."""
    names = _names(late)
    value = tag_of(tag_name, is_retagged=tag_name in late).label("value")
    begun = func.coalesce(func.nullif(calls.c.origin_call_id, NO_KNOWN_CALL), calls.c.call_id)
    statement = (
        select(*names, value, func.count(begun.distinct()).label("calls"), func.sum(estimates.c.gco2e).label("grams"))
        .select_from(
            calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id).outerjoin(
                estimates, is_newest(selection.method, selection.estimate_set)
            )
        )
        .where(_has_asset(late), func.coalesce(attempts.c.unweighed_reason, "") != NOT_GENERATED)
        .group_by(*(each.element for each in names), value.element)
    )
    return in_period(statement, selection).cte("one")


def _names(late: frozenset[str]) -> list[Any]:
    return [tag_of(name, is_retagged=name in late).label(name) for name in ASSET_TAGS]


def _has_asset(late: frozenset[str]) -> ColumnElement[bool]:
    return tag_of("asset", is_retagged="asset" in late) != UNASSIGNED


def _listed(connection: Connection, selection: Selection, late: frozenset[str], heaviest: Sequence[Any]) -> list[Listed]:
    """The heaviest with the doubt of their sums."""
    if not heaviest:
        return []
    names = _names(late)
    keys = [attempts.c.provider, attempts.c.model, *(estimates.c[name] for name in ("zone", "method", "method_version"))]
    columns: list[ColumnElement[Any]] = [*names, *keys, *moments_of("gco2e")]
    wanted = sorted({row.asset for row in heaviest})
    statement = (
        select(*columns)
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_newest(selection.method, selection.estimate_set))
        )
        .where(and_(_has_asset(late), tag_of("asset", is_retagged="asset" in late).in_(wanted)))
        .group_by(*(each.element for each in names), *keys)
    )
    parts: dict[Asset, list[tuple[Quantity, ScopeKeys]]] = {}
    for row in connection.execute(in_period(statement, selection)).mappings():
        if row["gco2e"] is not None:
            parts.setdefault((row["brand"], row["campaign"], row["asset"]), []).append((sum_of(row, "gco2e"), scope_keys(row)))
    return [
        Listed(asset=(row.brand, row.campaign, row.asset), calls=int(row.calls), assets=int(row.assets), parts=tuple(found))
        for row in heaviest
        for found in [parts.get((row.brand, row.campaign, row.asset), [])]
    ]


def words_of(connection: Connection) -> list[Word]:
    """Every word on an asset, oldest first."""
    names = ("asset", "brand", "campaign", "verdict", "minutes_saved")
    statement = select(*(asset_verdicts.c[name] for name in names)).order_by(asset_verdicts.c.decided_ms, asset_verdicts.c.verdict_id)
    return [Word(**row) for row in connection.execute(statement).mappings()]
