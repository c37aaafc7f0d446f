"""Where a call was served, as far as the answer itself tells. It must never override what the configuration states."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import msgspec

from config.places import Places
from proxy.call import WeighingFacts
from proxy.policy.candidates import Candidate
from proxy.policy.place_words import PlaceWords, place_fact

TELLING_HEADERS: Mapping[str, bytes] = {"azure": b"x-ms-region"}
"""Answer headers that name a region, by the provider that sends them."""

_UNKNOWN = "region-unknown"
_REMEMBERED = 1024
_LONGEST = 64


def telling_header(candidate: Candidate) -> bytes | None:
    """The answer header that may tell where `candidate` served; None when none does, or the owner knows the place or meters it."""
    if not candidate.place.assumed or candidate.meter is not None:
        return None
    return TELLING_HEADERS.get(candidate.place.provider)


@lru_cache(_REMEMBERED)
def placed(candidate: Candidate, told: bytes, places: Places) -> Candidate:
    """`candidate` in the region that its answer names; unchanged when the tables do not know it."""
    region = told[:_LONGEST].decode("latin-1")
    place = places.resolve(candidate.provider, region=region)
    if _UNKNOWN in place.warnings or place.assumed:
        return candidate
    words = PlaceWords(provider=candidate.provider, region=region, told=True)
    served = words.place(places)
    facts = msgspec.structs.replace(candidate.facts or WeighingFacts(), place=place_fact(candidate.provider, served, words, places))
    return replace(candidate, place=served, facts=facts)
