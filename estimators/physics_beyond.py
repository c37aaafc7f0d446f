"""What lies beyond the serving of a call: a share of the training, and the network. It must never pass for a measured figure."""

from config.factors import FactorSet
from estimators.physics import BYTES_PER_GB
from estimators.physics_lines import KWH_PER_WH, Lines, average
from estimators.profiles import Profile
from estimators.quantity import Quantity, add, exact, multiply, scale

SCOPE = "method"
"""One rule for all models and all networks: whoever is wrong about one call is wrong about all."""


def within(profile: Profile, lines: Lines, factors: FactorSet, *, serves: bool = True) -> Lines:
    """The lines of serving with those beyond it; gco2e is the sum of the profile's lines, less the network, which bytes decide.

    serves: False for work that is no serving: a model's training is shared out over its serving, so such work bears none of it.
    """
    training = training_gco2e_per_gpu_j(lines, factors) if serves else None
    return lines._replace(
        gco2e=add(lines.gco2e, training) if profile.has_training and training is not None else lines.gco2e,
        training_gco2e=training,
        network_gco2e_per_byte=network_gco2e_per_byte(factors),
    )


def training_share(factors: FactorSet) -> Quantity:
    """GPU joules of training per GPU joule of serving, over the life of a model."""
    return average(factors["training.energy_ratio"].range, SCOPE)


def training_gco2e_per_gpu_j(lines: Lines, factors: FactorSet) -> Quantity:
    """gCO2e of training per GPU joule of serving: machines like those that serve, on the electricity of the training's own place."""
    grid = scale(average(factors["training.gco2e_per_kwh"].range, SCOPE), KWH_PER_WH)
    served_there = add(multiply(lines.facility_energy_wh, grid), lines.embodied_gco2e)
    return multiply(served_there, training_share(factors))


def network_gco2e_per_byte(factors: FactorSet) -> Quantity:
    """gCO2e per byte that travels between caller and data centre: electricity of core and fixed access, and the making of both."""
    energy_kwh = scale(average(factors["network.kwh_per_gb"].range, SCOPE), 1 / BYTES_PER_GB)
    operational = multiply(energy_kwh, average(factors["network.gco2e_per_kwh"].range, SCOPE))
    return multiply(operational, add(exact(1.0), average(factors["network.embodied_ratio"].range, SCOPE)))
