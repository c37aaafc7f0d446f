"""What the person who imports states beside the file, and how tags come out of it. It must never keep what could name a person."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final

from config.settings import Settings
from config.tag_rules import is_tag_name, is_tag_value
from proxy.imports.row import Tags

USUAL_TAGS: Final = ("brand", "campaign", "tool", "asset", "stage", "audience", "market", "purpose")
COLUMN_OF_A_TAG: Final = "tag"
_PERSONAL: Final = re.compile(r"@|https?://|(?<!\d)(?:\+|0)\d[\d .]{7,}\d", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """zone: of times without one. tags: of every row. declared: names that are tags wherever they stand. provider: where a row states none.

    currency: of amounts that state none. rates: how much of a currency with a factor one unit of another is, as its owner states it.
    """

    declared: frozenset[str] = frozenset(USUAL_TAGS)
    zone: tzinfo = UTC
    tags: Tags = ()
    provider: str | None = None
    currency: str | None = None
    rates: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def tags_of(self, *named: Mapping[str, Any], listed: Iterable[Any] = ()) -> Tags:
        """The declared tags of a row, as `tag_*` or under their own name, in objects or as `name:value`; the import's own go before.

        Everything else is left behind, and a value too that looks like an address, a number of a person or a link.
        """
        found: dict[str, str] = {}
        pairs = [*(pair for each in named for pair in each.items()), *(pair for text in listed for pair in _pair(text))]
        for name, value in pairs:
            known = self._tag_name(str(name))
            if known is not None and isinstance(value, str | int | float) and not isinstance(value, bool):
                shown = str(value).strip()
                if is_tag_value(shown) and not _PERSONAL.search(shown):
                    found.setdefault(known, shown)
        found.update(self.tags)
        return tuple(sorted(found.items()))

    def _tag_name(self, name: str) -> str | None:
        """The tag that a field's name means, None: it means none."""
        plain = name.strip().lower().replace(" ", "_")
        bare = plain.removeprefix(f"{COLUMN_OF_A_TAG}_")
        if bare != plain:
            return bare if is_tag_name(bare) else None
        return plain if plain in self.declared else None


def declared_tags(settings: Settings) -> frozenset[str]:
    """Names that are tags here: the usual ones, and those that the configuration declares."""
    return frozenset((*USUAL_TAGS, *settings.tags, *settings.metadata_tags))


def _pair(text: Any) -> list[tuple[str, str]]:
    """`name:value` or `name=value` as a pair; nothing for another text."""
    if not isinstance(text, str):
        return []
    name, mark, value = text.partition("=" if "=" in text else ":")
    return [(name, value)] if mark else []
