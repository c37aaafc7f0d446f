"""Lighter neighbours in the tables: a smaller model of the same line, a region with less carbon. It must never say that they would do."""

from itertools import takewhile

from config.catalogue import ModelCard
from config.grid import Region
from config.tables import Tables

HOSTS = ("azure", "aws", "gcp")
"""Clouds that serve other vendors' models; looked at where the provider itself names no regions."""

BIG_STEP = 0.5
"""A smaller model has at most this share of the active parameters (definition)."""


def smaller_relative(card: ModelCard, cards: tuple[ModelCard, ...]) -> ModelCard | None:
    """The model of the same vendor that is nearest by name and clearly smaller; None when there is none or the model is unknown."""
    limit = card.active_params_b.value * BIG_STEP
    known = card.size_basis != "class"
    fit = [
        each
        for each in cards
        if known
        and each.vendor == card.vendor
        and each.operations == card.operations
        and each.reasoning <= card.reasoning
        and each.active_params_b.value <= limit
    ]
    return min(fit, key=lambda each: (-_common(each.id, card.id), -each.active_params_b.value, len(each.id)), default=None)


def _common(a: str, b: str) -> int:
    """Letters that both names begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def lowest_region(clouds: tuple[str, ...], tables: Tables) -> Region | None:
    """The region of these clouds, else of the large hosts, with the least gCO2e per kWh of computing, losses of the building included."""
    places = tables.places
    own = [region for region in places.regions() if region.provider in clouds]
    hosted = [region for region in places.regions() if region.provider in HOSTS]

    def weight(region: Region) -> float:
        place = places.resolve(region.provider, region=region.region)
        return place.gco2e_per_kwh.value * place.pue.value

    return min(own or hosted, key=weight, default=None)
