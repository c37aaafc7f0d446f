"""Takes a change apart into effects that add up to it exactly (LMDI-I). It must never leave a rest.

A sum over groups whose terms are products of factors changes from before to now. Each term's change is the logarithmic mean of its two
values times the sum of the logarithms of its factors' ratios, so that each factor's part is known without a rest. A term that is nothing on
one side has no logarithm: its whole change belongs to the first factor that is nothing there, as the limit of small values has it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One group: its factors before and now, in the same order, and which effect each factor's part belongs to. Factors are >= 0."""

    before: Sequence[float]
    now: Sequence[float]
    effects: Sequence[str]


def decompose(terms: Sequence[Term], effects: Sequence[str]) -> dict[str, float]:
    """The part of each effect; together they are the sum of the terms now less the sum before."""
    parts: dict[str, list[float]] = {effect: [] for effect in effects}
    for term in terms:
        for effect, part in _parts(term):
            parts[effect].append(part)
    return {effect: math.fsum(found) for effect, found in parts.items()}


def _parts(term: Term) -> list[tuple[str, float]]:
    before, now = math.prod(term.before), math.prod(term.now)
    if before <= 0 and now <= 0:
        return []
    if before <= 0 or now <= 0:
        gone = term.before if before <= 0 else term.now
        first = next(i for i, factor in enumerate(gone) if factor <= 0)
        return [(term.effects[first], now - before)]
    weight = logarithmic_mean(now, before)
    return [(effect, weight * math.log(y / x)) for x, y, effect in zip(term.before, term.now, term.effects, strict=True)]


def logarithmic_mean(a: float, b: float) -> float:
    """(a - b) / ln(a / b) of positive numbers; their common value where they are equal."""
    ratio = math.log(a / b)
    return a if abs(ratio) < 1e-12 else b * math.expm1(ratio) / ratio
