"""Fits the text form, judges it on families it has not seen, and says what came out. It must never judge on a row it was fitted to."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from config.catalogue import Catalogue
from config.factors import FactorSet
from estimators.bench.cells import judged
from estimators.bench.ours_text import predict_text_row
from estimators.bench.protocol import SETTINGS, Prediction
from estimators.bench.read import MeasuredRow
from estimators.bench.scores import Score, score
from estimators.calibration.folds import held_out_errors, sd_of
from estimators.calibration.parameter import Fitted, FormFit, fitted_spreads, rounded, with_values
from estimators.calibration.text_fit import fit, predict
from estimators.calibration.text_parameters import PARAMETERS
from estimators.calibration.text_rows import Floats, TextRows, text_rows

Values = dict[str, float]
DOUBTS = {
    "form.sd_dense": "Dense models: departure of one architecture from the form",
    "form.sd_moe": "Mixtures of experts: departure of one architecture from the form",
    "form.sd_unknown_architecture": "Added in quadrature where the architecture is not published: the rule of thumb in its place",
}
RESIDUALS = "Leave-one-family-out residuals of the same fit: 1.645 of it hold 90 % of them; low and high: 0.7 and 1.4 times"


def fit_text(measured: Sequence[MeasuredRow], catalogue: Catalogue, factors: FactorSet) -> FormFit:
    """The form fitted to all rows, with ranges, doubts and scores from the fits that leave one family out."""
    rows = text_rows(measured, catalogue, factors)
    whole = fit(rows, factors)
    folds = {str(family): fit(rows.only(rows.family != family), factors) for family in np.unique(rows.family)}
    errors = held_out_errors(rows.family, lambda family, held: predict(folds[family], rows.only(held), factors), rows.log_j)
    doubts = _doubts(errors, rows) | _unknown_architecture(measured, catalogue, factors, folds, errors)
    return FormFit(
        parameters=(*_fitted(whole, folds), *fitted_spreads(doubts, DOUBTS, RESIDUALS)),
        scores=_scores(measured, catalogue, with_values(factors, doubts), folds, rows, errors),
        rows=len(measured),
        cells=round(float(rows.weight.sum())),
        families=tuple(folds),
    )


def _doubts(errors: Floats, rows: TextRows, without: str = "") -> Values:
    """Standard deviations of the logarithm by kind of model, on the software that was measured; its drift is told apart, form.sd_stack.

    Families weigh equally, or by their cells where that gives more; mixtures of experts are never surer than dense models.
    """
    seen = rows.family != without
    found: Values = {}
    least = 0.0
    for row, kind in (("form.sd_dense", rows.shape["moe"] == 0), ("form.sd_moe", rows.shape["moe"] > 0)):
        chosen = kind & seen
        if chosen.any():
            least = max(least, sd_of(errors[chosen], rows.weight[chosen], rows.family[chosen]))
        found[row] = least
    return found


def _unknown_architecture(
    measured: Sequence[MeasuredRow], catalogue: Catalogue, factors: FactorSet, folds: Mapping[str, Values], errors: Floats
) -> Values:
    """What the errors of the same fits grow by where every model is built by the rule of thumb, over all rows."""
    rows = text_rows(measured, catalogue, factors, architecture_known=False)
    guessed = held_out_errors(rows.family, lambda family, held: predict(folds[family], rows.only(held), factors), rows.log_j)
    with_facts, without = (sd_of(each, rows.weight, rows.family) for each in (errors, guessed))
    return {"form.sd_unknown_architecture": math.sqrt(max(without**2 - with_facts**2, 0.0))}


def _fitted(whole: Values, folds: Mapping[str, Values]) -> list[Fitted]:
    found = []
    for parameter in PARAMETERS:
        over_folds = [values[parameter.id] for values in folds.values()]
        value = whole[parameter.id]
        found.append(
            Fitted(
                id=parameter.id,
                value=rounded(value),
                low=rounded(min(value, *over_folds)),
                high=rounded(max(value, *over_folds)),
                unit=parameter.unit,
                note=parameter.note,
            )
        )
    return found


def _scores(
    measured: Sequence[MeasuredRow],
    catalogue: Catalogue,
    factors: FactorSet,
    folds: Mapping[str, Values],
    rows: TextRows,
    errors: Floats,
) -> dict[str, Score]:
    """Each family predicted by what ships, with parameters and doubts that never saw it."""
    blind_to = {family: with_values(factors, {**values, **_doubts(errors, rows, family)}) for family, values in folds.items()}
    found: dict[str, Score] = {}
    for setting in SETTINGS:
        chosen = judged(measured, "llm", setting)
        answers = []
        for row in chosen:
            q = predict_text_row(row.visible(setting), catalogue, blind_to[row.family], blind=setting == "blind")
            answers.append(Prediction(p50=q.p50, mean=q.mean, low=q.p5, high=q.p95))
        found[setting] = score(chosen, answers)
        for kind in ("dense", "moe"):
            some = [i for i, row in enumerate(chosen) if row.text("arch") == kind]
            found[f"{setting}, {kind}"] = score([chosen[i] for i in some], [answers[i] for i in some])
    return found
