"""Whether JSON has the form that a caller's schema asks for. It must never fetch a schema, nor work longer than its bounds allow."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

from config.pattern import compiled
from proxy.verify.match import holds

MOST_SCHEMA_CHARACTERS = 128 * 1024
MOST_SCHEMAS = 64
"""Schemas that are kept ready."""

MOST_TEXT_CHARACTERS = 1024 * 1024
"""A longer text is only read as JSON, not held against a schema."""

MOST_STEPS = 100_000
"""Keywords that are looked at before a schema is given up; one that refers to itself over and over would never end."""

MOST_COMPARED = 2_000
"""Members of a list up to which `uniqueItems` is looked at."""

UNBOUND = '"patternProperties"'
"""Searches by expressions of the caller's that could not be bounded in time."""

_steps: ContextVar[list[int]] = ContextVar("steps")
Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


class GivenUp(Exception):
    """The schema asks for too much work."""


def read_json(text: str) -> tuple[bool, Any]:
    """Whether the text is JSON, and what it holds. NaN and its like are none."""
    try:
        return True, json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def fits(schema: dict[str, Any], found: Any, characters: int) -> bool:
    """False when `found`, read from so many characters, does not have the form.

    True also where that cannot be told: the schema is broken, refers to something outside itself, or asks for too much work.
    """
    text = json.dumps(schema)
    if characters > MOST_TEXT_CHARACTERS or len(text) > MOST_SCHEMA_CHARACTERS or UNBOUND in text:
        return True
    import jsonschema  # slow to import: only where an answer is held against a schema
    from referencing.exceptions import Unresolvable

    token = _steps.set([MOST_STEPS])
    try:
        validator = _validator(text)
        return validator is None or bool(validator.is_valid(found))
    except (jsonschema.exceptions.UnknownType, Unresolvable, GivenUp, RecursionError, ValueError):
        return True
    finally:
        _steps.reset(token)


@lru_cache(maxsize=MOST_SCHEMAS)
def _validator(text: str) -> Any:
    """What holds JSON against the schema in `text`, None for a broken one; a caller's calls usually share a schema."""
    import jsonschema  # as above

    kind, registry = _bounded()
    schema = json.loads(text)
    try:
        kind.check_schema(schema)
    except jsonschema.exceptions.SchemaError:
        return None
    return kind(schema, registry=registry)


@cache
def _bounded() -> tuple[Any, Any]:
    """The validator of the newest draft, its steps counted, and the schemas that it may refer to: those of the drafts alone."""
    import jsonschema  # as above
    from jsonschema_specifications import REGISTRY

    newest = jsonschema.Draft202012Validator
    keywords: Mapping[str, Keyword] = {**newest.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique(newest.VALIDATORS["uniqueItems"])}
    made = jsonschema.validators.extend(newest, validators={name: _counted(check) for name, check in keywords.items()})
    return made, REGISTRY


def _counted(check: Keyword) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        left = _steps.get()
        left[0] -= 1
        if left[0] < 0:
            raise GivenUp
        return check(validator, value, instance, schema)

    return counted


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """The keyword with a bound in time."""
    import jsonschema  # as above

    if not isinstance(instance, str) or not isinstance(value, str):
        return
    found = holds(compiled(value), instance)
    if found is None:
        raise GivenUp
    if not found:
        yield jsonschema.ValidationError(f"does not match {value!r}")


def _unique(check: Keyword) -> Keyword:
    def unique(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        return check(validator, value, instance, schema) if not isinstance(instance, list) or len(instance) <= MOST_COMPARED else None

    return unique


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
