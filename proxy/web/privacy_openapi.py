"""Describes the API of erasure as OpenAPI 3.1. It must never promise that what lies outside the proxy is erased."""

from typing import Any

from proxy.web.privacy import PATH, ErasureRequest

Schema = dict[str, Any]
_COUNT: Schema = {"type": "integer", "minimum": 0}

SCHEMAS: Schema = {
    "ErasureRequest": ErasureRequest.model_json_schema(),
    "Erasure": {
        "type": "object",
        "required": ["object", "scope", "recorded", "calls", "verdicts", "keys", "answers", "unsearched_calls"],
        "properties": {
            "object": {"const": "privacy.erasure"},
            "scope": {"enum": ["user", "key", "caller"]},
            "recorded": {"type": ["string", "null"], "format": "date-time", "description": "Null where the ledger held nothing."},
            "calls": _COUNT,
            "verdicts": _COUNT,
            "keys": _COUNT,
            "answers": {**_COUNT, "description": "Answers that were kept to be reused; those of every key under which a user called."},
            "unsearched_calls": {
                "type": "object",
                "additionalProperties": _COUNT,
                "description": "Calls whose user was hashed with an earlier secret, by its id: `grammage privacy erase` takes it.",
            },
        },
    },
}


def _content(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


PATHS: Schema = {
    PATH: {
        "post": {
            "summary": "Erase what leads to a person; the figures stay",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErasureRequest"}}},
            },
            "responses": {
                "200": _content("How much was erased.", "Erasure"),
                **{code: _content("Error.", "Error") for code in ("400", "401", "403", "415", "503")},
            },
        }
    }
}
