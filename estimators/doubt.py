"""Adds doubt to a quantity without moving its mean. It must never be used for doubt that the quantity already carries."""

import math

from estimators.quantity import LogVariance, Quantity


def doubted(q: Quantity, *, method: float = 0.0, call: float = 0.0) -> Quantity:
    """q with further independent variance of its logarithm in the scopes `method` and `call`; the mean stays."""
    own = q.variance
    variance = LogVariance(own.method + method, own.provider, own.model, own.zone, own.call + call)
    return Quantity(q.p50 * math.exp((method + call) / -2), variance)
