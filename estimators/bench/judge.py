"""Puts estimators before the rows and collects their scores. It must never give two of them different rows to answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from estimators.bench.cells import groups, judged
from estimators.bench.protocol import KINDS, SETTINGS, Adapter, AdapterError, Kind, Prediction, Setting
from estimators.bench.read import MeasuredRow
from estimators.bench.scores import Score, score


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One estimator's score on one part of the rows: `breakdown` is `all`, `gpus`, `arch`, `dataset`, `task` or `family`."""

    estimator: str
    kind: Kind
    setting: Setting
    breakdown: str
    part: str
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One estimator before one kind of rows in one setting."""

    adapter: Adapter
    kind: Kind
    setting: Setting
    rows: Sequence[MeasuredRow]


def sittings(adapters: Sequence[Adapter], rows: Mapping[Kind, Sequence[MeasuredRow]]) -> list[Sitting]:
    """What is to be judged, in the order in which it is shown: by kind, setting, estimator."""
    return [
        Sitting(adapter=adapter, kind=kind, setting=setting, rows=chosen)
        for kind in KINDS
        for setting in SETTINGS
        if (chosen := judged(rows.get(kind, ()), kind, setting))
        for adapter in adapters
        if adapter.enters(kind, setting)
    ]


def judge(sitting: Sitting) -> Iterator[Verdict]:
    """The estimator's scores on all rows and on each part of them. Raises AdapterError naming the row."""
    predictions = ask(sitting)
    for (breakdown, part), members in groups(sitting.rows).items():
        yield Verdict(
            estimator=sitting.adapter.name,
            kind=sitting.kind,
            setting=sitting.setting,
            breakdown=breakdown,
            part=part,
            score=score([sitting.rows[index] for index in members], [predictions[index] for index in members]),
        )


def ask(sitting: Sitting) -> Sequence[Prediction | None]:
    """The estimator's answers. Raises AdapterError, its text naming estimator and row."""
    name, rows = sitting.adapter.name, sitting.rows
    shown = [row.visible(sitting.setting) for row in rows]
    try:
        predictions = sitting.adapter.predict(shown, kind=sitting.kind, setting=sitting.setting)
    except AdapterError as error:
        where = "" if error.row is None else f" at {rows[error.row].place} ({rows[error.row].text('model')})"
        raise AdapterError(f"{name}{where}: {error}", error.row) from error
    if len(predictions) != len(rows):
        raise AdapterError(f"{name}: gave {len(predictions)} answers to {len(rows)} rows of kind {sitting.kind}")
    return predictions
