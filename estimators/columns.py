"""Many calls at once, column by column, and how their quantities add. It must never be imported by what serves: it needs numpy."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimators.energy import USAGE_SOURCES
from estimators.quantity import LogVariance, Quantity
from estimators.usage import Usage

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
UNKNOWN = -1
"""In a column of whole numbers that may be unknown."""


class Variances(NamedTuple):
    """Components of the log-variance, one column each; as LogVariance."""

    method: Floats
    provider: Floats
    model: Floats
    zone: Floats
    call: Floats

    @property
    def total(self) -> Floats:
        """Sum of the components."""
        whole: Floats = self.method + self.provider + self.model + self.zone + self.call
        return whole


class Quantities(NamedTuple):
    """One log-normal quantity of many calls; as Quantity."""

    p50: Floats
    variance: Variances

    @property
    def mean(self) -> Floats:
        """Expected values."""
        found: Floats = self.p50 * np.exp(self.variance.total / 2)
        return found

    def at(self, i: int) -> Quantity:
        """The quantity of call `i`."""
        return Quantity(float(self.p50[i]), LogVariance(*(float(column[i]) for column in self.variance)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageColumns:
    """Token usages of many calls, all columns of one length; as Usage, for calls without media and meters.

    source: index into USAGE_SOURCES. network_bytes and possible_output_tokens: UNKNOWN where there is none. Raises ValueError when
    columns differ in length or a subset exceeds its total.
    """

    input_tokens: Whole
    cached_input_tokens: Whole
    image_input_tokens: Whole
    input_images: Whole
    output_tokens: Whole
    source: Whole
    partial: Flags
    network_bytes: Whole
    possible_output_tokens: Whole
    calls: Whole

    def __post_init__(self) -> None:
        columns = [getattr(self, name) for name in UsageColumns.__slots__]
        if len({len(column) for column in columns}) != 1:
            raise ValueError("columns of usages must have one length")
        counts = (self.input_tokens, self.cached_input_tokens, self.image_input_tokens, self.input_images, self.output_tokens)
        if len(self) and min(int(column.min()) for column in counts) < 0:
            raise ValueError("token counts are >= 0")
        if len(self) and int(self.calls.min()) < 1:
            raise ValueError("calls are >= 1")
        if np.any(self.cached_input_tokens > self.input_tokens) or np.any(self.image_input_tokens > self.input_tokens):
            raise ValueError("cached and image input tokens are part of input_tokens")

    def __len__(self) -> int:
        return len(self.input_tokens)


def columns_of(
    usages: list[Usage], network_bytes: list[int | None] | None = None, possible_output_tokens: list[int | None] | None = None
) -> UsageColumns:
    """The usages as columns. Raises ValueError for a usage with media or a meter: those are weighed one by one."""
    if any(usage.media is not None or usage.metered is not None for usage in usages):
        raise ValueError("usages with media or metered energy are weighed one by one")

    def _whole(name: str) -> Whole:
        return np.array([getattr(usage, name) for usage in usages], dtype=np.int64)

    return UsageColumns(
        input_tokens=_whole("input_tokens"),
        cached_input_tokens=_whole("cached_input_tokens"),
        image_input_tokens=_whole("image_input_tokens"),
        input_images=_whole("input_images"),
        output_tokens=_whole("output_tokens"),
        source=np.array([USAGE_SOURCES.index(usage.source) for usage in usages], dtype=np.int64),
        partial=np.array([usage.partial for usage in usages], dtype=np.bool_),
        network_bytes=_maybe(network_bytes, len(usages)),
        possible_output_tokens=_maybe(possible_output_tokens, len(usages)),
        calls=_whole("calls"),
    )


def add_columns(a: Quantities, b: Quantities) -> Quantities:
    """a + b call by call, as `quantity.add`."""
    mean_a, mean_b = a.mean, b.mean
    mean = mean_a + mean_b
    with np.errstate(divide="ignore", invalid="ignore"):
        share_a, share_b = mean_a / mean, mean_b / mean
        sd_a, sd_b = [np.sqrt(v) for v in a.variance], [np.sqrt(v) for v in b.variance]
        covariance = sum((x * y for x, y in zip(sd_a, sd_b, strict=True)), np.zeros_like(mean))
        moment = (
            share_a**2 * np.expm1(a.variance.total) + share_b**2 * np.expm1(b.variance.total) + 2 * share_a * share_b * np.expm1(covariance)
        )
        variance = np.log1p(moment)
        weights = [(share_a * x + share_b * y) ** 2 for x, y in zip(sd_a, sd_b, strict=True)]
        whole = sum(weights, np.zeros_like(mean))
        parts = [np.where(whole > 0, variance * w / whole, 0.0) for w in weights]
        p50 = mean * np.exp(-variance / 2)
    only_a, only_b = mean_b <= 0, (mean_a <= 0) & (mean_b > 0)

    def _chosen(both: Floats, of_a: Floats, of_b: Floats) -> Floats:
        return np.where(only_a, of_a, np.where(only_b, of_b, both))

    return Quantities(
        _chosen(p50, a.p50, b.p50), Variances(*(_chosen(part, x, y) for part, x, y in zip(parts, a.variance, b.variance, strict=True)))
    )


def _maybe(values: list[int | None] | None, length: int) -> Whole:
    if values is None:
        return np.full(length, UNKNOWN, dtype=np.int64)
    return np.array([UNKNOWN if value is None else value for value in values], dtype=np.int64)
