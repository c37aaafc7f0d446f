"""Makes a JSON instance that satisfies a JSON Schema, for structured outputs and tool arguments. It must never raise on an odd schema.

Covers what structured outputs permit: types, enum, const, $ref, anyOf/oneOf/allOf, bounds, formats and array lengths. `pattern` is not
honoured.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.simulate.exchange import JsonObject, as_list

_DEEPEST = 5
_MOST_STEPS = 12
_LARGEST = 1e15
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"minimum": operator.ge, "maximum": operator.le, "exclusiveMinimum": operator.gt, "exclusiveMaximum": operator.lt}
)
_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "date-time": "2026-01-15T09:30:00Z",
        "date": "2026-01-15",
        "time": "09:30:00Z",
        "duration": "P1D",
        "email": "someone@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uuid": "0190c1d2-0000-7000-8000-000000000000",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What to fill texts with: by property name where known, lists by name, else `text`."""

    text: str
    named: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]


def instance_of(schema: object, filling: Filling) -> object:
    """A JSON value valid under the schema."""
    root = schema if isinstance(schema, dict) else {}
    return _build(root, root, filling, "", 0)


def _build(schema: object, root: JsonObject, filling: Filling, name: str, depth: int) -> object:
    if not isinstance(schema, dict):
        return filling.text
    schema = _resolved(schema, root, deep=depth >= _DEEPEST)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = _type_of(schema, depth)
    if kind == "object":
        return _object(schema, root, filling, depth)
    if kind == "array":
        return _array(schema, root, filling, name, depth)
    return _SCALARS.get(kind, _string)(schema, filling, name)


def _resolved(schema: JsonObject, root: JsonObject, *, deep: bool = False) -> JsonObject:
    """The schema with its reference followed and its combinations reduced to one branch: null when deep inside, so that recursion ends."""
    for _ in range(_MOST_STEPS):
        reference = schema.get("$ref")
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(reference, str):
            schema = _pointed(reference, root)
        elif isinstance(branches, list) and branches:
            kept = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
            known = [item for item in branches if isinstance(item, dict)]
            branch = next((item for item in known if (item.get("type") == "null") == deep), known[0] if known else {})
            schema = {**kept, **branch}
        elif isinstance(schema.get("allOf"), list):
            schema = _merged(schema, root)
        else:
            break
    return schema


def _merged(schema: JsonObject, root: JsonObject) -> JsonObject:
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        if isinstance(part, dict):
            resolved = _pointed(part["$ref"], root) if isinstance(part.get("$ref"), str) else part
            properties = {**(merged.get("properties") or {}), **(resolved.get("properties") or {})}
            merged = {**merged, **resolved, **({"properties": properties} if properties else {})}
    return merged


def _pointed(reference: str, root: JsonObject) -> JsonObject:
    at: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _type_of(schema: JsonObject, depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [item for item in kind if isinstance(item, str)]
        real = [item for item in kinds if item != "null"]
        return "null" if depth >= _DEEPEST and "null" in kinds else next(iter(real), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _object(schema: JsonObject, root: JsonObject, filling: Filling, depth: int) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    required = as_list(schema.get("required"))
    wanted = properties if depth < _DEEPEST else [key for key in properties if key in required and depth < 2 * _DEEPEST]
    return {key: _build(properties[key], root, filling, key, depth + 1) for key in wanted}


def _array(schema: JsonObject, root: JsonObject, filling: Filling, name: str, depth: int) -> list[object]:
    least = _whole(schema.get("minItems"), 0)
    most = _whole(schema.get("maxItems"), max(least, 3))
    items = schema.get("items", {"type": "string"})
    kind = _resolved(items, root).get("type") if isinstance(items, dict) else None
    known = filling.lists.get(name.lower())
    if known and kind == "string" and not {"enum", "const", "format"} & set(_resolved(items, root)):
        wanted = max(least, min(most if "maxItems" in schema else len(known), len(known)))
        return [known[index % len(known)] for index in range(wanted)]
    length = least if depth >= _DEEPEST else max(least, min(most, 2))
    return [_build(items, root, filling, name, depth + 1) for _ in range(length)]


def _string(schema: JsonObject, filling: Filling, name: str) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    text = filling.named.get(name.lower(), filling.text)
    least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), len(text))
    return text.ljust(least, ".")[: max(least, most)]


def _number(schema: JsonObject, filling: Filling, name: str) -> float | int:
    return _first_within(schema, schema.get("multipleOf"))


def _integer(schema: JsonObject, filling: Filling, name: str) -> int:
    return int(_first_within(schema, schema.get("multipleOf", 1)))


def _first_within(schema: JsonObject, step: object) -> float | int:
    """The first of some likely numbers that keeps every bound; 1 when none does."""
    kept = [schema[name] for name in _BOUNDS if _is_number(schema.get(name))]
    bounds: list[int | float] = [float(bound) if isinstance(bound, float) else int(bound) for bound in kept]
    tried = [1, 0, *bounds, *(bound + 1 for bound in bounds), *(bound - 1 for bound in bounds), sum(bounds) / max(1, len(bounds))]
    if _is_number(step) and isinstance(step, int | float) and step > 0:
        tried = [whole * step for number in tried for whole in (math.ceil(number / step), math.floor(number / step))]
    return next((number for number in tried if _within(number, schema)), 1)


def _within(number: float, schema: JsonObject) -> bool:
    return all(not _is_number(schema.get(name)) or keeps(number, schema[name]) for name, keeps in _BOUNDS.items())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < _LARGEST


def _boolean(schema: JsonObject, filling: Filling, name: str) -> bool:
    return True


def _null(schema: JsonObject, filling: Filling, name: str) -> None:
    return None


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


_SCALARS: Mapping[str, Callable[[JsonObject, Filling, str], object]] = MappingProxyType(
    {"string": _string, "number": _number, "integer": _integer, "boolean": _boolean, "null": _null}
)
