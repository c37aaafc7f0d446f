"""What a policy asks for that no deployment of the configuration has: allowed, and most often a slip. It must never refuse one."""

from collections.abc import Collection, Iterator

from config.explain import closest
from config.providers import provider_id
from config.settings import Settings
from config.tables import Tables
from proxy.policy.candidates import candidates_from


def policy_hints(settings: Settings, tables: Tables) -> Iterator[str]:
    """A text for each list of which nothing is met by any deployment."""
    found = candidates_from(settings, tables.places)
    everybody = [each for row in (*found.exact.values(), *(row for _, row in found.patterns)) for each in row]
    there = {
        "region_in": {each.place.region for each in everybody if each.place.region and not each.place.assumed},
        "zone_in": {each.place.zone for each in everybody if not each.place.assumed},
        "provider_in": {each.provider for each in everybody},
    }
    for policy in settings.policies:
        for name, known in there.items():
            wanted = getattr(policy.require, name)
            if wanted is not None and not _meets(name, wanted, known):
                hint = closest(wanted[0], known)
                yield f"policies.{policy.name}: require.{name}: no deployment has {', '.join(wanted)}{hint}"


def _meets(name: str, wanted: Collection[str], known: Collection[str]) -> bool:
    words = {provider_id(word) for word in wanted} if name == "provider_in" else set(wanted)
    return bool(words & set(known))
