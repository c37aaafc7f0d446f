"""Describes the forecast as OpenAPI 3.1. It must never promise a figure that the forecast lacks."""

from typing import get_args

from config.evidence import EvidenceKind
from proxy.web.estimate_request import EstimateRequest
from proxy.web.openapi_shapes import (
    COUNT,
    FLAG,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    METHOD,
    NUMBER,
    PARTS,
    TEXT,
    TEXTS,
    TIER,
    Schema,
    figures,
    object_of,
    operation,
)

PLANNED_USAGE: Schema = {
    **object_of({"input_tokens": COUNT, "cached_input_tokens": COUNT, "output_tokens": COUNT, "source": TEXT}),
    "description": "Counts, and what is stated of pictures (images, width, height, quality, steps, input_images), clips and sound.",
}
PUBLISHED = object_of(
    {
        "who": TEXT,
        "system": TEXT,
        "kind": {"type": "string", "enum": list(get_args(EvidenceKind))},
        "unit": TEXT,
        "energy_wh": MAYBE_NUMBER,
        "gco2e": MAYBE_NUMBER,
        "boundary": TEXT,
        "year": COUNT,
        "url": TEXT,
    }
)

ESTIMATE = object_of(
    {
        "object": {"const": "footprint.estimate"},
        "model": TEXT,
        "operation": TEXT,
        **figures(NUMBER),
        "quality": TIER,
        "quality_parts": PARTS,
        "method": METHOD,
        "provider": TEXT,
        "region": MAYBE_TEXT,
        "zone": TEXT,
        "place_assumed": FLAG,
        "hardware": {"type": "object", "description": "What is stated of the machines; the rest is weighed as a mixture."},
        "operating_prior": {**TEXT, "description": "How busy the machines are assumed to be."},
        "profile": {**TEXT, "description": "Boundary: which lines the total holds."},
        "factor_set": TEXT,
        "usage": PLANNED_USAGE,
        "published": {"type": "array", "items": PUBLISHED, "description": "Figures of others about this model; none changes the estimate."},
        "warnings": TEXTS,
    }
)


def estimate_schemas() -> dict[str, Schema]:
    """The answer's schema, the body's and those it refers to."""
    schema = EstimateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "EstimateRequest": schema, "Estimate": ESTIMATE}


PATHS: Schema = {
    "/v1/footprint/estimate": {
        "post": operation("What a call would weigh", "Estimate", body="EstimateRequest", errors=("400", "401", "413"))
    },
}
