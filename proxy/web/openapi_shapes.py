"""Shapes that parts of the OpenAPI description share. It must never describe a path."""

from typing import Any

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "array", "items": TEXT}
TIER: Schema = {"type": "string", "enum": ["A", "B", "C", "D", "E"]}

MEANINGS = {
    "gco2e": "Expected value, grams of CO2 equivalent, location-based.",
    "gco2e_low": "5th percentile, grams.",
    "gco2e_high": "95th percentile, grams.",
    "energy_wh": "Facility energy, expected value, Wh.",
    "operational_gco2e": "Part from electricity, grams.",
    "embodied_gco2e": "Part from making the hardware, grams.",
    "water_ml": "Water consumed on site and for electricity, expected value, millilitres.",
}


def object_of(properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def figures(kind: Schema) -> Schema:
    """The figures of one weighing, each of the kind."""
    return {name: {**kind, "description": meaning} for name, meaning in MEANINGS.items()}


def maybe(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


PARTS = object_of({"usage": TIER, "model": TIER, "hardware": TIER, "zone": TIER})
METHOD: Schema = {"type": "string", "description": "Method and version, such as tokens@1.0.0."}


def operation(summary: str, reply: str, *, errors: tuple[str, ...], body: str | None = None) -> Schema:
    """A call with a JSON answer."""
    made: Schema = {
        "summary": summary,
        "responses": {"200": content("Answer.", reply), **{status: content("Error.", "Error") for status in errors}},
    }
    if body is not None:
        made["requestBody"] = {"required": True, **content("", body, described=False)}
    return made


def content(description: str, schema: str, *, described: bool = True) -> Schema:
    """JSON of a named schema."""
    content = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
    return {"description": description, **content} if described else content


def plain(summary: str, replies: dict[str, str]) -> Schema:
    """A call whose answers are named by status alone."""
    return {"summary": summary, "responses": {status: {"description": meaning} for status, meaning in replies.items()}}
