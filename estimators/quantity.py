"""A log-normal quantity whose doubt is kept by scope, and how such quantities add. It must never shrink shared doubt by the number of calls."""

import math
from typing import NamedTuple

Z95 = 1.6448536269514722
"""Standard normal quantile at 0.95 (definition)."""


class LogVariance(NamedTuple):
    """Variance of the natural logarithm, by what causes it; calls that share a cause share its error.

    method: form of the method, host and idle overhead, software stack. provider: PUE, batch prior.
    model: size and architecture. zone: carbon intensity. call: token counts of this call alone.
    """

    method: float = 0.0
    provider: float = 0.0
    model: float = 0.0
    zone: float = 0.0
    call: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the components."""
        return self.method + self.provider + self.model + self.zone + self.call


class Quantity(NamedTuple):
    """A log-normal quantity >= 0: its median and the variance components of its logarithm. The unit stands in the field's name."""

    p50: float
    variance: LogVariance

    @property
    def mean(self) -> float:
        """Expected value, the one number that is shown and summed: p50 * exp(variance / 2)."""
        return self.p50 * math.exp(self.variance.total / 2)

    @property
    def p5(self) -> float:
        """5th percentile."""
        return self.p50 * math.exp(-Z95 * math.sqrt(self.variance.total))

    @property
    def p95(self) -> float:
        """95th percentile."""
        return self.p50 * math.exp(Z95 * math.sqrt(self.variance.total))


NOTHING = Quantity(0.0, LogVariance())
