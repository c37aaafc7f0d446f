"""The month's figures, a row per arm, and the goals they are held to. It must never round before comparing."""

from dataclasses import dataclass

import numpy as np

from estimators.quantity import LogVariance, ScopeKeys, Total, around
from proxy.cli.output import Cell
from tests.month.engine import REFUSED
from tests.month.optimum import CLASSES, Known
from tests.month.weights import ML_PER_LITRE, SCOPES, Weights
from tests.month.world import REGIONS, Month, Whole

COLUMNS = (
    "arm", "kgco2e", "low", "high", "by_the_hour", "reduction", "of_optimum", "water_l", "cost", "quality", "quality_kept",
    "p50_s", "p95_s", "moved", "refused",
)  # fmt: skip
GRAMS_PER_KG = 1000
MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What an arm came to. low, high: 5th and 95th percentile of the sum. hourly_gco2e: with each hour's intensity. score: true mean."""

    gco2e: float
    low: float
    high: float
    hourly_gco2e: float
    water_l: float
    cost: float
    score: float
    p50_s: float
    p95_s: float
    moved: int
    refused: int


def figures(month: Month, weights: Weights, known: Known, choice: Whole) -> Figures:
    """The sums over all calls that were served."""
    served = np.flatnonzero(choice != REFUSED)
    at = (served, choice[served])
    model, region = choice[served] // len(REGIONS), choice[served] % len(REGIONS)
    total = _total(weights, known, served, choice)
    latency_s = month.latency_ms[served, model, region] / MS_PER_S
    return Figures(
        gco2e=float(weights.gco2e[at].sum()),
        low=total.p5,
        high=total.p95,
        hourly_gco2e=float(weights.hourly_gco2e[at].sum()),
        water_l=float(weights.water_ml[at].sum()) / ML_PER_LITRE,
        cost=float(weights.cost[at].sum()),
        score=float(month.score[served, model].mean()),
        p50_s=float(np.quantile(latency_s, 0.5)),
        p95_s=float(np.quantile(latency_s, 0.95)),
        moved=int(np.count_nonzero(choice[served])),
        refused=int(np.count_nonzero(choice == REFUSED)),
    )


def _total(weights: Weights, known: Known, served: Whole, choice: Whole) -> Total:
    """The sum with its range: shared errors add in full; errors of single calls average out over so many and are left out."""
    cells = known.classes[served] * len(weights.choices) + choice[served]
    whole = np.bincount(cells, weights.gco2e[served, choice[served]], CLASSES * len(weights.choices))
    sds = [
        np.bincount(cells, (weights.gco2e * weights.sd[:, :, scope])[served, choice[served]], len(whole)) for scope in range(len(SCOPES))
    ]
    total = Total()
    for cell in np.flatnonzero(whole):
        of = weights.choices[cell % len(weights.choices)]
        doubt = LogVariance(*((float(sd[cell]) / float(whole[cell])) ** 2 for sd in sds))
        keys = ScopeKeys("tokens", of.place.provider, of.name_of(of.pattern), of.place.zone)
        total.add(around(float(whole[cell]), doubt), keys)
    return total


def row(name: str, of: Figures, base: Figures, least: float | None) -> dict[str, Cell]:
    """An arm's row. least: grams of the optimum."""
    return {
        "arm": name,
        "kgco2e": of.gco2e / GRAMS_PER_KG,
        "low": of.low / GRAMS_PER_KG,
        "high": of.high / GRAMS_PER_KG,
        "by_the_hour": of.hourly_gco2e / GRAMS_PER_KG,
        "reduction": share(1 - of.gco2e / base.gco2e),
        "of_optimum": None if least is None or of is base else share((base.gco2e - of.gco2e) / (base.gco2e - least)),
        "water_l": of.water_l,
        "cost": of.cost,
        "quality": f"{of.score:.4f}",
        "quality_kept": share(of.score / base.score),
        "p50_s": of.p50_s,
        "p95_s": of.p95_s,
        "moved": of.moved,
        "refused": of.refused,
    }


def share(ratio: float) -> str:
    """A ratio for people."""
    return f"{100 * ratio:.1f} %"
