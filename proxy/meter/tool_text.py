"""Writes tool definitions as they stand in the prompt of OpenAI's models: TypeScript types. It must never leave out a description.

OpenAI's models see functions as a TypeScript namespace: its harmony format says so for the open ones, and prompt token counts that people
published show it for the others (hmarr/openai-chat-tokens; OpenAI's cookbook, "How to count tokens with tiktoken"). Keywords of a schema
that have no place in a type, such as minimum, are not in the prompt.
"""

from collections.abc import Sequence
from typing import Any

from proxy.endpoints.chat_parts import as_json

FRAME_TOKENS = 9
"""Added once where functions are given: the system message that they stand in, and its heading."""

SHARED_FRAME_TOKENS = -4
"""Where the caller gives a system message the functions share it."""

FORCED_CALL_TOKENS = 4
NO_CALL_TOKENS = 1
"""Added by a `tool_choice` that names a function, beside the name; and by `none`."""

DEEPEST = 16
_PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}


def as_typescript(functions: Sequence[dict[str, Any]]) -> str:
    """The definitions of `functions` ({name, description, parameters}) as one namespace."""
    lines = ["namespace functions {", ""]
    for function in functions:
        lines += _comment(function.get("description"))
        parameters = function.get("parameters") or function.get("input_schema")
        fields = _fields(parameters, 0) if isinstance(parameters, dict) else []
        name = function.get("name") or ""
        lines += [f"type {name} = (_: {{", *fields, "}) => any;", ""] if fields else [f"type {name} = () => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _comment(description: Any) -> list[str]:
    return [f"// {line}" for line in description.splitlines()] if isinstance(description, str) else []


def _fields(schema: dict[str, Any], depth: int) -> list[str]:
    """One line for each property and its comment, indented by depth as the provider does."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or depth > DEEPEST:
        return []
    needed = required if isinstance(required, list) else []
    lines = []
    for name, given in properties.items():
        prop = given if isinstance(given, dict) else {}
        mark = "" if name in needed else "?"
        default = f" // default: {as_json(prop['default'])}" if "default" in prop else ""
        lines += [*_comment(prop.get("description")), f"{name}{mark}: {_type(prop, depth)},{default}"]
    return [" " * depth + line for line in lines]


def _type(schema: dict[str, Any], depth: int) -> str:
    if depth > DEEPEST:
        return "any"
    allowed = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if isinstance(allowed, list):
        return " | ".join(as_json(value) for value in allowed)
    for several in ("anyOf", "oneOf"):
        if isinstance(schema.get(several), list):
            return " | ".join(_type(one, depth + 1) for one in schema[several] if isinstance(one, dict))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, depth + 1) for one in kind)
    if kind == "array":
        items = schema.get("items")
        return f"{_type(items, depth)}[]" if isinstance(items, dict) else "any[]"
    if kind == "object" or "properties" in schema:
        return "\n".join(["{", *_fields(schema, depth + 2), "}"])
    return _PLAIN.get(kind, "any") if isinstance(kind, str) else str(schema.get("$ref", "any")).rsplit("/", 1)[-1]
