"""Rules of policies: what each setting allows alone but not together. It must never change a setting."""

from collections.abc import Iterator

from config.check_measures import measure_faults
from config.explain import closest
from config.pattern import compiled
from config.policies import RESERVED_NAMES, Apply, Policy, Require
from config.problem import Finding, KeyPath
from config.settings import Settings
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value


def policy_faults(settings: Settings) -> Iterator[Finding]:
    """What cannot work in the policies."""
    names: dict[str, int] = {}
    for index, policy in enumerate(settings.policies):
        path: KeyPath = ("policies", index)
        if policy.name in names:
            message = f"`{policy.name}` is the name of policies[{names[policy.name]}] too; names are unique"
            yield Finding(path=(*path, "name"), message=message)
        names.setdefault(policy.name, index)
        if policy.name in RESERVED_NAMES:
            yield Finding(path=(*path, "name"), message=f"`{policy.name}` is a word of headers and metrics; choose another name")
        yield from _use(path, policy)
        yield from _tags(path, policy)
        yield from _escalation(path, policy)
        yield from _aliases(path, policy, settings)
        yield from measure_faults(path, policy, settings)


def _use(path: KeyPath, policy: Policy) -> Iterator[Finding]:
    acts = (policy.prefer, policy.escalate, policy.alternative, policy.iterations)
    if acts == (None,) * len(acts) and policy.require == Require() and policy.apply == Apply():
        yield Finding(path=path, message="does nothing yet; add `require:`, `prefer:`, `apply:`, `escalate:` or `alternative:`")
    if policy.apply.reuse_any_temperature and policy.apply.reuse is None:
        message = "does nothing without `reuse`, which says for how long an answer is kept; add it, such as reuse: 24h"
        yield Finding(path=(*path, "apply", "reuse_any_temperature"), message=message)
    if policy.locked and policy.holdback:
        message = "leaves calls out that `locked` lets nobody leave out; take one of them away"
        yield Finding(path=(*path, "holdback"), message=message)


def _tags(path: KeyPath, policy: Policy) -> Iterator[Finding]:
    for name, values in policy.when.tags.items():
        here: KeyPath = (*path, "when", "tags", name)
        if not is_tag_name(name):
            yield Finding(path=here, message=f"a tag's name is {NAME_RULE}", at_key=True)
        for value in values:
            if not is_tag_value(value):
                yield Finding(path=here, message=f"a tag's value has {VALUE_RULE}")


def _escalation(path: KeyPath, policy: Policy) -> Iterator[Finding]:
    said = policy.escalate
    if said is None:
        return
    here: KeyPath = (*path, "escalate")
    if not said.when and said.must_match is None:
        yield Finding(path=here, message="looks at nothing; name a shortcoming in `when`, or an expression in `must_match`")
    if said.must_match is not None:
        try:
            compiled(said.must_match)
        except ValueError as error:
            yield Finding(path=(*here, "must_match"), message=f"is no regular expression: {error}")


def _aliases(path: KeyPath, policy: Policy, settings: Settings) -> Iterator[Finding]:
    """Aliases that nothing under `models` serves; without `models` every name is served."""
    if not settings.models:
        return
    named = [(("when", "alias"), word) for word in policy.when.alias or ()]
    named += [(("prefer", "among"), word) for word in (policy.prefer.among if policy.prefer else None) or ()]
    named += [(("escalate", "to"), policy.escalate.to)] if policy.escalate else []
    for where, word in named:
        if where[0] != "when" and word.endswith("*"):
            yield Finding(path=(*path, *where), message=f"`{word}` is a pattern; name the aliases one by one")
        elif not any(_serves(pattern, word) for pattern in settings.models):
            yield Finding(path=(*path, *where), message=f"`{word}` is no alias of `models:`{closest(word, settings.models.keys())}")


def _serves(pattern: str, word: str) -> bool:
    if word.endswith("*"):
        return pattern.startswith(word[:-1]) or (pattern.endswith("*") and word.startswith(pattern[:-1]))
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern
