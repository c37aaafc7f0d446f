"""Sums of the finest grain that a report is made of, read in one snapshot. It must never load a ledger call by call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, cast, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from estimators.quantity import ScopeKeys
from proxy.errors import StartError
from proxy.ledger.columns import SCOPED_QUANTITIES, USAGE_COUNTS
from proxy.ledger.deliveries import AssetCell, Word, assets_of, words_of
from proxy.ledger.policy_sums import PolicyCell, policies_of
from proxy.ledger.queries import (
    Dimension,
    Facts,
    Opinions,
    Selection,
    Unweighed,
    count_if,
    facts_of,
    in_period,
    instead_of,
    is_newest,
    key_of,
    moments_of,
    opinions_of,
    sum_of,
    tag_of,
    unweighed_of,
)
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import attempts, calls, estimates, hourly_intensities

LONG_ANSWER_TOKENS: Final = 1000
"""An answer above this is called long: about 700 words (definition)."""

SHORT_ANSWER_TOKENS: Final = 300
"""An answer of at most this is called short: about 200 words (definition)."""

BESIDE: Final = ("training_gco2e", "network_gco2e")
"""Lines whose doubt is kept as one number."""

BUCKETS_PER_E: Final = 8
"""How finely lengths of answers are told apart: so many classes while a length grows by e (definition)."""

_WHERE: Final = ("provider", "model", "region", "zone")
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

    usage: sums, `images` among them. covered_*: operational grams of attempts whose hour is known, by the yearly factor and by the hour's.
    """

    operation: str
    provider: str
    model: str
    region: str | None
    zone: str
    tags: tuple[str, ...]
    opinions: Opinions
    usage: Mapping[str, int]
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
    bucket: int
    answers: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Counts and days' opinions of one way to group calls; opinions only where cells cannot tell."""

    facts: Sequence[Facts]
    unweighed: Sequence[Unweighed]
    opinions: Sequence[Opinions] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What one period sums up to."""

    whole: Facts
    unweighed: Sequence[Unweighed]
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to read. tag_names: tags that cells are told apart by; groups: what to count calls by, by name."""

    selection: Selection
    previous: Selection | None
    tag_names: tuple[str, ...]
    groups: Mapping[str, tuple[Dimension, str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Everything that a report is made of, of one instant."""

    now: Period
    before: Period | None
    groups: Mapping[str, Group]
    instead: Mapping[str, int]
    policies: Sequence[PolicyCell]
    assets: Sequence[AssetCell]
    words: Sequence[Word]
    lengths: Sequence[LengthClass]


def read_extent(url: str) -> tuple[int, int] | None:
    """When the first and the last call of the ledger began, None for an empty one. Raises StartError."""
    return _reading(url, lambda connection: _extent(connection))


def read_report(url: str, asked: Asked) -> Read:
    """The sums. Raises StartError when there is no ledger at the URL, or it cannot be read."""
    return _reading(url, lambda connection: _read(connection, asked))


def _reading[T](url: str, read: Any) -> Any:
    check_schema(url)
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            return read(connection)
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()
