"""What policies ask of a call before a model is asked: another way, an end to making over, a purpose. It must never act on it itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from config.check_alternatives import template_of
from config.deployment import Breaker, Deployment, Retry, Timeouts
from config.place import Place
from config.policies import Iterations
from config.problem import ConfigError
from config.read_memory import read_memory
from config.settings import Settings
from config.tables import Tables
from proxy.alternative.elsewhere import ElsewhereWay
from proxy.alternative.iterations import Counts
from proxy.alternative.made import Way
from proxy.alternative.memory import MemoryWay
from proxy.alternative.picture import PictureWay, need_library
from proxy.alternative.template import TemplateWay
from proxy.call import WeighingFacts
from proxy.errors import StartError
from proxy.policy.candidates import LOCAL_PROVIDER, Candidate
from proxy.policy.place_words import PlaceWords

PROVIDER = "local-alternative"
"""Stands for the proxy's own machine in records and metrics."""

CAMPAIGN, PURPOSE = "campaign", "purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A policy's alternative. kind and ref name it; about: what is told of it; runs: it answers unasked. machine: who is recorded then."""

    kind: str
    ref: str
    about: str
    runs: bool
    locked: bool
    way: Way
    machine: Candidate

    @property
    def named(self) -> str:
        """`kind:ref`, as headers have it."""
        return f"{self.kind}:{self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one policy asks."""

    offer: Offer | None
    iterations: Iterations | None
    needs_purpose: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What all policies ask, by name. purposes: of campaigns."""

    by_policy: Mapping[str, Asked]
    purposes: Mapping[str, str]
    counts: Counts

    def purpose_of(self, tags: Mapping[str, str]) -> str | None:
        """The call's own purpose, else its campaign's; None where nobody declared one."""
        return tags.get(PURPOSE) or self.purposes.get(tags.get(CAMPAIGN, ""))


def ways_from(settings: Settings) -> dict[str, Way]:
    """The alternatives that policies in force name, their files read: takes a while. Raises StartError for one that cannot be used."""
    named = {policy.alternative.ref for policy in settings.policies if policy.alternative is not None and policy.mode != "off"}
    return {name: _way(name, alternative) for name, alternative in settings.alternatives.items() if name in named}


def worth_from(settings: Settings, ways: Mapping[str, Way], tables: Tables, counts: Counts) -> Worth | None:
    """What the policies in force ask; None where they ask nothing."""
    words = PlaceWords(provider=LOCAL_PROVIDER, zone=settings.server.zone)
    place = words.place(tables.places)
    asked: dict[str, Asked] = {}
    for policy in settings.policies:
        offer, needs_purpose = None, policy.require.purpose_declared
        if policy.mode == "off" or (policy.alternative is None and policy.iterations is None and not needs_purpose):
            continue
        if policy.alternative is not None:
            ref = policy.alternative.ref
            alternative = settings.alternatives[ref]
            offer = Offer(
                kind=alternative.kind,
                ref=ref,
                about=_ABOUT[alternative.kind](alternative),
                runs=policy.alternative.mode == "run",
                locked=policy.locked,
                way=ways[ref],
                machine=_machine(alternative.kind, words, place),
            )
        asked[policy.name] = Asked(offer=offer, iterations=policy.iterations, needs_purpose=needs_purpose)
    purposes = {name: campaign.purpose for name, campaign in settings.campaigns.items() if campaign.purpose}
    return Worth(by_policy=asked, purposes=purposes, counts=counts) if asked else None


def _way(name: str, alternative: Any) -> Way:
    """The alternative, its files read. Raises StartError."""
    try:
        return _WAYS[alternative.kind](alternative)
    except (ValueError, ConfigError) as error:
        raise StartError(f"alternatives.{name} cannot be used: {error}") from error


def _template(alternative: Any) -> Way:
    return TemplateWay(template_of(alternative))


def _memory(alternative: Any) -> Way:
    return MemoryWay(read_memory(alternative), ignore_case=alternative.ignore_case)


def _picture(alternative: Any) -> Way:
    need_library()
    return PictureWay(kind=alternative.kind, folder=Path(alternative.folder), form=alternative.format)


def _elsewhere(alternative: Any) -> Way:
    return ElsewhereWay(alternative.text, alternative.url)


def _machine(kind: str, words: PlaceWords, place: Place) -> Candidate:
    """The proxy's own machine as records have a deployment."""
    return Candidate(
        pattern=PROVIDER,
        deployment=Deployment(provider=LOCAL_PROVIDER),
        provider=PROVIDER,
        model=f"grammage/{kind}",
        base_url="",
        api_key=None,
        weigh_as=None,
        place=place,
        facts=WeighingFacts(place=msgspec.json.encode(words).decode()),
        bases={},
        retry=Retry(),
        breaker=Breaker(),
        timeouts=Timeouts(),
    )


_WAYS: Mapping[str, Callable[[Any], Way]] = {
    "template": _template,
    "memory": _memory,
    "resize": _picture,
    "crop": _picture,
    "elsewhere": _elsewhere,
}
_ABOUT: Mapping[str, Callable[[Any], str]] = {
    "template": lambda each: "a text filled with fields of your own",
    "memory": lambda each: "a text that was made before for the same source",
    "resize": lambda each: "a picture that is there, resized",
    "crop": lambda each: "a picture that is there, cropped",
    "elsewhere": lambda each: f"{each.text}{f' ({each.url})' if each.url else ''}",
}
