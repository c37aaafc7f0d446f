"""How the name of an image or video model leads to its architecture. It must never present a guess as a published fact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from config.diffusion import Basis, DiffusionFacts, Task
from config.diffusion_assumed import assumed_facts, kind_hint
from config.model_name import key_of, named_size, plain_name, prefixes, trimmed_keys

FAMILY_ASSUMED = "diffusion-family-assumed"
ARCHITECTURE_ASSUMED = "diffusion-architecture-assumed"

_SIZE_REACH: Final = 1.3
"""A relative whose stated size differs by more than this factor is none (definition)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionMatch:
    """Facts for a name, with warnings such as `diffusion-architecture-assumed`."""

    facts: DiffusionFacts
    warnings: tuple[str, ...] = ()


class DiffusionModels:
    """All rows of facts, and the way from any name to one of them."""

    __slots__ = ("_by_key", "_hints", "_rows")

    def __init__(self, rows: Iterable[DiffusionFacts], names: Mapping[str, str], hints: Mapping[str, str]) -> None:
        """names: key of a name -> id; hints: word of an unknown name -> id. Raises ValueError when one points nowhere."""
        self._rows = {row.id: row for row in rows}
        lost = sorted({*names.values(), *hints.values()} - set(self._rows))
        if lost:
            raise ValueError(f"names point to diffusion models that do not exist: {', '.join(lost)}")
        self._by_key = {key: self._rows[name] for key, name in names.items()}
        self._hints = tuple((f"-{key_of(word)}-", self._rows[name]) for word, name in sorted(hints.items(), key=_longest_first))

    def rows(self) -> tuple[DiffusionFacts, ...]:
        """All facts, in the order of the table."""
        return tuple(self._rows.values())

    def known(self, name: str) -> DiffusionFacts | None:
        """The facts of this very model, in any spelling; None when the table does not hold it."""
        key = key_of(plain_name(name))
        for candidate in (key, key.removesuffix("-diffusers"), *(shorter for shorter, _ in trimmed_keys(key))):
            if candidate in self._by_key:
                return self._by_key[candidate]
        return None

    def resolve(self, name: str, *, task: Task, params_b: float | None) -> DiffusionMatch:
        """Facts to weigh `name` with. Never raises: an unknown name falls to a relative, then to what its size suggests."""
        facts = self.known(name)
        if facts is not None:
            return DiffusionMatch(facts=facts)
        size = named_size(plain_name(name)) if params_b is None else None
        stated_b = size.total_b if size else params_b
        relative = self._relative(key_of(plain_name(name)), task, stated_b)
        if relative is not None:
            basis: Basis = "class" if relative.size_basis == "class" else "assumed"
            return DiffusionMatch(facts=replace(relative, size_basis=basis), warnings=(FAMILY_ASSUMED,))
        return self.assumed(name, task=task, params_b=stated_b)

    def assumed(self, name: str, *, task: Task, params_b: float | None) -> DiffusionMatch:
        """Facts that a size and a name suggest, whatever the table holds."""
        return DiffusionMatch(facts=assumed_facts(task, kind_hint(name), params_b), warnings=(ARCHITECTURE_ASSUMED,))

    def _relative(self, key: str, task: Task, params_b: float | None) -> DiffusionFacts | None:
        """The row of the longest known prefix, or of a word in the name, of the same task and about the same size."""
        by_prefix = (self._by_key[prefix] for prefix, _ in prefixes(key) if prefix in self._by_key)
        by_word = (row for word, row in self._hints if word in f"-{key}-")
        for row in (*by_prefix, *by_word):
            if row.task == task and _is_about(row.params_b, params_b):
                return row
        return None


def _longest_first(entry: tuple[str, str]) -> tuple[int, str]:
    return -len(entry[0]), entry[0]


def _is_about(known_b: float, stated_b: float | None) -> bool:
    return stated_b is None or max(known_b / stated_b, stated_b / known_b) <= _SIZE_REACH
