"""Finds a text that was made before for the same source text and tags. It must never answer where two answers could be meant."""

from collections.abc import Iterable, Mapping

from config.read_memory import Remembered, normalised
from proxy.alternative.fits import misshapen, unfit
from proxy.alternative.made import Cannot, Text
from proxy.alternative.wanted import Wanted

NOT_FOUND = "not_in_memory"
Names = tuple[str, ...]
Key = tuple[str, ...]


class MemoryWay:
    """All rows, by the tags that they state and then by source and these tags' values."""

    slow = False

    def __init__(self, rows: Iterable[Remembered], *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        found: dict[Names, dict[Key, str | None]] = {}
        for row in rows:
            names = tuple(name for name, _ in row.tags)
            key = (normalised(row.source, ignore_case=ignore_case), *(value for _, value in row.tags))
            _put(found.setdefault(names, {}), key, row.target)
        self._by_names: tuple[tuple[Names, Mapping[Key, str | None]], ...] = tuple(sorted(found.items(), key=lambda each: -len(each[0])))

    def __len__(self) -> int:
        return sum(len(table) for _, table in self._by_names)

    def lacks(self, wanted: Wanted) -> Cannot | None:
        """That it holds no such text, among others."""
        found = self.make(wanted)
        return found if isinstance(found, Cannot) else None

    def make(self, wanted: Wanted) -> Text | Cannot:
        """The text that was made before; rows with more tags go first."""
        cannot = unfit("memory", wanted)
        if cannot is not None:
            return cannot
        said = wanted.last_text()
        if said is None:
            return Cannot(NOT_FOUND)
        target = self._found(normalised(said, ignore_case=self._ignore_case), wanted.tags)
        if target is None:
            return Cannot(NOT_FOUND)
        made = Text(target)
        return misshapen(wanted, made) or made

    def _found(self, source: str, tags: Mapping[str, str]) -> str | None:
        for names, table in self._by_names:
            if not all(name in tags for name in names):
                continue
            stated = tuple(tags[name].casefold() for name in names)
            for key in dict.fromkeys(((source, *stated), (source, *(value.partition("-")[0] for value in stated)))):
                if key in table:
                    return table[key]
        return None


def _put(table: dict[Key, str | None], key: Key, target: str) -> None:
    """Keeps the target; two different ones for the same key are none."""
    table[key] = target if table.get(key, target) == target else None
