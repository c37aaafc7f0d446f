"""The configuration's JSON Schema, for editors. It must never refuse a reference: `${VAR}` may stand for any value."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from config.policies import PolicyFile
from config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = {"type": "string", "pattern": r"^(\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|file:/.+)$"}
_SCALARS = frozenset({"integer", "number", "boolean"})


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a grammage configuration file."""
    schema = _schema_of(Settings, "grammage configuration")
    here = schema["properties"]["policies"]
    told = {name: here[name] for name in ("default", "description")}
    schema["properties"]["policies"] = {**told, "anyOf": [{"type": "string"}, {"type": "array", "items": here["items"]}]}
    return schema


def policies_schema() -> dict[str, Any]:
    """JSON Schema of a file of policies."""
    return _schema_of(PolicyFile, "grammage policies")


def _schema_of(root: type[BaseModel], title: str) -> dict[str, Any]:
    schema = root.model_json_schema()
    definitions = {name: _widened(part) for name, part in schema.pop("$defs", {}).items()}
    body = _widened(schema)
    body.pop("title", None)
    return {"$schema": DIALECT, "title": title, **body, "$defs": definitions}


def _widened(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section whose numbers, switches and choices may also be `${VAR}` or `file:/path`."""
    properties = {name: _property(part) for name, part in section.get("properties", {}).items()}
    return {**section, "properties": properties} if properties else dict(section)


def _property(part: Mapping[str, Any]) -> dict[str, Any]:
    outer = {name: value for name, value in part.items() if name in ("default", "description")}
    inner = {name: value for name, value in part.items() if name not in (*outer, "title")}
    if inner.get("type") in _SCALARS or "enum" in inner or "$ref" in inner:
        empty = [{"type": "null"}] if "$ref" in inner else []
        return {**outer, "anyOf": [inner, *([REFERENCE] if "$ref" not in inner else []), *empty]}
    if "anyOf" in inner and any("enum" in choice for choice in inner["anyOf"]):
        return {**outer, "anyOf": [*inner["anyOf"], REFERENCE]}
    return {**outer, **inner}
