"""Describes Scope3's impact API, as it is answered here, as OpenAPI 3.1. It must never ask for more rows than are read."""

from proxy.web.impact import METRICS, MOST_ROWS, ImpactRequest
from proxy.web.impact_rows import ImpactRow
from proxy.web.openapi_shapes import FLAG, MAYBE_NUMBER, NUMBER, TEXT, Schema, maybe, object_of, operation

IMPACT_METRICS = object_of(dict.fromkeys(METRICS, NUMBER))

IMPACT = object_of(
    {
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["total_impact", "inference_impact", "training_impact", "fine_tuning_impact", "error"],
                "properties": {
                    "total_impact": {**IMPACT_METRICS, "description": "Inference and training; zeros where `error` says why."},
                    "inference_impact": maybe({**IMPACT_METRICS, "description": "Serving, as headers show it; energy is the facility's."}),
                    "training_impact": maybe({**IMPACT_METRICS, "description": "A share of the training; weakly known (tier D)."}),
                    "fine_tuning_impact": {"type": "null"},
                    "error": maybe(object_of({"code": TEXT, "message": TEXT, "details": {"type": "object"}})),
                    "footprint": {"type": "object", "description": "With ?footprint=true: range, tier, method, place, warnings."},
                },
            },
        },
        "total_energy_wh": MAYBE_NUMBER,
        "total_gco2e": {**MAYBE_NUMBER, "description": "Use and embodied, of the rows without error."},
        "total_mlh2o": {**MAYBE_NUMBER, "description": "Use and embodied, of the rows without error."},
        "has_errors": FLAG,
    }
)


def impact_schemas() -> Schema:
    """The answer, the body and its rows."""
    return {"ImpactRequest": _impact_request(), "ImpactRow": ImpactRow.model_json_schema(), "Impact": IMPACT}


def _impact_request() -> Schema:
    """The body's schema with its rows spelled out: in code they are read one by one, so that a bad one fails no other."""
    schema = ImpactRequest.model_json_schema()
    schema["properties"]["rows"] = {
        **schema["properties"]["rows"],
        "items": {"$ref": "#/components/schemas/ImpactRow"},
        "maxItems": MOST_ROWS,
    }
    return schema


PATHS: Schema = {
    "/v1/impact": {
        "post": {
            **operation("What many calls weigh, as Scope3's API", "Impact", body="ImpactRequest", errors=("400", "401", "403", "413")),
            "parameters": [{"name": "footprint", "in": "query", "schema": {"type": "string", "enum": ["true", "false"]}}],
        }
    },
}
