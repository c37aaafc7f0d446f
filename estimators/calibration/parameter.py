"""What is fitted: a parameter, where it is believed to lie, and what came out. It must never hide how sure the fit is."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.factor import Factor
from config.factors import FactorSet
from estimators.bench.scores import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One positive parameter. prior: its plausible median; prior_sd: standard deviation of its logarithm before any row is seen."""

    id: str
    prior: float
    prior_sd: float
    unit: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A parameter after the fit: the value on all rows, and its range over the fits that leave a family out."""

    id: str
    value: float
    low: float
    high: float
    unit: str
    note: str
    source: str = ""


SPREAD_RANGE = (0.7, 1.4)
"""How far a spread that a few families show may be off, as factors of it (definition; the parameter files say so)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFit:
    """What a fit found, and how its form does on families left out."""

    parameters: tuple[Fitted, ...]
    scores: Mapping[str, Score]
    rows: int
    cells: int
    families: tuple[str, ...]


def with_values(factors: FactorSet, values: Mapping[str, float]) -> FactorSet:
    """The factor set with these rows at these values, exactly."""
    rows = dict(factors)
    for row, value in values.items():
        rows[row] = Factor(
            id=row, value=value, low=value, high=value, unit="-", source="fit", url="", year=0, as_of="", licence="", note=""
        )
    return FactorSet(rows, version=factors.version, fingerprint=factors.fingerprint)


def fitted_spreads(spreads: Mapping[str, float], notes: Mapping[str, str], source: str) -> list[Fitted]:
    """Standard deviations of the logarithm by factor row, as parameters; their range is SPREAD_RANGE times the value."""
    low, high = SPREAD_RANGE
    return [
        Fitted(id=row, value=rounded(sd), low=rounded(low * sd), high=rounded(high * sd), unit="ln", note=notes[row], source=source)
        for row, sd in spreads.items()
    ]


def rounded(value: float) -> float:
    """Four significant digits: more would pretend."""
    return float(f"{value:.4g}")
