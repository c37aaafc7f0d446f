"""Rules of budgets: what each setting allows alone but not together. It must never change a setting."""

import math
from collections.abc import Iterator
from difflib import get_close_matches

from config.budgets import Budget, Period
from config.explain import closest
from config.problem import Finding, KeyPath
from config.settings import Settings
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value

DAY_S = 86_400.0
LONG_PERIOD_DAYS: dict[Period, float] = {"quarter": 92, "year": 366, "all": math.inf}
"""The periods that may be longer than the shortest retention, in days."""


def budget_faults(settings: Settings) -> Iterator[Finding]:
    """What cannot work in the budgets."""
    names: dict[str, int] = {}
    for index, budget in enumerate(settings.budgets):
        path: KeyPath = ("budgets", index)
        if budget.name in names:
            message = f"`{budget.name}` is the name of budgets[{names[budget.name]}] too; names are unique"
            yield Finding(path=(*path, "name"), message=message)
        names.setdefault(budget.name, index)
        yield from _tags(path, budget)
        yield from _keys(path, budget, settings)
        yield from _smallest(path, budget, settings)
        yield from _kept(path, budget, settings)


def _kept(path: KeyPath, budget: Budget, settings: Settings) -> Iterator[Finding]:
    """A proxy that starts amid a period counts the ledger's calls of it: they must be there still."""
    kept_s = settings.ledger.retention.calls
    days = LONG_PERIOD_DAYS.get(budget.period)
    if kept_s is None or days is None or kept_s >= days * DAY_S:
        return
    kept, lasts = f"{kept_s / DAY_S:g} days", "for ever" if math.isinf(days) else f"up to {days:g} days"
    keep = "null" if math.isinf(days) else f"{days:g}d at least"
    yield Finding(
        path=(*path, "period"),
        message=f"`{budget.period}` lasts {lasts}, and ledger.retention.calls is {kept}: after a restart it would count too little; "
        f"keep calls longer ({keep}), or take a shorter period",
    )


def _tags(path: KeyPath, budget: Budget) -> Iterator[Finding]:
    for name, values in budget.match.items():
        here: KeyPath = (*path, "match", name)
        if not is_tag_name(name):
            yield Finding(path=here, message=f"a tag's name is {NAME_RULE}", at_key=True)
        if any(not is_tag_value(value) for value in values):
            yield Finding(path=here, message=f"a tag's value has {VALUE_RULE}")


def _keys(path: KeyPath, budget: Budget, settings: Settings) -> Iterator[Finding]:
    """Names of keys that are slips of the pen; others may be names of issued keys, which are not known here."""
    known = [key.name for key in settings.keys]
    for name in budget.keys or ():
        here: KeyPath = (*path, "keys")
        if settings.auth_mode != "keys":
            yield Finding(path=here, message=f"names the key `{name}`, and with `auth: {settings.auth_mode}` callers' keys have no names")
        elif name not in known and get_close_matches(name, known, n=1):
            yield Finding(path=here, message=f"`{name}` is no key of `keys:`{closest(name, known)}")


def _smallest(path: KeyPath, budget: Budget, settings: Settings) -> Iterator[Finding]:
    here: KeyPath = (*path, "smallest")
    if budget.smallest is not None and budget.on_exceed != "route_smallest":
        yield Finding(path=here, message="is for `on_exceed: route_smallest`; write that, or leave it out")
    for word in budget.smallest or ():
        if word.endswith("*"):
            yield Finding(path=here, message=f"`{word}` is a pattern; name the aliases one by one")
        elif settings.models and not any(_serves(pattern, word) for pattern in settings.models):
            yield Finding(path=here, message=f"`{word}` is no alias of `models:`{closest(word, settings.models.keys())}")


def _serves(pattern: str, word: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern
