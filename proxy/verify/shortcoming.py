"""What an answer falls short of, in one word. It must never count against a model what the caller's own limit did."""

from dataclasses import dataclass

from config.pattern import Pattern
from proxy.verify.match import holds
from proxy.verify.shape import fits, read_json
from proxy.verify.wanted import Wanted
from proxy.verify.written import Written

NOT_MATCHED = "must_match"
SLACK_TOKENS = 2
"""Providers count the tokens that end an answer differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What is looked at: the shortcomings by name, and an expression that every text must contain."""

    when: frozenset[str]
    must_match: Pattern | None = None


def shortcoming_of(checks: Checks, choices: tuple[Written, ...], wanted: Wanted, *, cut_by_caller: bool) -> str | None:
    """The first shortcoming of any choice; None when nothing is amiss, or nothing can be said.

    cut_by_caller: a choice that was cut met the caller's own limit, which another model would meet too: only a refusal counts then.
    """
    return next((found for each in choices if (found := _of_one(checks, each, wanted, cut_by_caller)) is not None), None)


def is_callers_cut(limit: int | None, capped: int | None, output_tokens: int | None, choices: int) -> bool:
    """True when a cut answer met the limit that its caller set, not a policy's cap below it nor what the model can write at most.

    limit: the caller's own, capped: what was sent. Where the count of tokens does not tell, it was the caller's.
    """
    if limit is None or (capped is not None and capped < limit):
        return False
    return choices > 1 or output_tokens is None or output_tokens >= limit - SLACK_TOKENS


def _of_one(checks: Checks, choice: Written, wanted: Wanted, cut_by_caller: bool) -> str | None:
    if choice.refused:
        return "refused" if "refused" in checks.when else None
    if choice.cut and cut_by_caller:
        return None
    for name, falls_short in (("truncated", choice.cut), ("empty", choice.is_empty)):
        if falls_short and name in checks.when:
            return name
    if "invalid_json" in checks.when and _is_garbled(choice, wanted):
        return "invalid_json"
    says_nothing = choice.does and not choice.text
    if checks.must_match is not None and not says_nothing and holds(checks.must_match, choice.text) is False:
        return NOT_MATCHED
    return None


def _is_garbled(choice: Written, wanted: Wanted) -> bool:
    """True when the text, or what a function is called with, is not the JSON that was asked for."""
    if any(_is_garbled_call(name, arguments, wanted) for name, arguments in choice.calls):
        return True
    if not wanted.json or (choice.does and not choice.text.strip()):
        return False
    return not _is_json(choice.text, wanted.schema)


def _is_garbled_call(name: str, arguments: str, wanted: Wanted) -> bool:
    return bool(arguments.strip()) and not _is_json(arguments, wanted.functions.get(name))


def _is_json(text: str, schema: dict[str, object] | None) -> bool:
    readable, found = read_json(text)
    return readable and (schema is None or fits(schema, found, len(text)))
