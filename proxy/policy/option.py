"""A deployment as policies see it: what it serves, where, and what that is known to weigh. It must never be one that nobody configured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from config.deployment import Ability
from config.model_card import ModelCard, ModelMatch
from config.place import Place
from config.providers import Dialect
from config.settings import Settings
from proxy.endpoints.base import Ask
from proxy.policy.candidates import Candidate, Candidates

KNOWN_MATCHES = frozenset({"exact", "alias", "dated"})
"""Matches by which the catalogue knows the very model, so that what it says of it can be held against it."""

NOTHING_MORE: frozenset[Ability] = frozenset()
_TYPES = (b'"type":"', b'"type": "')
SHOWN = (
    *(b'"image_url"', b'"input_image"', b'"inline_data"', b'"inlineData"', b'"file_data"', b'"fileData"'),
    *(each + b'image"' for each in _TYPES),
)
"""What stands in a request that shows the model a picture. Plain words: a search for them passes over megabytes of pictures at once."""

HEARD = (b'"input_audio"', *(each + b'audio"' for each in _TYPES))
"""What stands in a request that lets the model hear something."""


SCHEMA = (b'"json_schema"', b'"responseSchema"', b'"response_schema"', b'"responseJsonSchema"')
"""What stands in a request whose answer is to follow a schema."""

NO_TOOLS = (b"", b"null", b"[]")


def needs_of(ask: Ask) -> frozenset[Ability]:
    """What the call needs of a model that the owner may say it lacks; pictures are looked for elsewhere."""
    streams, tools = ask.stream, bytes(ask.head.tools) not in NO_TOOLS
    schema = any(mark in ask.asked for mark in SCHEMA)
    if not (streams or tools or schema):
        return NOTHING_MORE
    told: tuple[tuple[Ability, bool], ...] = (("streaming", streams), ("tools", tools), ("json_schema", schema))
    return frozenset(name for name, is_needed in told if is_needed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """A deployment under an alias. model: its name at the provider; quality: the owner's number; is_known: the catalogue has this model.

    lacks: what the owner says that it cannot do.
    """

    candidate: Candidate
    alias: str
    model: str
    quality: float | None
    card: ModelCard
    is_known: bool
    lacks: frozenset[Ability] = frozenset()

    @property
    def known(self) -> tuple[Place, ModelCard]:
        """Where it runs and what it is."""
        return self.candidate.place, self.card

    @property
    def sees(self) -> bool:
        """False when the model is known not to read pictures."""
        return (self.card.vision or not self.is_known) and "vision" not in self.lacks

    def holds(self, tokens: int) -> bool:
        """False when so many tokens are known not to fit the model."""
        return not self.is_known or self.card.context_tokens is None or tokens <= self.card.context_tokens

    def does(self, operation: str) -> bool:
        """False when the model is known not to do this."""
        return not self.is_known or operation in self.card.operations

    def __str__(self) -> str:
        return f"{self.candidate.provider}/{self.model}@{self.candidate.place.region or self.candidate.place.zone}"


class Options:
    """The options under every alias, made when first needed; the same objects for every call."""

    def __init__(self, candidates: Candidates, settings: Settings, resolve: Callable[[str], ModelMatch]) -> None:
        self._candidates = candidates
        self._quality: Mapping[str, float | None] = {name: alias.quality for name, alias in settings.models.items()}
        self._lacks = {name: frozenset(alias.lacks) for name, alias in settings.models.items() if alias.lacks}
        self._resolve = resolve
        self._renamed: dict[tuple[Candidate, str], Candidate] = {}

    def own(self, alias: str, dialect: Dialect) -> tuple[Option, ...]:
        """The deployments of `alias` itself, as they are tried without policies."""
        return tuple(self._option(candidate, alias) for candidate in self._candidates.of(alias, dialect))

    def of_other(self, alias: str, dialect: Dialect) -> tuple[Option, ...]:
        """The deployments of another alias than the caller's: the model's name is fixed, for the caller wrote another one."""
        found = self._candidates.of(alias, dialect)
        return tuple(self._option(self._named(candidate, alias), alias) for candidate in found)

    def _named(self, candidate: Candidate, alias: str) -> Candidate:
        if candidate.model is not None:
            return candidate
        key = (candidate, alias)
        if key not in self._renamed:
            self._renamed[key] = replace(candidate, model=candidate.name_of(alias))
        return self._renamed[key]

    def _option(self, candidate: Candidate, alias: str) -> Option:
        model = candidate.name_of(alias)
        match = self._resolve(candidate.weigh_as or model)
        quality = self._quality.get(alias, self._quality.get(candidate.pattern))
        return Option(
            candidate=candidate,
            alias=alias,
            model=model,
            quality=quality,
            card=match.card,
            is_known=match.match in KNOWN_MATCHES,
            lacks=self._lacks.get(alias) or self._lacks.get(candidate.pattern, NOTHING_MORE),
        )
