"""How the arms fare when the factors are others than assumed: draws from the estimator's own doubts. It must never let a policy see a draw.

A scope that calls share is drawn once for all that share it: the method for all, the provider for all of its deployments, the model for
each model, the intensity for each zone. Errors of single calls average out and are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.month.optimum import CLASSES, Known, best_shares, sums_of
from tests.month.weights import SCOPES, Weights
from tests.month.world import Floats, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Of each draw: the reduction against no policy, and what is lacking to the optimum that knows the draw.

    lacking: as a share of that optimum's reduction. above: grams beyond the optimum's, as a share of the optimum's grams.
    """

    reduction: Floats
    lacking: Floats
    above: Floats


def draw(
    known: Known, weights: Weights, chosen: Mapping[str, Whole], baseline: str, *, draws: int, seed: int
) -> tuple[dict[str, Drawn], Floats]:
    """Each arm's fate under so many draws, and the reductions of the optima. chosen: the choice of each call, by arm."""
    rng = np.random.default_rng(seed)
    sd = _class_sds(known, weights)
    taken = {name: class_sums(known, weights, choice) for name, choice in chosen.items()}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in chosen}
    optima = np.empty(draws)
    everyone = np.arange(len(weights.choices))
    for number in range(draws):
        factor = np.exp((sd * _errors(rng, weights)).sum(axis=2) - (sd**2).sum(axis=2) / 2)
        grams = known.gco2e * factor
        shares = best_shares(known, grams, everyone)
        least = float((known.calls[:, None] * shares * grams).sum())
        base = float((taken[baseline] * factor).sum())
        optima[number] = 1 - least / base
        for name, sums in taken.items():
            mine = float((sums * factor).sum())
            found[name].append((1 - mine / base, (mine - least) / (base - least), mine / least - 1))
    return {name: Drawn(**_columns(rows)) for name, rows in found.items()}, optima


def class_sums(known: Known, weights: Weights, choice: Whole) -> Floats:
    """Grams by class and choice of the calls as they were served."""
    width = len(weights.choices)
    cells = known.classes * width + choice
    found: Floats = np.bincount(cells, weights.gco2e[np.arange(len(choice)), choice], CLASSES * width).astype(np.float64)
    return found.reshape(CLASSES, width)


def _columns(rows: list[tuple[float, float, float]]) -> dict[str, Floats]:
    table = np.array(rows)
    return {"reduction": table[:, 0], "lacking": table[:, 1], "above": table[:, 2]}


def _class_sds(known: Known, weights: Weights) -> Floats:
    """Standard deviations by class, choice and scope: those of its calls, weighted by their grams."""
    whole = np.maximum(sums_of(known.classes, weights.gco2e), 1e-12)
    parts = [sums_of(known.classes, weights.gco2e * weights.sd[:, :, scope]) / whole for scope in range(len(SCOPES))]
    return np.stack(parts, axis=2)


def _errors(rng: np.random.Generator, weights: Weights) -> Floats:
    """One standard normal for each scope of each choice; the same one where the scope is shared."""
    keys = [("all", each.place.provider, each.name_of(each.pattern), each.place.zone) for each in weights.choices]
    drawn: dict[tuple[int, str], float] = {}
    found = np.empty((len(keys), len(SCOPES)))
    for number, row in enumerate(keys):
        for scope, key in enumerate(row):
            if (scope, key) not in drawn:
                drawn[scope, key] = float(rng.standard_normal())
            found[number, scope] = drawn[scope, key]
    return found[None, :, :]
