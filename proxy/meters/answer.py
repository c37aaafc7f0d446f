"""Reads what a meter answers: joules, or watts, by series. It must never take an error page for a reading."""

import math
from typing import Any

import msgspec

Readings = dict[str, float]
"""Series, by its labels, to its value in the meter's unit."""

WHOLE = "whole"


class BadAnswer(ValueError):
    """The meter answered, and not with a reading."""


class _Data(msgspec.Struct):
    result: Any = None
    kind: str = msgspec.field(name="resultType", default="")


class _Prometheus(msgspec.Struct):
    status: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


class _TensorRt(msgspec.Struct):
    total_energy_j: float


def read_prometheus(body: bytes) -> Readings:
    """The samples of an instant query, a vector or a scalar. Raises BadAnswer when it failed or found nothing."""
    try:
        answer = msgspec.json.decode(body, type=_Prometheus)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("is no answer of Prometheus's HTTP API") from error
    if answer.status != "success":
        raise BadAnswer("reports that the query failed")
    if answer.data.kind == "vector":
        found = dict(_sample_of(sample) for sample in answer.data.result or ())
    elif answer.data.kind == "scalar":
        found = {WHOLE: _sample(answer.data.result)}
    else:
        raise BadAnswer(f"holds a {answer.data.kind[:20] or 'nothing'}, not a vector; ask for one instant")
    if not found:
        raise BadAnswer("finds no series; check query and labels")
    return found


def read_tensorrt(body: bytes) -> Readings:
    """The server's counter since it started. Raises BadAnswer when it states none."""
    try:
        joules = msgspec.json.decode(body, type=_TensorRt).total_energy_j
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("states no total_energy_j; start the server with enable_energy_metrics") from error
    return {WHOLE: _checked(joules)}


def _sample_of(series: Any) -> tuple[str, float]:
    """The series by its labels, and its value."""
    if not isinstance(series, dict) or not isinstance(series.get("metric"), dict):
        raise BadAnswer("holds a series without labels")
    labels = series["metric"]
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels)), _sample(series.get("value"))


def _sample(pair: Any) -> float:
    """The value of [time, "value"]."""
    try:
        return _checked(float(pair[1]))
    except (TypeError, ValueError, LookupError) as error:
        raise BadAnswer("holds a sample that is no number >= 0") from error


def _checked(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise BadAnswer("holds a sample that is no number >= 0")
    return value
