"""Deployments that can be sent to, worked out once from the configuration. It must never hold a caller's key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from config.catalogue import Catalogue
from config.deployment import Alias, Breaker, Deployment, Meter, Retry, Timeouts
from config.model_name import place_in_name
from config.place import Place
from config.places import Places
from config.providers import FOREIGN_BASES, SIMULATED, Dialect, Door, names_of, provider_id, public_base, spoken_by
from config.settings import Settings
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from proxy.call import WeighingFacts
from proxy.policy.place_words import PlaceWords, place_fact

DEFAULT_UPSTREAM = "https://api.openai.com/v1"
UNKNOWN_PROVIDER = "unknown"
LOCAL_PROVIDER = "local"
SIMULATED_PATTERN = "sim-*"
ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A deployment ready to be sent to.

    deployment: the configuration's own words. model: its name at the provider, None keeps the caller's.
    base_url: of the OpenAI dialect, up to and including /v1; empty for the simulated provider.
    bases: those of all dialects whose bytes it takes as they are.
    weigh_as: the catalogue name to weigh it by, None for the served model's own. api_key None: the caller's own key goes along.
    operating_prior: how busy its machines are assumed to be, None as for all. retry, breaker, timeouts: its alias's.
    facts: what the ledger keeps of this.
    prefix: what callers put before the provider's names, as its pattern has it.
    """

    pattern: str
    deployment: Deployment
    provider: str
    model: str | None
    base_url: str
    api_key: str | None
    weigh_as: str | None
    place: Place
    bases: Mapping[Dialect, str]
    retry: Retry
    breaker: Breaker
    timeouts: Timeouts
    meter: Meter | None = None
    hardware: Hardware = UNKNOWN_HARDWARE
    operating_prior: str | None = None
    facts: WeighingFacts | None = None
    prefix: str = ""

    @property
    def is_simulated(self) -> bool:
        """True for the built-in provider."""
        return self.provider == SIMULATED

    def name_of(self, alias: str) -> str:
        """The model's name at the provider: the deployment's, or the caller's, less what its pattern puts before it."""
        return self.model or alias.removeprefix(self.prefix)

    @property
    def has_credentials(self) -> bool:
        """True when the operator pays its calls: it has a key, or other credentials, which only the translating door can spend."""
        return self.api_key is not None or ("openai" not in self.bases and self.deployment.has_credentials)

    def door_of(self, dialect: Dialect) -> Door:
        """The door through which a call of `dialect` reaches it."""
        if self.is_simulated:
            return "simulated"
        return "wire" if dialect in self.bases else "litellm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Aliases and patterns with what can serve them; `default` takes every other name, None when the list is closed.

    foreign: takes every other name in calls of another dialect than OpenAI's.
    """

    exact: dict[str, tuple[Candidate, ...]]
    patterns: tuple[tuple[str, tuple[Candidate, ...]], ...]
    default: Candidate | None
    foreign: Mapping[Dialect, Candidate] = field(default_factory=dict)

    def of(self, alias: str, dialect: Dialect = "openai") -> tuple[Candidate, ...]:
        """Candidates for `alias`, by order, fallbacks last, else as configured; empty when nothing serves it."""
        found = self.exact.get(alias)
        if found is not None:
            return found
        for prefix, candidates in self.patterns:
            if alias.startswith(prefix):
                return candidates
        default = self.default if dialect == "openai" else self.foreign.get(dialect, self.default)
        return () if default is None else (default,)

    def need_translation(self, dialects: tuple[Dialect, ...]) -> bool:
        """True when something configured does not speak OpenAI's dialect, or another one of `dialects` in which it is to be called."""
        deployed = [candidate for row in (*self.exact.values(), *(row for _, row in self.patterns)) for candidate in row]
        return any(candidate.door_of(dialect) == "litellm" for candidate in deployed for dialect in ("openai", *dialects))

    @property
    def only(self) -> Candidate | None:
        """Who takes every call under the name that its caller wrote; None where that depends on the name, or the name changes."""
        rows = [*self.exact.values(), *(row for _, row in self.patterns)]
        if self.default is not None:
            rows.append((self.default,))
        found = rows[0][0] if len(rows) == 1 and not self.exact and len(rows[0]) == 1 else None
        anything = self.default is not None or any(prefix == "" for prefix, _ in self.patterns)
        return found if found is not None and anything and found.model is None else None

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a caller may write, patterns with their star."""
        return (*self.exact, *(f"{prefix}*" for prefix, _ in self.patterns))


def candidates_from(settings: Settings, places: Places) -> Candidates:
    """The candidates that `settings` describe. Longer patterns come before shorter ones."""
    exact: dict[str, tuple[Candidate, ...]] = {}
    patterns: list[tuple[str, tuple[Candidate, ...]]] = []
    for alias, entry in settings.models.items():
        in_turn = sorted(entry.deployments, key=lambda deployment: (deployment.order, deployment.weight == 0))
        row = tuple(_candidate(alias, deployment, places, entry) for deployment in in_turn)
        if alias.endswith(ANY):
            patterns.append((alias[:-1], row))
        else:
            exact[alias] = row
    if not settings.models and settings.upstream is None:
        simulated = Deployment(provider=SIMULATED)
        patterns.append((SIMULATED_PATTERN[:-1], (_candidate(SIMULATED_PATTERN, simulated, places),)))
    patterns.sort(key=lambda row: -len(row[0]))
    default = None if settings.models else default_candidate(settings, places)
    foreign = {} if settings.models else _foreign_defaults(settings, places)
    return Candidates(exact=exact, patterns=tuple(patterns), default=default, foreign=foreign)


def default_candidate(settings: Settings, places: Places) -> Candidate:
    """Where unmatched models and unmetered paths go: the configured upstream, else OpenAI, with the caller's own key."""
    base = (settings.upstream or DEFAULT_UPSTREAM).rstrip("/")
    host = urlsplit(base).hostname or ""
    provider = settings.upstream_provider or places.provider_of_host(host) or _provider_of_unknown(host)
    spoken: list[Dialect] | None = ["openai", "anthropic", "gemini"] if settings.upstream else None
    return _candidate(ANY, Deployment(provider=provider, api_base=base, dialects=spoken), places)


def _foreign_defaults(settings: Settings, places: Places) -> dict[Dialect, Candidate]:
    """Where unmatched models of other dialects go: to those who made the dialect, unless one upstream takes all."""
    if settings.upstream is not None:
        return {}
    return {dialect: _candidate(ANY, Deployment(provider=provider), places) for provider, dialect in FOREIGN_BASES}


def unmatched_foreign(settings: Settings, candidates: Candidates, places: Places) -> dict[Dialect, Candidate]:
    """Who takes the paths of other dialects that are not metered: the `*` alias or the only address that speaks it, else the default."""
    rows = [*candidates.exact.values(), *(row for _, row in candidates.patterns)]
    found: dict[Dialect, Candidate] = {}
    for dialect in sorted({dialect for _, dialect in FOREIGN_BASES}):
        speaking = [candidate for row in rows for candidate in row if dialect in candidate.bases]
        stars = [candidate for candidate in speaking if candidate.pattern == ANY]
        if stars or len({candidate.bases[dialect] for candidate in speaking}) == 1:
            found[dialect] = (stars or speaking)[0]
        elif settings.upstream is not None:
            found[dialect] = default_candidate(settings, places)
        elif not settings.models:
            found[dialect] = candidates.foreign[dialect]
    return found


def unmatched_candidate(settings: Settings, candidates: Candidates, places: Places) -> Candidate | None:
    """Who takes the paths that are not metered; None when that cannot be told without sending a caller's key to a stranger.

    The `*` alias, else the configured deployment at the default address, else that address if it was configured or nothing was,
    else the only provider that there is, the simulated one too where it stands alone.
    """
    default = default_candidate(settings, places)
    rows = [row[0] for prefix, row in candidates.patterns if not prefix and "openai" in row[0].bases]
    deployed = [candidate for row in (*candidates.exact.values(), *(row for _, row in candidates.patterns)) for candidate in row]
    outside = [candidate for candidate in deployed if "openai" in candidate.bases]
    rows += [candidate for candidate in outside if candidate.base_url == default.base_url]
    if rows:
        return rows[0]
    if settings.upstream is not None or not settings.models:
        return default
    if deployed and all(candidate.is_simulated for candidate in deployed):
        return deployed[0]
    return outside[0] if len({candidate.base_url for candidate in outside}) == 1 else None


def told_candidate(provider: str, region: str | None, host: str | None, places: Places) -> Candidate:
    """A deployment of which nothing is configured, as far as somebody tells of it."""
    base = None if host is None else f"https://{host}"
    return _candidate(ANY, Deployment(provider=provider, region=region, api_base=base), places)


def _provider_of_unknown(host: str) -> str:
    return LOCAL_PROVIDER if host in ("localhost", "127.0.0.1", "::1") else UNKNOWN_PROVIDER


def _bases(deployment: Deployment) -> dict[Dialect, str]:
    """Base URL by dialect that the deployment takes as it is; none where every call is translated."""
    if deployment.door == "litellm" or deployment.provider == SIMULATED:
        return {}
    spoken = deployment.dialects or spoken_by(deployment.provider)
    found = {dialect: deployment.api_base or public_base(deployment.provider, dialect) or "" for dialect in spoken}
    return {dialect: base.rstrip("/") for dialect, base in found.items() if base}


def _candidate(pattern: str, deployment: Deployment, places: Places, alias: Alias | None = None) -> Candidate:
    base = (deployment.api_base or public_base(deployment.provider) or "").rstrip("/")
    host = urlsplit(base).hostname
    region = deployment.region or place_in_name(deployment.model or "")
    words = PlaceWords(provider=deployment.provider, region=region, zone=deployment.zone, api_host=host)
    place = words.place(places)
    rules = alias or Alias(deployments=[deployment])
    return Candidate(
        pattern=pattern,
        deployment=deployment,
        provider=provider_id(deployment.provider),
        model=deployment.model,
        base_url="" if deployment.provider == SIMULATED else base,
        api_key=deployment.api_key,
        weigh_as=deployment.catalogue_model,
        place=place,
        bases=_bases(deployment),
        meter=deployment.meter,
        hardware=stated_hardware(deployment),
        operating_prior=deployment.operating_prior,
        facts=_facts(deployment, place_fact(provider_id(deployment.provider), place, words, places)),
        prefix=_own_prefix(pattern, deployment),
        retry=rules.retry,
        breaker=rules.breaker,
        timeouts=rules.timeouts,
    )


def _own_prefix(pattern: str, deployment: Deployment) -> str:
    """What a pattern such as `groq/*` puts before the names of provider groq; callers write it, the provider does not know it."""
    name = pattern.removesuffix("/" + ANY)
    return f"{name}/" if name != pattern and name in names_of(provider_id(deployment.provider)) else ""


def _facts(deployment: Deployment, place: str | None) -> WeighingFacts | None:
    """What its calls are weighed by beside the usual; None where that is all."""
    stated = (deployment.catalogue_model, deployment.hardware, deployment.operating_prior, place)
    if stated == (None, None, None, None):
        return None
    machines = None if deployment.hardware is None else deployment.hardware.model_dump_json(exclude_none=True)
    return WeighingFacts(
        catalogue_model=deployment.catalogue_model, hardware=machines, operating_prior=deployment.operating_prior, place=place
    )


def stated_hardware(deployment: Deployment) -> Hardware:
    """What the configuration states of the deployment's machines."""
    return UNKNOWN_HARDWARE if deployment.hardware is None else Hardware(**deployment.hardware.model_dump())


def _models_of(provider: str, catalogue: Catalogue) -> tuple[str, ...]:
    """What a provider may serve: its own models if it makes some, else every model there is."""
    own = tuple(card.id for card in catalogue.cards() if card.vendor == provider)
    return own or tuple(card.id for card in catalogue.cards())


def listed_models(candidates: Candidates, catalogue: Catalogue, simulated: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(model, owner) pairs to list: every alias, and for a pattern the models that it matches: the catalogue's, or the simulated ones."""
    rows = {alias: row[0].provider for alias, row in candidates.exact.items()}
    for prefix, row in candidates.patterns:
        names = simulated if row[0].is_simulated else _models_of(row[0].provider, catalogue)
        for name in names:
            if name.startswith(prefix):
                rows.setdefault(name, row[0].provider)
    return tuple(sorted(rows.items()))
