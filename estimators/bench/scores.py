"""How far predictions are from what was measured, in one number per question. It must never judge a range by its middle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from estimators.bench.cells import weights
from estimators.bench.protocol import Prediction
from estimators.bench.read import MeasuredRow

NOMINAL: Final = 0.9
"""The coverage that a range p5 to p95 promises (definition)."""

TIE: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Scores of one estimator on some rows, each cell with equal weight; None where nothing was answered, or no range given.

    mdape_percent: weighted median of |p50 / truth - 1|. median_factor, p90_factor: exp of that quantile of |ln(p50 / truth)|.
    bias_factor: exp of the mean of ln(p50 / truth). portfolio_bias_factor: sum of expected values over sum of truths.
    coverage_ratio: share of truths inside their range; worst_family: where it is lowest. median_high_over_low: width of the ranges.
    interval_score: mean of ln(high / low) + 20 times the distance in ln by which the truth lies outside. Lower is better.
    """

    rows: int
    cells: int
    answered_ratio: float
    mdape_percent: float | None = None
    median_factor: float | None = None
    p90_factor: float | None = None
    bias_factor: float | None = None
    portfolio_bias_factor: float | None = None
    ranged_ratio: float = 0.0
    coverage_ratio: float | None = None
    worst_family: str | None = None
    worst_family_coverage_ratio: float | None = None
    median_high_over_low: float | None = None
    interval_score: float | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    row: MeasuredRow
    weight: float
    given: Prediction

    @property
    def log_error(self) -> float:
        return math.log(self.given.p50 / self.row.joules)


@dataclass(frozen=True, slots=True)
class _Ranged:
    row: MeasuredRow
    weight: float
    low: float
    high: float

    @property
    def covers(self) -> bool:
        return self.low <= self.row.joules <= self.high

    @property
    def winkler(self) -> float:
        """The interval score of this range on the natural logarithm, at the nominal coverage."""
        low, high, truth = math.log(self.low), math.log(self.high), math.log(self.row.joules)
        return high - low + 2 / (1 - NOMINAL) * (max(low - truth, 0.0) + max(truth - high, 0.0))


def score(rows: Sequence[MeasuredRow], predictions: Sequence[Prediction | None]) -> Score:
    """The scores of `predictions` for `rows`; cells are weighed among the rows that were answered."""
    answered = [(row, given) for row, given in zip(rows, predictions, strict=True) if given is not None]
    if not answered:
        return Score(rows=len(rows), cells=0, answered_ratio=0.0)
    weight = weights([row for row, _ in answered])
    answers = [_Answer(row, share, given) for (row, given), share in zip(answered, weight, strict=True)]
    apart = [(abs(answer.log_error), answer.weight) for answer in answers]
    whole = math.fsum(weight)
    ranged = _ranged(answers)
    worst = _worst_family(ranged)
    return Score(
        rows=len(rows),
        cells=round(whole),
        answered_ratio=len(answered) / len(rows),
        mdape_percent=100 * quantile([(abs(math.expm1(answer.log_error)), answer.weight) for answer in answers], 0.5),
        median_factor=math.exp(quantile(apart, 0.5)),
        p90_factor=math.exp(quantile(apart, 0.9)),
        bias_factor=math.exp(math.fsum(answer.log_error * answer.weight for answer in answers) / whole),
        portfolio_bias_factor=math.fsum(answer.given.mean * answer.weight for answer in answers)
        / math.fsum(answer.row.joules * answer.weight for answer in answers),
        ranged_ratio=len(ranged) / len(rows),
        coverage_ratio=_coverage(ranged) if ranged else None,
        worst_family=worst[0] if worst else None,
        worst_family_coverage_ratio=worst[1] if worst else None,
        median_high_over_low=quantile([(each.high / each.low, each.weight) for each in ranged], 0.5) if ranged else None,
        interval_score=_mean([(each.winkler, each.weight) for each in ranged]) if ranged else None,
    )


def quantile(weighed: Sequence[tuple[float, float]], share: float) -> float:
    """The value below which `share` of the weight lies; half way to the next where the weight is met exactly, as medians are."""
    ordered = sorted(weighed)
    target = share * math.fsum(weight for _, weight in ordered)
    reached = 0.0
    for place, (value, weight) in enumerate(ordered):
        reached += weight
        if abs(reached - target) <= TIE * target and place + 1 < len(ordered):
            return (value + ordered[place + 1][0]) / 2
        if reached > target:
            return value
    return ordered[-1][0]


def _ranged(answers: Sequence[_Answer]) -> list[_Ranged]:
    found = []
    for answer in answers:
        low, high = answer.given.low, answer.given.high
        if low is not None and high is not None:
            found.append(_Ranged(answer.row, answer.weight, low, high))
    return found


def _coverage(ranged: Sequence[_Ranged]) -> float:
    return _mean([(float(each.covers), each.weight) for each in ranged])


def _worst_family(ranged: Sequence[_Ranged]) -> tuple[str, float] | None:
    """The family whose ranges hold the smallest share of its truths; the first by name where several do."""
    families: dict[str, list[_Ranged]] = {}
    for each in ranged:
        families.setdefault(each.row.family, []).append(each)
    shares = sorted((_coverage(members), family) for family, members in families.items())
    return (shares[0][1], shares[0][0]) if shares else None


def _mean(weighed: Sequence[tuple[float, float]]) -> float:
    return math.fsum(value * weight for value, weight in weighed) / math.fsum(weight for _, weight in weighed)
