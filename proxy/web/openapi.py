"""Describes our own API as OpenAPI 3.1. It must never describe what the provider's API is."""

from typing import Any, get_args

from config.evidence import EvidenceKind
from proxy.web.assets_openapi import PATHS as ASSET_PATHS
from proxy.web.assets_openapi import SCHEMAS as ASSET_SCHEMAS
from proxy.web.estimate_request import EstimateRequest
from proxy.web.impact import METRICS, MOST_ROWS, ImpactRequest
from proxy.web.impact_rows import ImpactRow
from proxy.web.keys_openapi import PATHS as KEY_PATHS
from proxy.web.keys_openapi import SCHEMAS as KEY_SCHEMAS
from proxy.web.privacy_openapi import PATHS as PRIVACY_PATHS
from proxy.web.privacy_openapi import SCHEMAS as PRIVACY_SCHEMAS
from proxy.web.report_openapi import report_paths, report_schemas

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


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _figures(kind: Schema) -> Schema:
    return {name: {**kind, "description": meaning} for name, meaning in MEANINGS.items()}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


PARTS = _object({"usage": TIER, "model": TIER, "hardware": TIER, "zone": TIER})
METHOD: Schema = {"type": "string", "description": "Method and version, such as tokens@1.0.0."}

PLANNED_USAGE: Schema = {
    **_object({"input_tokens": COUNT, "cached_input_tokens": COUNT, "output_tokens": COUNT, "source": TEXT}),
    "description": "Counts, and what is stated of pictures (images, width, height, quality, steps, input_images), clips and sound.",
}
PUBLISHED = _object(
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

ESTIMATE = _object(
    {
        "object": {"const": "footprint.estimate"},
        "model": TEXT,
        "operation": TEXT,
        **_figures(NUMBER),
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

OPINION = _object(
    {
        **_figures(NUMBER),
        "method": TEXT,
        "method_version": TEXT,
        "factor_set": TEXT,
        "profile": TEXT,
        "quality": TIER,
        "quality_parts": PARTS,
        "intensity_source": TEXT,
        "intensity_year": COUNT,
        "warnings": TEXTS,
    }
)

USAGE: Schema = {
    "type": "object",
    "description": (
        "Counts by bucket, what is stated of pictures, clips and sound, who counted (source) and whether the answer was cut (partial); "
        "of an attempt also `calls`, where the counts are the sum of several (a batch), and `metered`: energy_wh, its boundary and source, "
        "and whether it is a share of a common meter."
    ),
}

SHADOW = _object({"method": METHOD, **_figures(NUMBER), "quality": TIER, "attempts": COUNT, "warnings": TEXTS})

HOURLY: Schema = {
    **_object({"gco2e_per_kwh": NUMBER, "source": TEXT, "zone": TEXT, "basis": TEXT, "state": TEXT, "age_s": NUMBER}),
    "description": "What a live source told of the grid while the attempt ran; in no figure. Null without one that is young enough.",
}

SHORTCOMING: Schema = {
    "type": ["string", "null"],
    "description": (
        "What its answer falls short of, so that a larger model was asked, or would have been: invalid_json, refused, truncated, empty, "
        "must_match."
    ),
}

ATTEMPT = _object(
    {
        "attempt_id": TEXT,
        "ordinal": COUNT,
        "provider": TEXT,
        "model": TEXT,
        "served_model": TEXT,
        "region": MAYBE_TEXT,
        "zone": TEXT,
        "place_assumed": FLAG,
        "simulated": FLAG,
        "status": COUNT,
        "outcome": TEXT,
        "unweighed_reason": MAYBE_TEXT,
        "shortcoming": SHORTCOMING,
        "usage": _maybe(USAGE),
        "hourly_intensity": _maybe(HOURLY),
        "estimates": {"type": "array", "items": OPINION, "description": "Oldest first; restating adds one, the newest counts."},
        "shadow": {"type": "array", "items": OPINION, "description": "Opinions of methods that ran beside the one that counts."},
    }
)

_GRAMS = dict.fromkeys(("gco2e", "gco2e_low", "gco2e_high"), MAYBE_NUMBER)
_SIDE = _object({"provider": TEXT, "model": TEXT, "region": MAYBE_TEXT, "zone": TEXT, **_GRAMS})

DECISION = _object(
    {
        "policy": TEXT,
        "mode": {"enum": ["shadow", "enforce"]},
        "action": {"enum": ["routed", "kept", "passthrough", "refused", "holdback", "alternative"]},
        "reason": MAYBE_TEXT,
        "baseline": _SIDE,
        "choice": _maybe(_SIDE),
        "difference": _maybe(_object({"what": TEXT, **_GRAMS})),
    }
)

INSTEAD: Schema = {
    **_object(
        {
            "kind": TEXT,
            "ref": MAYBE_TEXT,
            "source_call_id": MAYBE_TEXT,
            "source": _maybe(_object({"created": {"type": "string", "format": "date-time"}, **_figures(MAYBE_NUMBER)})),
        }
    ),
    "description": "What answered in place of a provider; `source` is the call whose answer it was, whose figures count there alone.",
}

RECORD = _object(
    {
        "object": {"const": "footprint.record"},
        "call_id": {"type": "string", "format": "uuid"},
        "status": {"enum": ["final", "pending"], "description": "Pending while the work that the call began goes on at the provider."},
        "created": {"type": "string", "format": "date-time"},
        "operation": TEXT,
        "model": TEXT,
        "http_status": COUNT,
        "outcome": TEXT,
        "stream": FLAG,
        "stream_complete": FLAG,
        **_figures(MAYBE_NUMBER),
        "quality": _maybe(TIER),
        "method": _maybe(METHOD),
        "factor_set": MAYBE_TEXT,
        "profile": MAYBE_TEXT,
        "zone": MAYBE_TEXT,
        "policy": TEXT,
        "altered": TEXTS,
        "decision": _maybe(DECISION),
        "instead": _maybe(INSTEAD),
        "usage": _maybe(USAGE),
        "tags": {"type": "object", "additionalProperties": TEXT},
        "purpose": {**MAYBE_TEXT, "description": "What the call is for: its own tag, else what its campaign declares."},
        "warnings": TEXTS,
        "shadow": {"type": "array", "items": SHADOW, "description": "What methods beside the one that counts say of the whole call."},
        "attempts": {"type": "array", "items": ATTEMPT},
        "origin_call_id": {**MAYBE_TEXT, "description": "Of work booked late: the call that began it, or `unknown`."},
        "late": {
            "type": "array",
            "items": _object({"call_id": TEXT, "ended": {"type": "string", "format": "date-time"}}),
            "description": "Calls that booked what this one began; their attempts and figures stand here too.",
        },
        "links": _object({"self": TEXT}),
    }
)

IMPACT_METRICS = _object(dict.fromkeys(METRICS, NUMBER))

IMPACT = _object(
    {
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["total_impact", "inference_impact", "training_impact", "fine_tuning_impact", "error"],
                "properties": {
                    "total_impact": {**IMPACT_METRICS, "description": "Inference and training; zeros where `error` says why."},
                    "inference_impact": _maybe({**IMPACT_METRICS, "description": "Serving, as headers show it; energy is the facility's."}),
                    "training_impact": _maybe({**IMPACT_METRICS, "description": "A share of the training; weakly known (tier D)."}),
                    "fine_tuning_impact": {"type": "null"},
                    "error": _maybe(_object({"code": TEXT, "message": TEXT, "details": {"type": "object"}})),
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

ERROR = _object({"error": _object({"message": TEXT, "type": TEXT, "param": MAYBE_TEXT, "code": MAYBE_TEXT})})


def describe(base_path: str, version: str) -> Schema:
    """The whole document; `base_path` is the prefix in front of every path."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "grammage", "version": version or "0", "summary": "Weighs generative calls in gCO2e."},
        "servers": [{"url": base_path or "/"}],
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/footprint/estimate": {
                "post": _operation("What a call would weigh", "Estimate", body="EstimateRequest", errors=("400", "401", "413"))
            },
            "/v1/footprint/{call_id}": {
                "get": {
                    **_operation("What a recorded call weighed", "Record", errors=("401", "404", "503")),
                    "parameters": [{"name": "call_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}],
                }
            },
            "/v1/impact": {
                "post": {
                    **_operation(
                        "What many calls weigh, as Scope3's API", "Impact", body="ImpactRequest", errors=("400", "401", "403", "413")
                    ),
                    "parameters": [{"name": "footprint", "in": "query", "schema": {"type": "string", "enum": ["true", "false"]}}],
                }
            },
            **ASSET_PATHS,
            **report_paths(),
            **KEY_PATHS,
            **PRIVACY_PATHS,
            "/metrics": {
                "get": _plain("Counters for Prometheus", {"200": "Exposition.", "401": "No valid key.", "403": "Not an admin or viewer."})
            },
            "/livez": {"get": _plain("The process runs", {"200": "It does."})},
            "/readyz": {"get": _plain("Calls may be sent here", {"200": "They may.", "503": "They may not; `reasons` says why."})},
            "/openapi.json": {"get": _plain("This document", {"200": "The document."})},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **_estimate_request(),
                "Estimate": ESTIMATE,
                "Record": RECORD,
                "ImpactRequest": _impact_request(),
                "ImpactRow": ImpactRow.model_json_schema(),
                "Impact": IMPACT,
                "Error": ERROR,
                **ASSET_SCHEMAS,
                **report_schemas(),
                **KEY_SCHEMAS,
                **PRIVACY_SCHEMAS,
            },
        },
    }


def _estimate_request() -> dict[str, Schema]:
    """The body's schema and those it refers to."""
    schema = EstimateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "EstimateRequest": schema}


def _impact_request() -> Schema:
    """The body's schema with its rows spelled out: in code they are read one by one, so that a bad one fails no other."""
    schema = ImpactRequest.model_json_schema()
    schema["properties"]["rows"] = {
        **schema["properties"]["rows"],
        "items": {"$ref": "#/components/schemas/ImpactRow"},
        "maxItems": MOST_ROWS,
    }
    return schema


def _operation(summary: str, reply: str, *, errors: tuple[str, ...], body: str | None = None) -> Schema:
    made: Schema = {
        "summary": summary,
        "responses": {"200": _content("Answer.", reply), **{status: _content("Error.", "Error") for status in errors}},
    }
    if body is not None:
        made["requestBody"] = {"required": True, **_content("", body, described=False)}
    return made


def _content(description: str, schema: str, *, described: bool = True) -> Schema:
    content = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
    return {"description": description, **content} if described else content


def _plain(summary: str, replies: dict[str, str]) -> Schema:
    return {"summary": summary, "responses": {status: {"description": meaning} for status, meaning in replies.items()}}
