"""Sums of the finest grain that a report's totals are made of. It must never load a ledger call by call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select

from proxy.ledger.columns import SCOPED_QUANTITIES, USAGE_COUNTS
from proxy.ledger.queries import Opinions, Selection, in_period, is_newest, moments_of, opinion_of, retagged_names, tag_of
from proxy.ledger.tables import attempts, calls, estimates

BESIDE: Final = ("training_gco2e", "network_gco2e")
"""Lines whose doubt is kept as one number."""

BASIS: Final = ("method", "method_version", "quality", "factor_set", "profile")
MEDIA: Final = ("images", "seconds")
_TIMED: Final = ("video_seconds", "audio_input_seconds", "audio_output_seconds")

Kind = tuple[str, str, str, str]
"""Operation, provider, model, zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The sum of a line whose doubt is not kept by scope. coherent_sd: of its logarithm, as if all calls erred alike."""

    mean: float
    coherent_sd: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Weighed attempts that share what totals are told apart by. opinions: their sums. tags: values in the order that was asked for.

    usage: sums, `images` and `seconds` of sound and video among them; of these each cell of a kind has the share of its attempts.
    """

    operation: str
    provider: str
    model: str
    zone: str
    tags: tuple[str, ...]
    opinions: Opinions
    usage: Mapping[str, float]

    @property
    def kind(self) -> Kind:
        """What the cell is a part of."""
        return (self.operation, self.provider, self.model, self.zone)


def cells_of(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> list[Cell]:
    """Cells of all weighed attempts, without pictures and seconds."""
    return [cell_of(row, len(tag_names)) for row in cell_rows(connection, selection, tag_names)]


def cell_rows(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of sums that cells are made of."""
    late = retagged_names(connection)
    tags = [tag_of(name, is_retagged=name in late).label(f"tag_{i}") for i, name in enumerate(tag_names)]
    where = [attempts.c.provider, attempts.c.model, attempts.c.zone.label("place")]
    facts: list[ColumnElement[Any]] = [calls.c.operation, *where, estimates.c.zone, *(estimates.c[name] for name in BASIS), *tags]
    counts = [func.coalesce(func.sum(attempts.c[count]), 0).label(count) for count in USAGE_COUNTS]
    moments = [moment for line in SCOPED_QUANTITIES for moment in moments_of(line)]
    statement = (
        select(literal("all").label("key"), *facts, func.count().label("attempts"), *counts, *moments)
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_newest(selection.method, selection.estimate_set))
        )
        .group_by(*facts)
    )
    return [dict(row) for row in connection.execute(in_period(statement, selection)).mappings()]


def cell_of(row: Mapping[str, Any], tags: int) -> Cell:
    """The cell of a row of sums."""
    return Cell(
        operation=row["operation"],
        provider=row["provider"],
        model=row["model"],
        zone=row["place"],
        tags=tuple(row[f"tag_{i}"] for i in range(tags)),
        opinions=opinion_of(dict(row)),
        usage={**{name: float(row[name]) for name in USAGE_COUNTS}, **dict.fromkeys(MEDIA, 0.0)},
    )


def media_of(connection: Connection, selection: Selection) -> dict[Kind, tuple[float, float]]:
    """Pictures, and seconds of sound and video, that weighed attempts of each kind made or took."""
    facts = [calls.c.operation, attempts.c.provider, attempts.c.model, attempts.c.zone]
    has_some = or_(*(attempts.c[f"media_{name}"].is_not(None) for name in ("images", *_TIMED)))
    statement = (
        select(*facts, *media_sums())
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_newest(selection.method, selection.estimate_set))
        )
        .where(has_some)
        .group_by(*facts)
    )
    found = connection.execute(in_period(statement, selection))
    return {(row[0], row[1], row[2], row[3]): (float(row[4]), float(row[5])) for row in found}


def with_media(cells: Iterable[Cell], media: Mapping[Kind, tuple[float, float]]) -> list[Cell]:
    """The cells with the pictures and seconds of their kind, shared out by attempts."""
    kept = list(cells)
    attempts_of: dict[Kind, int] = {}
    for cell in kept:
        attempts_of[cell.kind] = attempts_of.get(cell.kind, 0) + cell.opinions.attempts
    return [_with_media(cell, media[cell.kind], attempts_of[cell.kind]) if cell.kind in media else cell for cell in kept]


def _with_media(cell: Cell, media: tuple[float, float], attempts_of_kind: int) -> Cell:
    share = cell.opinions.attempts / attempts_of_kind
    return replace(cell, usage={**cell.usage, **{name: some * share for name, some in zip(MEDIA, media, strict=True)}})


def media_sums() -> list[ColumnElement[Any]]:
    """Sums of pictures, and of seconds."""
    seconds = [func.coalesce(attempts.c[f"media_{name}"], 0.0) for name in _TIMED]
    return [
        func.coalesce(func.sum(attempts.c.media_images), 0).label("images"),
        func.coalesce(func.sum(seconds[0] + seconds[1] + seconds[2]), 0.0).label("seconds"),
    ]


def usage_sums() -> list[ColumnElement[Any]]:
    """Sums of tokens, pictures and seconds."""
    return [*(func.coalesce(func.sum(attempts.c[count]), 0).label(count) for count in USAGE_COUNTS), *media_sums()]


def beside_sums(line: str) -> list[ColumnElement[Any]]:
    """The sum of means, of mean times standard deviation of the logarithm (from mean and median), and how many there are."""
    mean, p50 = estimates.c[line], estimates.c[f"{line}_p50"]
    sd = case((and_(p50 > 0, mean > p50), func.sqrt(2 * func.ln(mean / p50))), else_=0.0)
    return [func.sum(mean).label(line), func.sum(mean * sd).label(f"{line}_sd"), func.count(mean).label(f"{line}_attempts")]


def beside_of(row: dict[str, Any], line: str) -> Beside:
    """The line of a row of sums."""
    mean = float(row[line])
    return Beside(mean=mean, coherent_sd=row[f"{line}_sd"] / mean if mean > 0 else 0.0, attempts=int(row[f"{line}_attempts"]))
