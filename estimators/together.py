"""The attempts of one call as one opinion. It must never hide the weakest of them."""

from collections.abc import Sequence
from functools import reduce

from estimators.estimate import Estimate
from estimators.quantity import Quantity, add


def together(estimates: Sequence[Estimate]) -> Estimate:
    """The sum of the attempts of one call, line by line, with the weakest tier; at least one. Method and place are the last one's.

    A line that some attempt lacks is the sum of those that have it.
    """
    last = estimates[-1]
    if len(estimates) == 1:
        return last
    return last._replace(
        it_energy_wh=_sum([each.it_energy_wh for each in estimates]),
        facility_energy_wh=_sum([each.facility_energy_wh for each in estimates]),
        gpu_seconds=_sum([each.gpu_seconds for each in estimates]),
        operational_gco2e=_sum([each.operational_gco2e for each in estimates]),
        embodied_gco2e=_sum([each.embodied_gco2e for each in estimates]),
        gco2e=_sum([each.gco2e for each in estimates]),
        water_ml=_sum([each.water_ml for each in estimates]),
        primary_energy_mj=_sum([each.primary_energy_mj for each in estimates]),
        adpe_kgsbeq=_sum([each.adpe_kgsbeq for each in estimates]),
        market_based_gco2e=_known([each.market_based_gco2e for each in estimates]),
        training_gco2e=_known([each.training_gco2e for each in estimates]),
        network_gco2e=_known([each.network_gco2e for each in estimates]),
        quality=max(each.quality for each in estimates),
        warnings=tuple(dict.fromkeys(code for each in estimates for code in each.warnings)),
    )


def _sum(parts: Sequence[Quantity]) -> Quantity:
    return reduce(add, parts)


def _known(parts: Sequence[Quantity | None]) -> Quantity | None:
    known = [part for part in parts if part is not None]
    return reduce(add, known) if known else None
