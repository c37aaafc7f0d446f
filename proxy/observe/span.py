"""A span as far as it is read: ids, times, and the few facts that have a name. It must never hold an attribute that nobody asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from config.tag_rules import is_tag_name
from proxy.gen_ai_names import GRAMMAGE_TAG, READ

Scalar = str | int | float | bool
NS_PER_MS: Final = 1_000_000
LONGEST_TEXT: Final = 512
"""No fact that is read is longer: model names, addresses, ids."""


class BadTelemetry(Exception):
    """A request that is no OTLP; its text says why."""


class NoProtobuf(Exception):
    """Protobuf cannot be read here: the extra is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. Ids in hex, small letters; parent_id empty: it has none. Times in ns since 1970. facts: by current name of gen_ai_names.

    tags: by tag's name, as attributes of the span or its resource state them.
    """

    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    facts: Mapping[str, Scalar]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        """When it began, in ms since 1970."""
        return self.start_ns // NS_PER_MS

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return max(0, self.end_ns - self.start_ns) / 1e9


class Wanted:
    """Which attributes are read. tags: attribute by tag's name, as configured."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = {attribute: name for name, attribute in tags.items()}

    def reads(self, key: str) -> bool:
        """True for an attribute that states something of a call."""
        return key in READ or key in self._tags or key.startswith(GRAMMAGE_TAG)

    def tags_of(self, attributes: Iterable[tuple[str, Scalar]]) -> dict[str, str]:
        """Tags among the attributes; `grammage.tag.NAME` goes before a configured attribute."""
        configured: dict[str, str] = {}
        plain: dict[str, str] = {}
        for key, value in attributes:
            if key.startswith(GRAMMAGE_TAG):
                name = key[len(GRAMMAGE_TAG) :]
                if is_tag_name(name):
                    plain[name] = str(value).strip()
            elif key in self._tags:
                configured[self._tags[key]] = str(value).strip()
        return {**configured, **plain}


def facts_of(attributes: Iterable[tuple[str, Scalar]]) -> dict[str, Scalar]:
    """What the attributes state, by current name; of several spellings of one fact the most current counts."""
    found: dict[str, tuple[int, Scalar]] = {}
    for key, value in attributes:
        known = READ.get(key)
        if known is None or value == "" or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            continue
        name, rank = known
        if name not in found or rank < found[name][0]:
            found[name] = rank, value
    return {name: value for name, (_, value) in found.items()}
