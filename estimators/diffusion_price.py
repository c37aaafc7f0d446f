"""What a price allows a product's energy to be. It must never make heavier, nor narrow what it has not heard of."""

import math
from typing import NamedTuple

from config.factor import Factor
from config.factors import FactorSet
from estimators.quantity import Z95, LogVariance, Quantity

S_PER_HOUR = 3600
FAR_BELOW = -8.0
"""Standard deviations below which the normal tail is taken by its series (definition)."""


class PaidFor(NamedTuple):
    """GPU joules that a price pays for: `whole` if all of it were accelerator time, `likely` at the usual share of it."""

    whole_j: float
    likely_j: Quantity


class Held(NamedTuple):
    """What a bound does to a belief: factor on its median, at most 1, and what its log variance loses."""

    scale: float
    variance_removed: float


def gpu_j_paid_for(price_usd: float, factors: FactorSet) -> PaidFor:
    """GPU joules that `price_usd` buys; the doubt of rent, power and share is in scope `provider`."""
    rent, power, share = (factors[f"diffusion.{row}"] for row in ("usd_per_gpu_hour", "serving_w", "price_compute_share"))
    whole_j = price_usd / rent.value * S_PER_HOUR * power.value
    return PaidFor(
        whole_j, Quantity(whole_j * share.value, LogVariance(provider=math.fsum(_variance(row) for row in (rent, power, share))))
    )


def within_price(prior: Quantity, paid: PaidFor) -> Held:
    """The belief `prior` given that the energy stays below what is paid for: moments of a log-normal cut at a log-normal bound.

    Its median never exceeds `whole_j`.
    """
    own = prior.variance.total
    both = own + paid.likely_j.variance.total
    room = math.log(paid.likely_j.p50 / prior.p50) / math.sqrt(both)
    hazard = _hazard(room)
    log_scale = min(-own / math.sqrt(both) * hazard, math.log(paid.whole_j / prior.p50))
    return Held(math.exp(log_scale), own * own / both * hazard * (hazard + room))


def _hazard(z: float) -> float:
    """Density over distribution of the standard normal at z."""
    if z < FAR_BELOW:
        return -z / (1 - 1 / z**2 + 3 / z**4)
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / (math.erfc(-z / math.sqrt(2)) / 2)


def _variance(row: Factor) -> float:
    """Variance of the logarithm that a factor's range stands for."""
    return (math.log(row.high / row.low) / (2 * Z95)) ** 2
