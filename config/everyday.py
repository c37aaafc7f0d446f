"""A mass of CO2e in everyday units, as ADEME publishes them. It must never enter a figure, nor stand without source and year."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from config.equivalences import Equivalence

GRAMS_PER_KG = 1000
EVERYDAY = ("streaming_hour", "meal_beef", "car_km", "tgv_km", "tshirt", "smartphone", "laptop", "paris_ny_return")
"""Units that people know, from light to heavy."""

EASY_COUNT = 30
"""A number of things that people can picture; units nearest to it are chosen (definition)."""

SHOWN = 3


class Equivalent(NamedTuple):
    """So many units weigh as much."""

    times: float
    unit: Equivalence


def equivalents(gco2e: float, units: Iterable[Equivalence], *, at_most: int = SHOWN) -> tuple[Equivalent, ...]:
    """`gco2e` grams in the everyday units that make the easiest numbers, light units first; nothing for nothing."""
    if gco2e <= 0:
        return ()
    known = {unit.id: unit for unit in units}
    found = [Equivalent(gco2e / GRAMS_PER_KG / known[name].kgco2e_per_unit, known[name]) for name in EVERYDAY if name in known]
    nearest = sorted(found, key=lambda each: abs(math.log(each.times / EASY_COUNT)))[:at_most]
    return tuple(each for each in found if each in nearest)
