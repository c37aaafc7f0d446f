"""The offline optima: what could be reached by who knows what policies know, and by who knows everything. It must never see a policy."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from tests.month.weights import Weights
from tests.month.world import KINDS, LENGTH_THIRDS, MODELS, REGIONS, STAGES, Floats, Month, Whole

QUALITY_LOSS = 0.01
"""Mean quality may fall by this share of what it is without policies."""

GROUPS = len(KINDS) * len(STAGES) * 2
CLASSES = GROUPS * LENGTH_THIRDS
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an owner knows of the month's calls by class: kind, stage, common or rare language, third of the prompt's length.

    calls: how many; gco2e: expected, of a call at each choice; score: of a labelled sample, by choice.
    """

    calls: Floats
    gco2e: Floats
    score: Floats
    classes: Whole


def groups_of(month: Month) -> Whole:
    """Kind, stage and language as one number per call."""
    found: Whole = (month.kind * len(STAGES) + month.stage) * 2 + month.is_rare
    return found


def classes_of(month: Month) -> Whole:
    """The class of each call; lengths in thirds of the calls of its kind."""
    third = np.zeros(len(month), dtype=np.int64)
    for kind in range(len(KINDS)):
        of_kind = month.kind == kind
        if np.any(of_kind):
            third[of_kind] = np.digitize(month.input_tokens[of_kind], np.quantile(month.input_tokens[of_kind], (1 / 3, 2 / 3)))
    found: Whole = groups_of(month) * LENGTH_THIRDS + third
    return found


def labelled_scores(labelled: Month) -> Floats:
    """Mean score of each model by group, as a labelled sample shows it; where it has no row of a group, its mean over all."""
    group, overall = groups_of(labelled), labelled.score.mean(axis=0)
    rows = np.bincount(group, minlength=GROUPS)
    sums = np.stack([np.bincount(group, labelled.score[:, model], minlength=GROUPS) for model in range(len(MODELS))], axis=1)
    found: Floats = np.where(rows[:, None] > 0, sums / np.maximum(rows, 1)[:, None], overall)
    return found


def known_of(month: Month, weights: Weights, labelled: Month) -> Known:
    """The month by classes."""
    classes = classes_of(month)
    calls = np.bincount(classes, minlength=CLASSES).astype(np.float64)
    scores = np.repeat(labelled_scores(labelled), LENGTH_THIRDS, axis=0)
    return Known(
        calls=calls,
        gco2e=sums_of(classes, weights.gco2e) / np.maximum(calls, 1)[:, None],
        score=np.repeat(scores, len(REGIONS), axis=1),
        classes=classes,
    )


def sums_of(classes: Whole, values: Floats) -> Floats:
    """Sums by class of each column."""
    return np.stack([np.bincount(classes, values[:, at], minlength=CLASSES) for at in range(values.shape[1])], axis=1)


def best_shares(known: Known, gco2e: Floats, allowed: Whole) -> Floats:
    """The share of each class that goes to each choice where grams are least and known quality keeps up; by linear programming.

    gco2e: of a call of each class at each choice; allowed: choices that may serve. Raises ValueError where nothing fits.
    """
    rows = np.flatnonzero(known.calls)
    number, width = len(rows), len(allowed)
    calls = known.calls[rows, None]
    grams = (calls * gco2e[np.ix_(rows, allowed)]).ravel()
    score = (calls * known.score[np.ix_(rows, allowed)]).ravel()
    floor = (1 - QUALITY_LOSS) * float(known.calls @ known.score[:, 0])
    once = coo_matrix((np.ones(number * width), (np.repeat(np.arange(number), width), np.arange(number * width))))
    done = linprog(grams / grams.sum(), A_ub=-score[None, :], b_ub=[-floor], A_eq=once.tocsr(), b_eq=np.ones(number), method="highs")
    if done.status != 0:
        raise ValueError(f"no optimum: {done.message}")
    shares = np.zeros_like(gco2e)
    shares[np.ix_(rows, allowed)] = done.x.reshape(number, width)
    return shares


def clairvoyant(month: Month, weights: Weights) -> Whole:
    """The choice of each call where true grams by the hour are least and true mean quality keeps up.

    One bound joins the calls, so each takes the least of grams less a price on its score, and the price is found by halving.
    """
    best = weights.hourly_gco2e.reshape(len(month), len(MODELS), len(REGIONS))
    region, grams = best.argmin(axis=2), best.min(axis=2)
    floor = (1 - QUALITY_LOSS) * float(month.score[:, 0].mean())
    low, high = 0.0, float(grams.max()) * 1e4
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        model = (grams - price * month.score).argmin(axis=1)
        reached = float(np.take_along_axis(month.score, model[:, None], 1).mean()) >= floor
        low, high = (low, price) if reached else (price, high)
    model = (grams - high * month.score).argmin(axis=1)
    found: Whole = model * len(REGIONS) + np.take_along_axis(region, model[:, None], 1)[:, 0]
    return found
