"""Sums of what rollups do not hold: regions, lengths of answers, assets, lines beside the total. It must never load a ledger call by call.

Grouped statements over the calls of a period: pruned calls are in none of it, which whoever reads it must say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, cast, exists, func, literal, select

from estimators.quantity import LogVariance, around
from proxy.ledger.cells import BESIDE, MEDIA, Beside, Cell, beside_of, beside_sums, usage_sums
from proxy.ledger.columns import USAGE_COUNTS
from proxy.ledger.queries import (
    DAY_MS,
    UNASSIGNED,
    Opinions,
    Selection,
    count_if,
    in_period,
    is_newest,
    moments_of,
    retagged_names,
    scope_keys,
    sum_of,
    tag_of,
)
from proxy.ledger.tables import attempts, calls, estimates, hourly_intensities

LONG_ANSWER_TOKENS: Final = 1000
"""An answer above this is called long: about 700 words (definition)."""

SHORT_ANSWER_TOKENS: Final = 300
"""An answer of at most this is called short: about 200 words (definition)."""

CLASSES_PER_E: Final = 8
"""How finely lengths of answers are told apart: so many classes while a length grows by e (definition)."""

MOST_PIECES: Final = 64
NO_LENGTH: Final = -1
_PLAIN: Final = ("facility_energy_wh", "operational_gco2e")
"""Lines of which the expected value alone is summed up."""

_COUNTED: Final = ("answers", "short_answers", "long_answers", "answer_tokens", "covered_yearly", "covered_hourly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail(Cell):
    """A cell by region and whether it is for an asset; its opinions have grams with their doubt, energy and use without.

    answers: attempts that wrote text. covered_*: operational grams of attempts whose hour is known, by the yearly factor and by the hour's.
    """

    region: str | None
    is_for_asset: bool
    answers: int
    short_answers: int
    long_answers: int
    beside: dict[str, Beside]
    covered_yearly_gco2e: float
    covered_hourly_gco2e: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthClass:
    """Answers of one model at one place whose length lies in one class."""

    operation: str
    provider: str
    model: str
    zone: str
    length_class: int
    answers: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Both, of one reading."""

    cells: Sequence[Detail]
    lengths: Sequence[LengthClass]


NO_DETAILS: Final = Details(cells=(), lengths=())


def details_of(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> Details:
    """Details of all weighed attempts."""
    rows = [row for piece in _pieces(selection) for row in _rows(connection, piece, tag_names)]
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = ("operation", "provider", "model", "region", "place", "zone", "method", "method_version", "profile", "for_asset")
    for row in rows:
        key = (*(row[name] for name in names), *(row[f"tag_{i}"] for i in range(len(tag_names))))
        if key in merged:
            _add(merged[key], row)
        else:
            merged[key] = dict(row)
    return Details(cells=[_detail(row, len(tag_names)) for row in merged.values()], lengths=_lengths(rows))


def _pieces(selection: Selection) -> list[Selection]:
    """The period in so many parts that a database sorts the calls of each in memory."""
    if selection.since_ms is None or selection.until_ms is None:
        return [selection]
    step = max(DAY_MS, -(-(selection.until_ms - selection.since_ms) // MOST_PIECES))
    edges = [*range(selection.since_ms, selection.until_ms, step), selection.until_ms]
    return [replace(selection, since_ms=since, until_ms=until) for since, until in pairwise(edges)]


def _rows(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> list[dict[str, Any]]:
    late = retagged_names(connection)
    tags = [tag_of(name, is_retagged=name in late).label(f"tag_{i}") for i, name in enumerate(tag_names)]
    output = func.coalesce(attempts.c.output_tokens, 0)
    length_class = case((output > 0, cast(func.ln(attempts.c.output_tokens) * CLASSES_PER_E, Integer)), else_=NO_LENGTH)
    facts: list[ColumnElement[Any]] = [
        calls.c.operation,
        *(attempts.c[name] for name in ("provider", "model", "region")),
        attempts.c.zone.label("place"),
        *(estimates.c[name] for name in ("zone", "method", "method_version", "profile")),
        (tag_of("asset", is_retagged="asset" in late) != UNASSIGNED).label("for_asset"),
        length_class.label("length_class"),
        *tags,
    ]
    has_hours = bool(connection.execute(select(exists(select(hourly_intensities.c.attempt_id)))).scalar())
    joined = calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(
        estimates, is_newest(selection.method, selection.estimate_set)
    )
    if has_hours:
        joined = joined.outerjoin(hourly_intensities, hourly_intensities.c.attempt_id == attempts.c.attempt_id)
    statement = (
        select(
            *facts,
            func.count().label("attempts"),
            count_if(output > 0).label("answers"),
            count_if(and_(output > 0, output <= SHORT_ANSWER_TOKENS)).label("short_answers"),
            count_if(output > LONG_ANSWER_TOKENS).label("long_answers"),
            func.coalesce(func.sum(output), 0).label("answer_tokens"),
            *usage_sums(),
            *moments_of("gco2e"),
            *(func.sum(estimates.c[line]).label(line) for line in _PLAIN),
            *(moment for line in BESIDE for moment in beside_sums(line)),
            *_hours(has_hours),
        )
        .select_from(joined)
        .group_by(*facts)
    )
    return [dict(row) for row in connection.execute(in_period(statement, selection)).mappings()]


def _hours(has_some: bool) -> list[ColumnElement[Any]]:
    """Operational grams of attempts whose hour's average lifecycle intensity is known; other bases are in no sum."""
    if not has_some:
        return [literal(0.0).label("covered_yearly"), literal(0.0).label("covered_hourly")]
    hour, yearly, grams = hourly_intensities.c.gco2e_per_kwh, estimates.c.gco2e_per_kwh, estimates.c.operational_gco2e
    counts = and_(hour.is_not(None), yearly > 0, hourly_intensities.c.basis.like("%lifecycle%"))
    return [
        func.coalesce(func.sum(case((counts, grams), else_=0.0)), 0.0).label("covered_yearly"),
        func.coalesce(func.sum(case((counts, grams * hour / yearly), else_=0.0)), 0.0).label("covered_hourly"),
    ]


def _add(kept: dict[str, Any], row: dict[str, Any]) -> None:
    """The sums of a row onto those of another; what neither knows stays unknown."""
    moments = [name for name in row if name.startswith(("gco2e", *BESIDE, *_PLAIN))]
    for name in ("attempts", *_COUNTED, *USAGE_COUNTS, *MEDIA, *moments):
        if row[name] is not None:
            kept[name] = row[name] if kept[name] is None else kept[name] + row[name]


def _detail(row: dict[str, Any], tags: int) -> Detail:
    lines = {line: around(float(row[line]), LogVariance()) for line in _PLAIN if row[line] is not None}
    if row["gco2e"] is not None:
        lines["gco2e"] = sum_of(row, "gco2e")
    opinions = Opinions(
        key="all", shared=scope_keys(row), quality="", factor_set="", profile=row["profile"], attempts=int(row["attempts"]), lines=lines
    )
    return Detail(
        operation=row["operation"],
        provider=row["provider"],
        model=row["model"],
        region=row["region"],
        zone=row["place"],
        tags=tuple(row[f"tag_{i}"] for i in range(tags)),
        is_for_asset=bool(row["for_asset"]),
        opinions=opinions,
        usage={name: float(row[name]) for name in (*USAGE_COUNTS, *MEDIA)},
        answers=int(row["answers"]),
        short_answers=int(row["short_answers"]),
        long_answers=int(row["long_answers"]),
        beside={line: beside_of(row, line) for line in BESIDE if row[f"{line}_attempts"]},
        covered_yearly_gco2e=float(row["covered_yearly"]),
        covered_hourly_gco2e=float(row["covered_hourly"]),
    )


def _lengths(rows: Sequence[dict[str, Any]]) -> list[LengthClass]:
    """How long answers are, by model and place."""
    found: dict[tuple[str, str, str, str, int], list[int]] = {}
    for row in rows:
        if row["length_class"] != NO_LENGTH:
            key = (row["operation"], row["provider"], row["model"], row["place"], int(row["length_class"]))
            sums = found.setdefault(key, [0, 0])
            sums[0] += int(row["answers"])
            sums[1] += int(row["answer_tokens"])
    return [
        LengthClass(operation=o, provider=p, model=m, zone=z, length_class=c, answers=sums[0], output_tokens=sums[1])
        for (o, p, m, z, c), sums in found.items()
    ]
