"""Rules of alternatives, iterations and purposes: what each setting allows alone but not together. It must never change a setting."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from config.alternatives import PICTURES, TEXTS
from config.explain import closest
from config.listed import NAME
from config.policies import Policy
from config.problem import ConfigError, Finding, KeyPath
from config.read_memory import read_memory
from config.settings import Settings
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value
from config.template_text import TemplateText, read_template
from config.text_file import read_text

ANSWERS: Mapping[str, frozenset[str]] = {"template": TEXTS, "memory": TEXTS, "resize": PICTURES, "crop": PICTURES}
"""Kinds of calls that each kind of alternative answers; `elsewhere` answers none itself, and may be offered in place of any."""


def alternative_faults(settings: Settings) -> Iterator[Finding]:
    """What cannot work in alternatives, in what policies make of them, and in campaigns."""
    for name, alternative in settings.alternatives.items():
        path: KeyPath = ("alternatives", name)
        if re.match(NAME, name) is None:
            yield Finding(path=path, message="a name has lower-case letters, digits, `-` and `_`, 64 at most", at_key=True)
        yield from _FILES[alternative.kind](path, alternative)
    for index, policy in enumerate(settings.policies):
        yield from _instead(("policies", index), policy, settings)
        if policy.iterations is not None and not is_tag_name(policy.iterations.tag):
            yield Finding(path=("policies", index, "iterations", "tag"), message=f"a tag's name is {NAME_RULE}")
    for name, campaign in settings.campaigns.items():
        here: KeyPath = ("campaigns", name)
        if not is_tag_value(name):
            yield Finding(path=here, message=f"is a value of the tag `campaign`: {VALUE_RULE}", at_key=True)
        if campaign.brand is not None and not is_tag_value(campaign.brand):
            yield Finding(path=(*here, "brand"), message=f"is a value of the tag `brand`: {VALUE_RULE}")


def template_of(alternative: Any) -> TemplateText:
    """The text of a template, from its file if it names one. Raises ValueError with what is wrong, ConfigError for a file."""
    text = read_text(Path(alternative.file), "write `text`") if alternative.file is not None else alternative.text
    return read_template(text)


def _instead(path: KeyPath, policy: Policy, settings: Settings) -> Iterator[Finding]:
    instead = policy.alternative
    if instead is None:
        return
    named = settings.alternatives.get(instead.ref)
    if named is None:
        known = closest(instead.ref, settings.alternatives.keys())
        yield Finding(path=(*path, "alternative", "ref"), message=f"`{instead.ref}` is not under `alternatives:`{known}")
        return
    if instead.mode == "run" and named.kind == "elsewhere":
        yield Finding(path=(*path, "alternative", "mode"), message="what is elsewhere cannot run here; write `mode: offer`")
    fits = ANSWERS.get(named.kind)
    asked = policy.when.operation
    if fits is not None and asked is not None and not fits.intersection(asked):
        message = f"`{instead.ref}` is a {named.kind}, which answers {', '.join(sorted(fits))} and none of these"
        yield Finding(path=(*path, "when", "operation"), message=message)


def _template(path: KeyPath, alternative: Any) -> Iterator[Finding]:
    if (alternative.text is None) == (alternative.file is None):
        yield Finding(path=path, message="needs `text` or `file`, and not both", at_key=True)
        return
    where: KeyPath = (*path, "text" if alternative.file is None else "file")
    try:
        template_of(alternative)
    except ConfigError as error:
        yield Finding(path=where, message=error.problems[0].message)
    except ValueError as error:
        yield Finding(path=where, message=str(error))


def _memory(path: KeyPath, alternative: Any) -> Iterator[Finding]:
    if not is_tag_name(alternative.tag):
        yield Finding(path=(*path, "tag"), message=f"a tag's name is {NAME_RULE}")
    try:
        read_memory(alternative)
    except ValueError as error:
        yield Finding(path=(*path, "file"), message=str(error))


def _picture(path: KeyPath, alternative: Any) -> Iterator[Finding]:
    if not Path(alternative.folder).is_dir():
        yield Finding(path=(*path, "folder"), message=f"{alternative.folder} is no folder; its path begins beside the configuration")


def _elsewhere(path: KeyPath, alternative: Any) -> Iterator[Finding]:
    return iter(())


_FILES: Mapping[str, Callable[[KeyPath, Any], Iterator[Finding]]] = {
    "template": _template,
    "memory": _memory,
    "resize": _picture,
    "crop": _picture,
    "elsewhere": _elsewhere,
}


def beside(alternatives: object, folder: Path) -> object:
    """Alternatives as the YAML file holds them, their files and folders beginning in `folder`; what is not as expected stays as it is."""
    if not isinstance(alternatives, dict):
        return alternatives
    return {name: _beside(entry, folder) for name, entry in alternatives.items()}


def _beside(entry: object, folder: Path) -> object:
    if not isinstance(entry, dict):
        return entry
    found = {key: str(folder / entry[key]) for key in ("file", "folder") if isinstance(entry.get(key), str)}
    return {**entry, **found}
