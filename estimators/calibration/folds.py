"""Which rows are held out together. It must never let a model family be on both sides."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from estimators.quantity import Z95

Floats = NDArray[np.float64]


def leave_one_out(groups: NDArray[np.str_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each group's name and the mask of its rows, in the order of the names."""
    for group in np.unique(groups):
        yield str(group), groups == group


def held_out_errors(groups: NDArray[np.str_], predict: Callable[[str, NDArray[np.bool_]], Floats], truth: Floats) -> Floats:
    """ln(prediction / truth) of every row, each predicted without its group. predict: (group, mask of its rows) -> logarithms there."""
    errors = np.zeros(len(truth))
    for group, held in leave_one_out(groups):
        errors[held] = predict(group, held) - truth[held]
    return errors


def sd_of(errors: Floats, weights: Floats, groups: NDArray[np.str_]) -> float:
    """The standard deviation whose 90 % range holds 90 % of the errors, groups weighing equally or by their rows, whichever asks for more.

    It is that of a prediction for a further group from k groups: wider by sqrt(1 + 1/k).
    """
    equal = np.zeros(len(errors))
    for _, inside in leave_one_out(groups):
        equal[inside] = weights[inside] / weights[inside].sum()
    largest = max(_quantile(np.abs(errors), share, 0.9) for share in (equal, weights))
    return largest / Z95 * math.sqrt(1 + 1 / len(np.unique(groups)))


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    place = min(int(np.searchsorted(reached, share)), len(values) - 1)
    return float(values[order[place]])
