"""What a place that the tables do not know means, in words, with what to do. It must never resolve a place itself."""

import difflib
from collections.abc import Iterable, Iterator

from config.places import Places


def place_hints(places: Places, *, provider: str, region: str | None, zone: str | None, warnings: tuple[str, ...]) -> Iterator[str]:
    """One sentence for each name among provider, region and zone that the place's warnings call unknown."""
    if "provider-unknown" in warnings and provider:
        known = [name for row in places.providers() for name in (row.provider, *row.aliases)]
        yield f"provider {provider!r} is not in the tables: a named zone counts, else the world average{_near(provider, known)}"
    if "region-unknown" in warnings and region:
        yield _region_hint(places, provider, region)
    if "zone-unknown" in warnings and zone:
        yield f"grid zone {zone!r} is not in the tables: it is left out{_near(zone.upper(), (each.id for each in places.zones()))}"


def _region_hint(places: Places, provider: str, region: str) -> str:
    clouds = {name for row in places.providers() if provider in (row.provider, *row.aliases) for name in (row.provider, row.cloud)}
    listed = {each.region: each.provider for each in places.regions() if each.provider in clouds}
    elsewhere = sorted({each.provider for each in places.regions() if each.region == region.lower()} - clouds)
    whose = f" of {provider}" if provider else ""
    said = f"region {region!r}{whose} is not in the tables: it is left out"
    if elsewhere:
        return f"{said}; {' and '.join(elsewhere)} has one of that name, if that is who serves the model"
    if listed:
        return f"{said}{_near(region.lower(), listed)}; see `grammage regions --provider {next(iter(listed.values()))}`"
    return f"{said}; name a grid zone instead, such as FR"


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
