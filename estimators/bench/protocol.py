"""What an estimator is shown of a measured row, and what it answers. It must never show what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Kind = Literal["llm", "image", "video"]
Setting = Literal["known", "blind"]
VisibleRow = dict[str, str]

KINDS: Final[tuple[Kind, ...]] = ("llm", "image", "video")
SETTINGS: Final[tuple[Setting, ...]] = ("known", "blind")

TARGETS: Final[Mapping[Kind, str]] = {"llm": "j_per_output_token", "image": "j_per_output", "video": "j_per_output"}
"""The measured column: joules of all GPUs together, per output token, image or clip."""

HIDDEN: Final = frozenset(
    {
        "j_per_output_token",
        "j_per_request",
        "j_per_output",
        "avg_power_w",
        "output_tok_per_s",
        "median_itl_ms",
        "batch_latency_s",
        "row_id",
        "source",
    }
)
"""Never shown: energy, power, throughput and latency give the answer away, ids and sources tell nothing that may be used."""

_LLM_MODEL = (
    "model",
    "family",
    "task",
    "arch",
    "total_params_b",
    "active_params_b",
    "output_tokens_mean",
    "reasoning",
    "input_modality",
)
_LLM_DEPLOYMENT = ("dataset", "precision", "gpu", "num_gpus", "tp", "ep", "dp", "max_batch", "avg_batch")
_MEDIA_MODEL = ("model", "family", "task", "params_b_denoiser", "height", "width", "frames", "fps", "steps")
_MEDIA_DEPLOYMENT = ("dataset", "precision", "gpu", "num_gpus", "batch")

VISIBLE: Final[Mapping[tuple[Kind, Setting], tuple[str, ...]]] = {
    ("llm", "known"): (*_LLM_MODEL, *_LLM_DEPLOYMENT),
    ("llm", "blind"): _LLM_MODEL,
    ("image", "known"): (*_MEDIA_MODEL, *_MEDIA_DEPLOYMENT),
    ("image", "blind"): _MEDIA_MODEL,
    ("video", "known"): (*_MEDIA_MODEL, *_MEDIA_DEPLOYMENT),
    ("video", "blind"): _MEDIA_MODEL,
}
"""Columns an estimator is given, by kind and setting; a column that the file lacks is given as an empty text."""

OURS: Final = "grammage"
"""The name of our own estimator in the results."""

OUTPUTS: Final[Mapping[Kind, str]] = {"llm": "output token", "image": "image", "video": "clip"}


def number_in(cells: Mapping[str, str], column: str) -> float | None:
    """The cell as a number; None when it is empty or missing. Raises ValueError for one that is no number."""
    cell = cells.get(column)
    return float(cell) if cell else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """GPU energy of one output, J, all GPUs together: median, a 90 % range (p5 to p95, or None), and the expected value."""

    p50: float
    mean: float
    low: float | None = None
    high: float | None = None


class Adapter(Protocol):
    """An estimator on the bench. None for a row declines it: that costs answers, not accuracy."""

    @property
    def name(self) -> str:
        """How the estimator is called in the results."""

    def enters(self, kind: Kind, setting: Setting) -> bool:
        """Whether it takes part; one that does not is not shown there, one that does may still decline row by row."""

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> Sequence[Prediction | None]:
        """One answer per row, in their order. Raises AdapterError."""


class AdapterError(Exception):
    """An adapter failed or answered what cannot be judged; the text names the row where there is one. row: its index, or None."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


def prediction_of(answer: object, row: int) -> Prediction | None:
    """One answer as a checked prediction. It is None, a number, or a mapping with `p50` and perhaps `low`, `high`, `mean`.

    Raises AdapterError for anything else, and for numbers that are not finite, not above 0, or not in order.
    """
    if answer is None:
        return None
    if isinstance(answer, Mapping):
        p50 = _joules(answer.get("p50"), "p50", row)
        given = {name: _joules(answer[name], name, row) for name in ("low", "high", "mean") if answer.get(name) is not None}
    else:
        p50, given = _joules(answer, "the answer", row), {}
    low, high = given.get("low"), given.get("high")
    if (low is None) != (high is None):
        raise AdapterError("gave one end of a range without the other", row)
    if low is not None and high is not None and not low <= p50 <= high:
        raise AdapterError(f"needs low <= p50 <= high, got {low:g}, {p50:g}, {high:g}", row)
    return Prediction(p50=p50, mean=given.get("mean", p50), low=low, high=high)


def _joules(number: object, what: str, row: int) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise AdapterError(f"{what} must be a number of joules, got {_shown(number)}", row)
    if not math.isfinite(number) or number <= 0:
        raise AdapterError(f"{what} must be joules above 0, got {number:g}", row)
    return float(number)


def _shown(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 60 else f"{text[:57]}..."
