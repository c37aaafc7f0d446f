"""What the range of a total is made of, one source of doubt at a time. It must never add these parts up: doubts do not add.

A tornado: the total with one source at its 5th and 95th percentile while all the others rest at their expected values.
"""

import math
from collections.abc import Sequence
from typing import Final, get_args

from estimators.quantity import Z95, LogVariance, Quantity, around
from proxy.reports.document import Driver, Scope
from proxy.reports.sums import Keyed, total_of

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KEYED: Final[tuple[Scope, ...]] = ("method", "provider", "model", "zone")
LEAST_WIDTH: Final = 0.01
"""A share of the widest: what is narrower moves nothing that people read (definition)."""

MOST_KEYS: Final = 8
"""So many single models, zones, providers and methods are listed, the widest."""


def drivers(parts: Sequence[Keyed]) -> tuple[Driver, ...]:
    """Each scope as a whole and its widest keys, the widest first. A scope of one key has no line for the key."""
    whole = [_scope(parts, scope) for scope in SCOPES]
    single = [driver for scope in KEYED for driver in _keys(parts, scope)]
    kept = sorted(single, key=_width)[:MOST_KEYS]
    found = sorted((*whole, *kept), key=_width)
    least = LEAST_WIDTH * -_width(found[0])
    return tuple(driver for driver in found if driver.gco2e_high > driver.gco2e_low and -_width(driver) >= least)


def _width(driver: Driver) -> float:
    return driver.gco2e_low - driver.gco2e_high


def _scope(parts: Sequence[Keyed], scope: Scope) -> Driver:
    """All keys of the scope, which err apart from each other."""
    total = total_of([(_only(quantity, scope), shared) for quantity, shared in parts])
    return Driver(scope=scope, key=None, gco2e_low=total.p5, gco2e_high=total.p95)


def _only(quantity: Quantity, scope: Scope) -> Quantity:
    return around(quantity.mean, LogVariance(**{scope: getattr(quantity.variance, scope)}))


def _keys(parts: Sequence[Keyed], scope: Scope) -> list[Driver]:
    keys = sorted({getattr(shared, scope) for _, shared in parts})
    return [_key(parts, scope, key) for key in keys] if len(keys) > 1 else []


def _key(parts: Sequence[Keyed], scope: Scope, key: str) -> Driver:
    low = high = 0.0
    for quantity, shared in parts:
        variance = getattr(quantity.variance, scope) if getattr(shared, scope) == key else 0.0
        low += quantity.mean * math.exp(-Z95 * math.sqrt(variance) - variance / 2)
        high += quantity.mean * math.exp(Z95 * math.sqrt(variance) - variance / 2)
    return Driver(scope=scope, key=key, gco2e_low=low, gco2e_high=high)
