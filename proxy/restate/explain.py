"""Explains by factor why two opinions of the same calls differ. It must never leave a rest: the effects add up to the difference.

Each line of a group is a product: operational = GPU time x energy per GPU second x PUE x intensity, embodied = GPU time x making per GPU
second. The logarithmic mean Divisia index (LMDI-I, Ang 2005) shares the difference of a product out over its factors without a rest, and
does not depend on an order of changing them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from proxy.ledger.compare_queries import Pair, Side

Factor = Literal["gpu_time", "power", "pue", "intensity", "embodied", "beyond_serving", "method", "boundary", "coverage"]
FACTORS: Final[tuple[Factor, ...]] = (
    "gpu_time",
    "power",
    "pue",
    "intensity",
    "embodied",
    "beyond_serving",
    "method",
    "boundary",
    "coverage",
)
MEANING: Final[Mapping[Factor, str]] = {
    "gpu_time": "model parameters, hardware, batch and use: how long GPUs work for the same tokens",
    "power": "IT energy per GPU second: the chips' power, host and idle",
    "pue": "facility energy per IT energy",
    "intensity": "gCO2e per kWh of the grids",
    "embodied": "the making of the machines, per GPU second",
    "beyond_serving": "training and network, where the boundary holds them",
    "method": "attempts that another method or another version of it weighs",
    "boundary": "attempts whose total holds other lines",
    "coverage": "attempts that only one of the two holds",
}
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Totals of a and b in gCO2e, and what each factor explains of b - a. attempts: known to both; only_a, only_b: to one."""

    a_gco2e: float
    b_gco2e: float
    by_factor: Mapping[Factor, float]
    attempts: int
    only_a: int
    only_b: int

    @property
    def difference(self) -> float:
        """b - a."""
        return self.b_gco2e - self.a_gco2e


def explain(pairs: Iterable[Pair]) -> Explained:
    """The difference by factor, group by group."""
    sums: dict[Factor, list[float]] = {factor: [] for factor in FACTORS}
    totals: dict[str, list[float]] = {"a": [], "b": []}
    counts: Counter[str] = Counter()
    for pair in pairs:
        totals["a"].append(_gco2e(pair.a))
        totals["b"].append(_gco2e(pair.b))
        counts["only_b" if pair.a is None else "only_a" if pair.b is None else "both"] += pair.attempts
        for factor, grams in effects(pair).items():
            sums[factor].append(grams)
    return Explained(
        a_gco2e=math.fsum(totals["a"]),
        b_gco2e=math.fsum(totals["b"]),
        by_factor={factor: math.fsum(grams) for factor, grams in sums.items() if grams},
        attempts=counts["both"],
        only_a=counts["only_a"],
        only_b=counts["only_b"],
    )


def effects(pair: Pair) -> dict[Factor, float]:
    """What each factor explains of one group's difference."""
    a, b = pair.a, pair.b
    whole = _gco2e(b) - _gco2e(a)
    if a is None or b is None:
        return {"coverage": whole}
    if a.method != b.method:
        return {"method": whole}
    found: dict[Factor, float] = {}
    for names, divisors, line in _CHAINS:
        for factor, grams in _shared_out(names, _chain(a, b, divisors, line)).items():
            found[factor] = found.get(factor, 0.0) + grams
    rest = whole - math.fsum(found.values())
    beyond: Factor = "beyond_serving" if a.profile == b.profile else "boundary"
    return found | {beyond: rest} if abs(rest) > 1e-12 * (abs(_gco2e(a)) + abs(_gco2e(b))) else found


_CHAINS: Final[tuple[tuple[tuple[Factor, ...], tuple[str, ...], str], ...]] = (
    (("gpu_time", "power", "pue", "intensity"), ("gpu_seconds", "it_energy_wh", "facility_energy_wh"), "operational_gco2e"),
    (("gpu_time", "embodied"), ("gpu_seconds",), "embodied_gco2e"),
)
"""Factors of a line in grams, by the lines that it is carried through."""


def _chain(a: Side, b: Side, through: Sequence[str], line: str) -> list[tuple[float, float]]:
    """The line of both sides as what it is carried through, ending in grams."""
    return [(_figure(a, name), _figure(b, name)) for name in (*through, line)]


def _shared_out(names: Sequence[Factor], chain: Sequence[tuple[float, float]]) -> dict[Factor, float]:
    """The difference of the last figure over the ratios that lead to it.

    A figure that one of the sides lacks is left out: its ratio and the next are one, told under the next's name.
    """
    a_grams, b_grams = chain[-1]
    if a_grams <= _TINY or b_grams <= _TINY:
        return {names[-1]: b_grams - a_grams} if a_grams != b_grams else {}
    weight = _logarithmic_mean(a_grams, b_grams)
    found: dict[Factor, float] = {}
    a_before, b_before = 1.0, 1.0
    for name, (a, b) in zip(names, chain, strict=True):
        if a <= _TINY or b <= _TINY:
            continue
        found[name] = weight * (math.log(b / b_before) - math.log(a / a_before))
        a_before, b_before = a, b
    return found


def _logarithmic_mean(a: float, b: float) -> float:
    """(b - a) / ln(b / a); a where both are the same."""
    gap = math.log(b / a)
    return a if abs(gap) < 1e-12 else (b - a) / gap


def _figure(side: Side, line: str) -> float:
    return side.lines[line] or 0.0


def _gco2e(side: Side | None) -> float:
    return 0.0 if side is None else _figure(side, "gco2e")
