"""What told where a deployment runs, as the ledger keeps it, and the way back to the place. It must never guess more than was told."""

from dataclasses import replace
from typing import Final

import msgspec

from config.place import Place
from config.places import Places

REGION_TOLD: Final = "region-told-by-answer"
"""Warning: the resource lies there; for a wide deployment type the work may have been done elsewhere."""

TOLD_TIER: Final = "D"


class PlaceWords(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `Places.resolve` was asked. told: the region was named by the answer."""

    provider: str
    region: str | None = None
    zone: str | None = None
    api_host: str | None = None
    told: bool = False

    def place(self, places: Places) -> Place:
        """Where that is, by these tables."""
        found = places.resolve(self.provider, region=self.region, zone=self.zone, api_host=self.api_host)
        return replace(found, tier=TOLD_TIER, warnings=(*found.warnings, REGION_TOLD)) if self.told else found


def usual_place(provider: str, *, region: str | None, zone: str, assumed: bool, places: Places) -> Place:
    """Where a deployment runs of which no more is known than every attempt keeps."""
    if assumed:
        return places.resolve(provider)
    found = places.resolve(provider, region=region)
    stated = region is not None and not found.assumed and found.zone == zone
    return found if stated else places.resolve(provider, region=region, zone=zone)


def place_fact(provider: str, place: Place, words: PlaceWords, places: Places) -> str | None:
    """What the ledger must keep of the words, as JSON; None where every attempt's own columns lead to the place already."""
    if usual_place(provider, region=place.region, zone=place.zone, assumed=place.assumed, places=places) == place:
        return None
    return msgspec.json.encode(words).decode()


def recorded_place(provider: str, *, region: str | None, zone: str, assumed: bool, fact: str | None, places: Places) -> Place:
    """The place of a recorded attempt, by these tables. Raises ValueError for a fact that is none."""
    if fact is None:
        return usual_place(provider, region=region, zone=zone, assumed=assumed, places=places)
    return msgspec.json.decode(fact, type=PlaceWords).place(places)
