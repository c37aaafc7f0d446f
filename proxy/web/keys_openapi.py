"""Describes the admin API of issued keys as OpenAPI 3.1. It must never show an example that looks like a key."""

from typing import Any

from proxy.web.keys import PATH, KeyRequest, RotateRequest

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_COUNT: Schema = {"type": ["integer", "null"]}
MAYBE_TEXTS: Schema = {"type": ["array", "null"], "items": TEXT}

_MEMBERS: Schema = {
    "object": {"const": "key"},
    "id": TEXT,
    "name": TEXT,
    "role": {"type": "string", "enum": ["caller", "viewer", "observer", "admin"]},
    "state": {"type": "string", "enum": ["active", "replaced", "expired", "revoked"], "description": "replaced: works until `revoked`."},
    "hint": {**TEXT, "description": "How the key ends; enough to tell keys apart."},
    "created": TEXT,
    "expires": MAYBE_TEXT,
    "revoked": MAYBE_TEXT,
    "replaced_by": MAYBE_TEXT,
    "tags": {"type": "object", "additionalProperties": TEXT},
    "models": MAYBE_TEXTS,
    "brands": MAYBE_TEXTS,
    "requests_per_minute": MAYBE_COUNT,
    "tokens_per_minute": MAYBE_COUNT,
    "note": MAYBE_TEXT,
}
KEY: Schema = {"type": "object", "required": list(_MEMBERS), "properties": _MEMBERS}
NEW_KEY: Schema = {
    "type": "object",
    "required": ["key", *_MEMBERS],
    "properties": {"key": {**TEXT, "description": "The key itself; it is in this answer and nowhere else."}, **_MEMBERS},
}
KEY_LIST: Schema = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}}},
}
SCHEMAS: Schema = {
    "Key": KEY,
    "NewKey": NEW_KEY,
    "KeyList": KEY_LIST,
    "KeyRequest": KeyRequest.model_json_schema(),
    "RotateRequest": RotateRequest.model_json_schema(),
}
_WHICH: Schema = {"name": "key_id", "in": "path", "required": True, "schema": TEXT, "description": "The key's id, or its name."}


def _operation(summary: str, reply: str, *, status: str = "200", body: str | None = None, errors: tuple[str, ...] = ()) -> Schema:
    made: Schema = {"summary": summary, "responses": {status: _content("Answer.", reply)}}
    made["responses"] |= {code: _content("Error.", "Error") for code in ("401", "403", *errors, "503")}
    if body is not None:
        made["requestBody"] = {"required": body == "KeyRequest", "content": _content("", body)["content"]}
    return made


def _content(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


PATHS: Schema = {
    PATH: {
        "get": _operation("Every issued key", "KeyList"),
        "post": _operation("Issue a key", "NewKey", status="201", body="KeyRequest", errors=("400", "413", "415")),
    },
    PATH + "/{key_id}": {
        "parameters": [_WHICH],
        "get": _operation("One issued key", "Key", errors=("404",)),
        "delete": _operation("Revoke a key, or every key of a name", "KeyList", errors=("404",)),
    },
    PATH + "/{key_id}/rotate": {
        "parameters": [_WHICH],
        "post": _operation(
            "Issue the key that takes over", "NewKey", status="201", body="RotateRequest", errors=("400", "404", "413", "415")
        ),
    },
}
