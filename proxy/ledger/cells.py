"""Sums of the finest grain that a report is made of. It must never load a ledger call by call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, cast, func, literal, select

from proxy.ledger.columns import SCOPED_QUANTITIES, USAGE_COUNTS
from proxy.ledger.queries import Opinions, Selection, count_if, in_period, is_newest, moments_of, opinion_of, tag_of
from proxy.ledger.tables import attempts, calls, estimates, hourly_intensities

LONG_ANSWER_TOKENS: Final = 1000
"""An answer above this is called long: about 700 words (definition)."""

SHORT_ANSWER_TOKENS: Final = 300
"""An answer of at most this is called short: about 200 words (definition)."""

BESIDE: Final = ("training_gco2e", "network_gco2e")
"""Lines whose doubt is kept as one number."""

CLASSES_PER_E: Final = 8
"""How finely lengths of answers are told apart: so many classes while a length grows by e (definition)."""

_WHERE: Final = ("provider", "model", "region")
_BASIS: Final = ("method", "method_version", "quality", "factor_set", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The sum of a line whose doubt is not kept by scope. coherent_sd: of its logarithm, as if all calls erred alike."""

    mean: float
    coherent_sd: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Weighed attempts that share everything a report tells apart. opinions: their sums. tags: values in the order that was asked for.

    usage: sums, `images` and `seconds` of sound and video among them. answers: attempts that wrote text. covered_*: operational grams of
    attempts whose hour is known, by the yearly factor and by the hour's.
    """

    operation: str
    policy: str
    provider: str
    model: str
    region: str | None
    zone: str
    tags: tuple[str, ...]
    opinions: Opinions
    usage: Mapping[str, float]
    answers: int
    short_answers: int
    long_answers: int
    beside: Mapping[str, Beside]
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


def cells_of(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> list[Cell]:
    """Cells of all weighed attempts."""
    tags = [tag_of(name).label(f"tag_{i}") for i, name in enumerate(tag_names)]
    where = [attempts.c[name] for name in _WHERE]
    place = attempts.c.zone.label("place")
    facts = [calls.c.operation, calls.c.policy, *where, place, estimates.c.zone, *(estimates.c[name] for name in _BASIS), *tags]
    output = func.coalesce(attempts.c.output_tokens, 0)
    moments = [moment for line in SCOPED_QUANTITIES for moment in moments_of(line)]
    statement = (
        select(
            literal("all").label("key"),
            *facts,
            func.count().label("attempts"),
            count_if(output > 0).label("answers"),
            count_if(and_(output > 0, output <= SHORT_ANSWER_TOKENS)).label("short_answers"),
            count_if(output > LONG_ANSWER_TOKENS).label("long_answers"),
            *_usage(),
            *moments,
            *(moment for line in BESIDE for moment in _beside(line)),
            *_hours(),
        )
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id)
            .join(estimates, is_newest(selection.method, selection.estimate_set))
            .outerjoin(hourly_intensities, hourly_intensities.c.attempt_id == attempts.c.attempt_id)
        )
        .group_by(*facts)
    )
    return [_cell(dict(row), len(tag_names)) for row in connection.execute(in_period(statement, selection)).mappings()]


def lengths_of(connection: Connection, selection: Selection) -> list[LengthClass]:
    """How long answers are, by model and place."""
    facts = [calls.c.operation, attempts.c.provider, attempts.c.model, attempts.c.zone]
    tokens = attempts.c.output_tokens
    length_class = cast(func.ln(tokens) * CLASSES_PER_E, Integer)
    statement = (
        select(*facts, length_class.label("length_class"), func.count().label("answers"), func.sum(tokens).label("output_tokens"))
        .select_from(calls.join(attempts, attempts.c.call_id == calls.c.call_id))
        .where(tokens > 0)
        .group_by(*facts, length_class)
    )
    found = connection.execute(in_period(statement, selection)).mappings()
    return [LengthClass(**{**row, "output_tokens": int(row["output_tokens"])}) for row in found]


def _usage() -> list[ColumnElement[Any]]:
    seconds = [func.coalesce(attempts.c[f"media_{name}"], 0.0) for name in ("video_seconds", "audio_input_seconds", "audio_output_seconds")]
    return [
        *(func.coalesce(func.sum(attempts.c[count]), 0).label(count) for count in USAGE_COUNTS),
        func.coalesce(func.sum(attempts.c.media_images), 0).label("images"),
        func.coalesce(func.sum(seconds[0] + seconds[1] + seconds[2]), 0.0).label("seconds"),
    ]


def _beside(line: str) -> list[ColumnElement[Any]]:
    """The sum of means, of mean times standard deviation of the logarithm (from mean and median), and how many there are."""
    mean, p50 = estimates.c[line], estimates.c[f"{line}_p50"]
    sd = case((and_(p50 > 0, mean > p50), func.sqrt(2 * func.ln(mean / p50))), else_=0.0)
    return [func.sum(mean).label(line), func.sum(mean * sd).label(f"{line}_sd"), func.count(mean).label(f"{line}_attempts")]


def _hours() -> list[ColumnElement[Any]]:
    """Operational grams of attempts whose hour's average lifecycle intensity is known; other bases are in no sum."""
    hour, yearly, grams = hourly_intensities.c.gco2e_per_kwh, estimates.c.gco2e_per_kwh, estimates.c.operational_gco2e
    counts = and_(hour.is_not(None), yearly > 0, hourly_intensities.c.basis.like("%lifecycle%"))
    return [
        func.coalesce(func.sum(case((counts, grams), else_=0.0)), 0.0).label("covered_yearly"),
        func.coalesce(func.sum(case((counts, grams * hour / yearly), else_=0.0)), 0.0).label("covered_hourly"),
    ]


def _cell(row: dict[str, Any], tags: int) -> Cell:
    return Cell(
        **{name: row[name] for name in ("operation", "policy", "provider", "model", "region")},
        zone=row["place"],
        tags=tuple(row[f"tag_{i}"] for i in range(tags)),
        opinions=opinion_of(row),
        usage={name: float(row[name]) for name in (*USAGE_COUNTS, "images", "seconds")},
        answers=int(row["answers"]),
        short_answers=int(row["short_answers"]),
        long_answers=int(row["long_answers"]),
        beside={line: _beside_of(row, line) for line in BESIDE if row[f"{line}_attempts"]},
        covered_yearly_gco2e=float(row["covered_yearly"]),
        covered_hourly_gco2e=float(row["covered_hourly"]),
    )


def _beside_of(row: dict[str, Any], line: str) -> Beside:
    mean = float(row[line])
    return Beside(mean=mean, coherent_sd=row[f"{line}_sd"] / mean if mean > 0 else 0.0, attempts=int(row[f"{line}_attempts"]))
