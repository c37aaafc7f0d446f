"""Who serves a model that this proxy does not serve and for which nobody is named. It must never weigh, nor guess beyond the tables."""

from config.model_card import ModelCard
from config.places import Places


def usual_provider(card: ModelCard, places: Places) -> str:
    """The model's vendor where the tables know it as a provider, else `unknown`."""
    return places.provider_of_vendor(card.vendor)
