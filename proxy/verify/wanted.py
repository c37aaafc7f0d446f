"""What form a request asks its answer to have. It must never fetch what a schema refers to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.verify.written import dicts

DEEPEST = 32
JSON_TYPE = "application/json"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """json: the text is to be JSON, schema: of this form. functions: the form of arguments by name, of functions declared strict."""

    json: bool = False
    schema: Schema | None = None
    functions: Mapping[str, Schema] = field(default_factory=dict)


FREELY = Wanted()


def wanted_by(operation: str, request: Any) -> Wanted:
    """What the request asks for; nothing where it cannot be read."""
    read = _READ.get(operation)
    return read(request) if read is not None and isinstance(request, dict) else FREELY


def _chat(request: dict[str, Any]) -> Wanted:
    tools = [tool.get("function") for tool in dicts(request.get("tools"))]
    return _formed(request.get("response_format"), functions=_strict([tool for tool in tools if isinstance(tool, dict)]))


def _responses(request: dict[str, Any]) -> Wanted:
    text = request.get("text")
    return _formed(text.get("format") if isinstance(text, dict) else None, functions=_strict(dicts(request.get("tools"))))


def _messages(request: dict[str, Any]) -> Wanted:
    config = request.get("output_config")
    inner = config.get("format") if isinstance(config, dict) else None
    return _formed(inner or request.get("output_format"))


def _gemini(request: dict[str, Any]) -> Wanted:
    found = request.get("generationConfig") or request.get("generation_config")
    config: dict[str, Any] = found if isinstance(found, dict) else {}
    if _either(config, "responseMimeType", "response_mime_type") != JSON_TYPE:
        return FREELY
    schema = _either(config, "responseJsonSchema", "response_json_schema")
    if not isinstance(schema, dict):
        own = _either(config, "responseSchema", "response_schema")
        schema = _plain(own) if isinstance(own, dict) else None
    return Wanted(json=True, schema=schema)


_READ: Mapping[str, Callable[[dict[str, Any]], Wanted]] = {
    "chat": _chat,
    "completions": _chat,
    "responses": _responses,
    "messages": _messages,
    "generate_content": _gemini,
    "stream_generate_content": _gemini,
}


def _formed(said: Any, functions: Mapping[str, Schema] | None = None) -> Wanted:
    """What `response_format` and its like say: {type: json_object}, or {type: json_schema} with the schema in it or one level below."""
    form: dict[str, Any] = said if isinstance(said, dict) else {}
    kind, inner = form.get("type"), form.get("json_schema")
    holder = inner if isinstance(inner, dict) else form
    schema = holder.get("schema") if kind == "json_schema" else None
    return Wanted(
        json=kind in ("json_object", "json_schema"), schema=schema if isinstance(schema, dict) else None, functions=functions or {}
    )


def _strict(functions: list[dict[str, Any]]) -> dict[str, Schema]:
    return {
        str(each.get("name")): each["parameters"]
        for each in functions
        if each.get("strict") is True and isinstance(each.get("parameters"), dict)
    }


def _either(config: dict[str, Any], name: str, spelt: str) -> Any:
    return config.get(name, config.get(spelt))


def _plain(schema: dict[str, Any], depth: int = 0) -> Schema:
    """Gemini's own schema as JSON Schema: types in lower case, `nullable` as a type; what it does not share is left out."""
    if depth > DEEPEST:
        return {}
    kept: Schema = {name: schema[name] for name in ("required", "enum", "minItems", "maxItems", "minimum", "maximum") if name in schema}
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        kept["type"] = [kind.lower(), "null"] if schema.get("nullable") is True else kind.lower()
    if kept.get("enum") and schema.get("nullable") is True:
        kept["enum"] = [*kept["enum"], None]
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: _plain(each, depth + 1) for name, each in schema["properties"].items() if isinstance(each, dict)}
    if isinstance(schema.get("items"), dict):
        kept["items"] = _plain(schema["items"], depth + 1)
    if isinstance(schema.get("anyOf"), list):
        kept["anyOf"] = [_plain(each, depth + 1) for each in dicts(schema["anyOf"])]
    return kept
