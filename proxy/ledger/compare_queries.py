"""Two opinions of the same attempts side by side, summed by the database where they share their causes. It must never mix the two."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.columns import CHOSEN, SETS, set_role
from proxy.ledger.queries import Selection, in_period, is_of_attempt
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.set_store import known_sets
from proxy.ledger.tables import attempts, calls, estimates

LIVE: Final = "live"
LINES: Final = ("gco2e", "operational_gco2e", "embodied_gco2e", "it_energy_wh", "facility_energy_wh", "gpu_seconds")
_WHO: Final = ("method", "method_version", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One opinion of a group: by which method and in which boundary, and each line's expected value, None where it is not known."""

    method: str
    profile: str
    lines: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Attempts of one provider, model and zone, by both opinions; None: that opinion does not know them."""

    provider: str
    model: str
    zone: str
    attempts: int
    a: Side | None
    b: Side | None


def read_pairs(url: str, selection: Selection, a: str, b: str) -> list[Pair]:
    """The pairs of a period. a, b: `live`, a set, or a factor set's stamp or fingerprint. Raises StartError where one is unknown."""
    check_schema(url)
    with closing(_Engine(url)) as opened, opened.engine.begin() as connection:
        try:
            named = [_which(connection, name) for name in (a, b)]
            ea, eb = estimates.alias("ea"), estimates.alias("eb")
            facts = (
                attempts.c.provider,
                attempts.c.model,
                attempts.c.zone,
                *(side.c[name].label(f"{at}_{name}") for at, side in (("a", ea), ("b", eb)) for name in _WHO),
            )
            sums = [func.sum(side.c[line]).label(f"{at}_{line}") for at, side in (("a", ea), ("b", eb)) for line in LINES]
            source = calls.join(attempts, attempts.c.call_id == calls.c.call_id)
            for side, which in zip((ea, eb), named, strict=True):
                source = source.outerjoin(side, and_(is_of_attempt(side), side.c.estimate_id == _newest(which)))
            statement = select(*facts, func.count().label("attempts"), *sums).select_from(source)
            statement = statement.where(or_(ea.c.attempt_id.is_not(None), eb.c.attempt_id.is_not(None))).group_by(*facts)
            return [_pair(dict(row)) for row in connection.execute(in_period(statement, selection)).mappings()]
        except SQLAlchemyError as error:
            raise StartError(f"cannot read the ledger at {opened.engine.url!r}: {plainly(error)}") from error


class _Engine:
    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    def close(self) -> None:
        """Gives back the connections."""
        self.engine.dispose()


def _which(connection: Any, name: str) -> Any:
    """The condition on an opinion that the name stands for, as a function of the table's alias."""
    if name == LIVE:
        return lambda others: others.c.role == CHOSEN
    sets = known_sets(connection)
    if name in sets:
        return lambda others: others.c.role == set_role(name)
    stamps = [stamp for stamp in connection.execute(select(estimates.c.factor_set).distinct()).scalars() if _is_stamp(name, stamp)]
    if len(stamps) != 1:
        known = ", ".join([LIVE, *sorted(sets)])
        raise StartError(f"there is no set {name!r} in this ledger, nor one factor set of that fingerprint; sets: {known}")
    return lambda others: and_(
        or_(others.c.role == CHOSEN, others.c.role.startswith(SETS, autoescape=True)), others.c.factor_set == stamps[0]
    )


def _is_stamp(name: str, stamp: str) -> bool:
    """Whether the name is the stamp, or the fingerprint in it: whole, or as far as the stamp bears it."""
    fingerprint = stamp.rpartition("+")[2]
    return name == stamp or (len(name) >= len(fingerprint) > 0 and name.startswith(fingerprint))


def _newest(which: Any) -> ColumnElement[str]:
    others = estimates.alias("others")
    found = select(others.c.estimate_id).where(is_of_attempt(others), which(others))
    return found.order_by(others.c.created_ms.desc(), others.c.estimate_id.desc()).limit(1).scalar_subquery()


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(
        provider=row["provider"],
        model=row["model"],
        zone=row["zone"],
        attempts=row["attempts"],
        a=_side(row, "a"),
        b=_side(row, "b"),
    )


def _side(row: dict[str, Any], at: str) -> Side | None:
    if row[f"{at}_method"] is None:
        return None
    return Side(
        method=f"{row[f'{at}_method']}@{row[f'{at}_method_version']}",
        profile=row[f"{at}_profile"],
        lines={line: row[f"{at}_{line}"] for line in LINES},
    )
