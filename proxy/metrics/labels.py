"""Tells which label values a metric may carry, from configuration and catalogue. It must never let a client's word become a label."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from config.catalogue import ModelMatch
from config.settings import Settings

OTHER = "other"
UNASSIGNED = "unassigned"
KNOWN_MATCHES = frozenset({"exact", "alias", "dated"})
RESERVED = frozenset({"model", "zone", "phase", "le", "quantile"})
UNSERVED = "none"
MOST_REMEMBERED = 4096

# fmt: off
PATH_KINDS = frozenset((
    "assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "embeddings", "evals", "files",
    "fine_tuning", "images", "messages", "models", "moderations", "organization", "realtime", "rerank", "responses",
    "threads", "uploads", "vector_stores", "videos",
))
# fmt: on


class Resolver(Protocol):
    """The part of the catalogue that tells which model a name means."""

    def resolve(self, name: str) -> ModelMatch: ...


def label_name(tag: str) -> str:
    """The Prometheus label of a declared tag: other characters become `_`; a name that is taken gets the prefix `tag_`."""
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in tag)
    return f"tag_{name}" if name in RESERVED or name.startswith("__") or not name[:1].isalpha() else name


def path_kind(path: str) -> str:
    """The resource that a path under /v1 is about, `other` when it is none that is known."""
    _, _, rest = path.partition("/v1/")
    kind = rest.partition("?")[0].partition("/")[0]
    return kind if kind in PATH_KINDS else OTHER


def declared_values(settings: Settings) -> dict[str, frozenset[str]]:
    """Values by declared tag: those listed under `tags`, and those bound to keys."""
    bound: dict[str, set[str]] = {name: set(values) for name, values in settings.tags.items()}
    for key in settings.keys:
        for name, value in key.tags.items():
            if name in bound:
                bound[name].add(value)
    return {name: frozenset(values) for name, values in bound.items()}


class Labels:
    """Maps what a call says to bounded label values. `built_in` are aliases or patterns that need no configuration, such as `sim-*`."""

    __slots__ = ("_aliases", "_declared", "_models", "_patterns", "_resolver", "_untagged", "names")

    def __init__(self, settings: Settings, resolver: Resolver, built_in: Iterable[str] = ()) -> None:
        names = {*settings.models, *built_in}
        self._aliases = frozenset(name for name in names if not name.endswith("*"))
        self._patterns = tuple(sorted((name for name in names if name.endswith("*")), key=len, reverse=True))
        self._resolver = resolver
        self._models: dict[str, str] = {}
        self._declared: Mapping[str, frozenset[str]] = declared_values(settings)
        self._untagged = (UNASSIGNED,) * len(self._declared)
        self.names = tuple(label_name(tag) for tag in self._declared)

    def declared(self) -> tuple[tuple[str, ...], ...]:
        """For each tag label, every value that is known beforehand, `unassigned` first."""
        return tuple((UNASSIGNED, *sorted(values)) for values in self._declared.values())

    def model(self, alias: str) -> str:
        """The configured alias, else the catalogue id behind the name, else the configured pattern such as `gpt-*`, else `other`."""
        known = self._models.get(alias)
        if known is None:
            known = self._model(alias)
            if len(self._models) >= MOST_REMEMBERED:
                self._models.clear()
            self._models[alias] = known
        return known

    def _model(self, alias: str) -> str:
        if alias in self._aliases:
            return alias
        match = self._resolver.resolve(alias)
        if match.match in KNOWN_MATCHES:
            return match.card.id
        return next((pattern for pattern in self._patterns if alias.startswith(pattern[:-1])), OTHER)

    def tags(self, tags: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        """One value per declared tag, in the order of `names`."""
        if not self._declared or not tags:
            return self._untagged
        given = dict(tags)
        return tuple(_value(given.get(name), values) for name, values in self._declared.items())


def _value(given: str | None, values: frozenset[str]) -> str:
    if given is None:
        return UNASSIGNED
    return given if given in values else OTHER
