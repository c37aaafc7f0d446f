"""What the ledger's calls cost at the prices of the configuration. It must never take one deployment's price for another's model."""

from collections.abc import Callable, Mapping

from config.price import Price
from config.providers import provider_id
from config.settings import Settings
from estimators.usage import Media, Usage
from proxy.imports.match import Who
from proxy.policy.cost import cost_of


class Prices:
    """Prices by provider and model, by its name at the provider and by its catalogue name. who: gives the latter."""

    def __init__(self, settings: Settings, who: Callable[[str, str], Who]) -> None:
        self._who = who
        self._named: dict[tuple[str, str], Price] = {}
        for alias, entry in settings.models.items():
            for deployment in entry.deployments:
                if deployment.price is not None:
                    provider, model = provider_id(deployment.provider), deployment.model or alias
                    self._named.setdefault((provider, model), deployment.price)
                    self._named.setdefault(who(provider, model), deployment.price)

    @property
    def any(self) -> bool:
        """True when there is a price at all."""
        return bool(self._named)

    def cost(self, provider: str, model: str, amounts: Mapping[str, float]) -> float | None:
        """Cost of so much at this provider; None: not known. Prices are linear, so that a sum costs what its calls cost."""
        price = self._named.get((provider, model)) or self._named.get(self._who(provider, model))
        return cost_of(price, _usage(amounts))


def _usage(amounts: Mapping[str, float]) -> Usage:
    read, images, seconds = round(amounts["input_tokens"]), round(amounts["images"]), amounts["audio_input_seconds"]
    media = Media(images=images, audio_input_seconds=seconds or None) if images or seconds else None
    return Usage(
        input_tokens=read,
        cached_input_tokens=min(read, round(amounts["cached_input_tokens"])),
        output_tokens=round(amounts["output_tokens"]),
        media=media,
        calls=max(1, round(amounts["calls"])),
    )
