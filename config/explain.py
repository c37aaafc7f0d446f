"""What a refused value means, in words a person can act on. It must never show the value of a secret, nor one that came from elsewhere."""

import difflib
import json
from collections.abc import Callable, Collection, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from config.problem import Finding, KeyPath

SECRET_FIELDS = frozenset({"key", "api_key", "user_hash_secret", "redis", "token", "url"})
STRUCTURES = frozenset({"dict_type", "list_type", "model_type"})
"""Errors about a value that stands where several should: it may be a secret that belongs one level deeper, so it is not shown."""

MOST_SHOWN = 60
PARAMS_AT = 4
"""Keys before a deployment's `params`, one of whose values gets an error for each type that it might have."""

REFUSED_WORDS: Mapping[tuple[str, str], str] = {
    ("methods", "study"): (
        "`study` reconstructs the assumptions of a study of 2025 to compare with; it never reports. Name it under `weighing.shadow`, "
        "or run `grammage simulate --preset study`"
    ),
    ("profile", "study"): "`study` is a boundary to compare with, never to report; `grammage simulate --preset study` shows it",
}
"""Words that exist but are refused at a key, and why."""

ELSEWHERE: Mapping[str, str] = {
    "model_list": "this looks like a LiteLLM configuration; here it is `models:` with an alias and its `deployments:`",
    "litellm_settings": "this looks like a LiteLLM configuration; it has no counterpart here",
    "general_settings": "this looks like a LiteLLM configuration; keys stand under `keys:`",
}
"""Top-level keys that people may bring along, and what to do instead."""


def explain(error: ErrorDetails, root: type[BaseModel], replaced: Collection[KeyPath]) -> Finding:
    """The finding for one pydantic error. `replaced`: paths whose values came from a variable or a file."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        return Finding(path=path, message=_unknown_key(path, root), at_key=True)
    if error["type"] == "missing":
        return Finding(path=path, message="is needed here; add it")
    if path == ("version",):
        return Finding(path=path, message="this grammage reads `version: 1`; write that, or use the release that knows the other version")
    refused = REFUSED_WORDS.get((_field(path), str(error["input"])))
    if error["type"] == "literal_error" and refused is not None:
        return Finding(path=path, message=refused)
    if path[PARAMS_AT:-2] == ("params",):
        return Finding(path=path[:-1], message="must be text, a number, true or false; write a JSON document as text, in quotes")
    reason = _REASONS.get(error["type"], _own_words)(error)
    shown = "" if error["type"] in STRUCTURES else _shown(error["input"], path, replaced)
    return Finding(path=path, message=reason + shown)


def closest(word: str, known: Collection[str]) -> str:
    """`; did you mean ...?` when something known is near, else what is known, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known: {', '.join(sorted(known)[:20])}" if known else ""


def _unknown_key(path: KeyPath, root: type[BaseModel]) -> str:
    word = str(path[-1])
    if len(path) == 1 and word in ELSEWHERE:
        return f"unknown key; {ELSEWHERE[word]}"
    for section in root.model_fields:
        if len(path) == 1 and word in _fields_at((section,), root):
            return f"unknown key here; it belongs under `{section}:`"
    return f"unknown key{closest(word, _fields_at(path[:-1], root))}"


def _fields_at(path: KeyPath, root: type[BaseModel]) -> tuple[str, ...]:
    here: Any = root
    for part in path:
        fields = getattr(here, "model_fields", {})
        here = _inner(fields[part].annotation if part in fields else next(iter(get_args(here)[-1:]), None))
    return tuple(getattr(here, "model_fields", ()))


def _inner(annotation: Any) -> Any:
    """The type behind `X | None`."""
    if get_origin(annotation) in (Union, UnionType):
        return next((part for part in get_args(annotation) if part is not type(None)), None)
    return annotation


def _shown(value: object, path: KeyPath, replaced: Collection[KeyPath]) -> str:
    if path in replaced or _field(path) in SECRET_FIELDS or not isinstance(value, str | int | float | bool):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f"; it is {text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + '…'}"


def _field(path: KeyPath) -> str:
    """The last key on the way that is a name."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _expected(what: str) -> Callable[[ErrorDetails], str]:
    return lambda error: what


def _own_words(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ")


def _text_expected(error: ErrorDetails) -> str:
    return "must be text; write the value in quotes" if isinstance(error["input"], int | float | bool) else "must be text"


def _choice(error: ErrorDetails) -> str:
    return f"must be {error.get('ctx', {}).get('expected', 'one of the documented words')}"


def _limit(words: str, name: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"must be {words} {error.get('ctx', {}).get(name):g}"


def _short(error: ErrorDetails) -> str:
    return f"needs at least {error.get('ctx', {}).get('min_length')} characters"


_REASONS: Mapping[str, Callable[[ErrorDetails], str]] = {
    "string_type": _text_expected,
    "literal_error": _choice,
    "dict_type": _expected("must be a mapping of `name: value` lines"),
    "model_type": _expected("must be a mapping of `name: value` lines"),
    "list_type": _expected("must be a list, such as [a, b]"),
    "bool_type": _expected("must be true or false"),
    "bool_parsing": _expected("must be true or false"),
    "int_type": _expected("must be a whole number"),
    "int_parsing": _expected("must be a whole number"),
    "int_from_float": _expected("must be a whole number"),
    "float_type": _expected("must be a number"),
    "float_parsing": _expected("must be a number"),
    "string_too_short": _short,
    "string_too_long": lambda error: f"may have at most {error.get('ctx', {}).get('max_length')} characters",
    "too_short": _expected("needs at least one entry"),
    "greater_than": _limit("above", "gt"),
    "greater_than_equal": _limit("at least", "ge"),
    "less_than": _limit("below", "lt"),
    "less_than_equal": _limit("at most", "le"),
}
"""Reason by pydantic error type; any other keeps pydantic's own words, which do not hold the value."""
