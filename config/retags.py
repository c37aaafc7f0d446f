"""Rules that give recorded calls another tag: which calls, and which tags they get. It must never read a file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import Field

from config.listed import Words
from config.problem import Finding
from config.section import Section
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value

NO_TAG: Final = "unassigned"
"""What stands for a tag that a call does not have, in a condition and as what it gets."""


class RetagWhere(Section):
    """All that is named must hold; of a list, one value."""

    key: Words | None = Field(default=None, description="Names of keys, as records have them.")
    alias: Words | None = Field(default=None, description="What the client asked for; a trailing `*` stands for any rest.")
    model: Words | None = Field(default=None, description="Models that served; a trailing `*` stands for any rest.")
    operation: Words | None = Field(default=None, description="Operations, such as chat or images.")
    tags: dict[str, Words] = Field(default={}, description="Values of tags as they count now; unassigned: the call has none.")


class RetagRule(Section):
    """One rule: the calls of a period for which `where` holds get the tags of `set`."""

    name: str | None = Field(default=None, max_length=100, description="What the rule is called where it is listed.")
    since: str | None = Field(default=None, description="First day (2026-11-01) or instant, UTC; null: from the first call on.")
    until: str | None = Field(default=None, description="Last day, included, or an instant, excluded, UTC; null: to the last call.")
    where: RetagWhere = Field(default=RetagWhere(), description="Which calls.")
    set: dict[str, str] = Field(min_length=1, description="Tags that they get; unassigned: they lose it.")


class RetagRules(Section):
    """A file of rules, in the order in which they run."""

    retag_rules: list[RetagRule] = Field(min_length=1, description="The rules, the first one first.")


def retag_faults(rules: Sequence[RetagRule]) -> Iterator[Finding]:
    """What cannot work: ill-formed tags, and rules that would move every call there is."""
    for at, rule in enumerate(rules):
        path = ("retag_rules", at)
        if rule.where == RetagWhere() and rule.since is None:
            yield Finding(path=path, message="moves every call there is; add `where:` or `since:`")
        for part, tags in (("set", {name: [value] for name, value in rule.set.items()}), ("where", rule.where.tags)):
            inner = (*path, part) if part == "set" else (*path, part, "tags")
            yield from _tag_faults(inner, tags)


def _tag_faults(path: tuple[str | int, ...], tags: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for name, values in tags.items():
        if not is_tag_name(name):
            yield Finding(path=(*path, name), message=f"{name[:60]!r} cannot name a tag; use {NAME_RULE}", at_key=True)
        if not all(is_tag_value(value) and value == value.strip() for value in values):
            yield Finding(path=(*path, name), message=f"a tag's value must have {VALUE_RULE}, and no space at its ends")
