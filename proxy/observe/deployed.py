"""Where a call that spans tell of was served, as far as they and the configuration tell. It must never take a client's word for a place."""

from typing import Final
from urllib.parse import urlsplit

from config.listen import is_loopback
from config.providers import KNOWN_NAMES, provider_id
from config.tables import Tables
from proxy.gen_ai_names import PROVIDERS
from proxy.observe.understand import Told
from proxy.policy.candidates import LOCAL_PROVIDER, UNKNOWN_PROVIDER, Candidate, Candidates, told_candidate

REMEMBERED: Final = 1024
SPOKEN_BY_ALL: Final = "openai"
"""Clients of this API reach many servers, and their spans name it whoever answers."""


class Deployments:
    """Configured deployments by address, provider and model; others as they are told of. Belongs to one thread at a time."""

    def __init__(self, candidates: Candidates, tables: Tables) -> None:
        self._tables = tables
        self._by_model: dict[tuple[str, str], Candidate] = {}
        self._told: dict[tuple[str, str | None, str | None], Candidate] = {}
        known = {name for row in tables.places.providers() for name in (row.provider, *row.aliases)}
        self._known = known | {provider_id(name) for name in KNOWN_NAMES}
        rows = (*candidates.exact.values(), *(row for _, row in candidates.patterns))
        for candidate in (each for row in rows for each in row):
            self._add(candidate)

    def of(self, told: Told) -> Candidate:
        """Who served the call: a configured deployment of the model at that address or provider, else what the span tells."""
        provider = self._provider(told)
        card = self._card(told.model)
        for whom in (f"//{told.host}", provider):
            found = self._by_model.get((whom, told.model)) or self._by_model.get((whom, card))
            if found is not None:
                return found
        key = (provider, told.region, told.host)
        if key not in self._told:
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told[key] = told_candidate(provider, told.region, told.host, self._tables.places)
        return self._told[key]

    def _add(self, candidate: Candidate) -> None:
        model = candidate.model or candidate.pattern
        host = urlsplit(candidate.base_url).hostname
        for name in (model, self._card(candidate.weigh_as or model)):
            self._by_model.setdefault((candidate.provider, name), candidate)
            if host is not None:
                self._by_model.setdefault((f"//{host}", name), candidate)

    def _provider(self, told: Told) -> str:
        """The provider that the address tells, else the one that is named; the vendor's own where neither is."""
        places = self._tables.places
        by_host = places.provider_of_host(told.host) if told.host is not None else None
        if by_host is not None:
            return by_host
        word = (told.provider or "").lower()
        named = PROVIDERS.get(word, provider_id(word))
        if named == SPOKEN_BY_ALL and told.host is not None:
            return LOCAL_PROVIDER if is_loopback(told.host) else UNKNOWN_PROVIDER
        if named in self._known:
            return named
        return places.provider_of_vendor(self._tables.catalogue.resolve(told.model).card.vendor)

    def _card(self, model: str) -> str:
        return self._tables.catalogue.resolve(model).card.id
