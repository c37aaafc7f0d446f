"""Describes the API of assets as OpenAPI 3.1. It must never promise a figure where nothing was weighed."""

from typing import Any

from proxy.web.assets import PATH, VerdictRequest

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}

_SAID: Schema = {
    "verdict_id": {"type": "string", "format": "uuid"},
    "verdict": {"enum": ["accepted", "rejected"]},
    "brand": MAYBE_TEXT,
    "campaign": MAYBE_TEXT,
    "minutes_saved": MAYBE_NUMBER,
    "decided": {"type": "string", "format": "date-time"},
}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


SCHEMAS: Schema = {
    "VerdictRequest": VerdictRequest.model_json_schema(),
    "Verdict": _object({"object": {"const": "footprint.verdict"}, "asset": TEXT, **_SAID}),
    "Asset": _object(
        {
            "object": {"const": "footprint.asset"},
            "asset": TEXT,
            "iterations": {
                **COUNT,
                "description": "Answered calls that carry the tag asset with this value, as far as your key may read them.",
            },
            "unweighed_calls": COUNT,
            "gco2e": {**MAYBE_NUMBER, "description": "Expected value, grams of CO2 equivalent, of all these calls."},
            "gco2e_low": {**MAYBE_NUMBER, "description": "5th percentile; doubts that the calls share add up in full."},
            "gco2e_high": {**MAYBE_NUMBER, "description": "95th percentile."},
            "energy_wh": MAYBE_NUMBER,
            "operational_gco2e": MAYBE_NUMBER,
            "embodied_gco2e": MAYBE_NUMBER,
            "water_ml": MAYBE_NUMBER,
            "first_call": MAYBE_TIME,
            "last_call": MAYBE_TIME,
            "verdict": {"anyOf": [_object(_SAID), {"type": "null"}], "description": "The last word on it that your key may read."},
            "links": _object({"self": TEXT}),
        }
    ),
}


def _content(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def _errors(*codes: str) -> Schema:
    return {code: _content("Error.", "Error") for code in codes}


PATHS: Schema = {
    PATH: {
        "parameters": [{"name": "asset", "in": "path", "required": True, "schema": TEXT, "description": "The value of the tag asset."}],
        "get": {"summary": "What an asset came to", "responses": {"200": _content("Answer.", "Asset"), **_errors("401", "404", "503")}},
        "post": {
            "summary": "Accept or reject an asset",
            "requestBody": {"required": True, "content": _content("", "VerdictRequest")["content"]},
            "responses": {"201": _content("Kept.", "Verdict"), **_errors("400", "401", "403", "413", "503")},
        },
    }
}
