"""Describes the record of a call as OpenAPI 3.1. It must never promise a field that the record lacks."""

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
    maybe,
    object_of,
    operation,
)

OPINION = object_of(
    {
        **figures(NUMBER),
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

SHADOW = object_of({"method": METHOD, **figures(NUMBER), "quality": TIER, "attempts": COUNT, "warnings": TEXTS})

HOURLY: Schema = {
    **object_of({"gco2e_per_kwh": NUMBER, "source": TEXT, "zone": TEXT, "basis": TEXT, "state": TEXT, "age_s": NUMBER}),
    "description": "What a live source told of the grid while the attempt ran; in no figure. Null without one that is young enough.",
}

SHORTCOMING: Schema = {
    "type": ["string", "null"],
    "description": (
        "What its answer falls short of, so that a larger model was asked, or would have been: invalid_json, refused, truncated, empty, "
        "must_match."
    ),
}

ATTEMPT = object_of(
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
        "usage": maybe(USAGE),
        "hourly_intensity": maybe(HOURLY),
        "estimates": {"type": "array", "items": OPINION, "description": "Oldest first; restating adds one, the newest counts."},
        "shadow": {"type": "array", "items": OPINION, "description": "Opinions of methods that ran beside the one that counts."},
    }
)

_GRAMS = dict.fromkeys(("gco2e", "gco2e_low", "gco2e_high"), MAYBE_NUMBER)
_SIDE = object_of({"provider": TEXT, "model": TEXT, "region": MAYBE_TEXT, "zone": TEXT, **_GRAMS})

DECISION = object_of(
    {
        "policy": TEXT,
        "mode": {"enum": ["shadow", "enforce"]},
        "action": {"enum": ["routed", "kept", "passthrough", "refused", "holdback", "alternative"]},
        "reason": MAYBE_TEXT,
        "baseline": _SIDE,
        "choice": maybe(_SIDE),
        "difference": maybe(object_of({"what": TEXT, **_GRAMS})),
    }
)

INSTEAD: Schema = {
    **object_of(
        {
            "kind": TEXT,
            "ref": MAYBE_TEXT,
            "source_call_id": MAYBE_TEXT,
            "source": maybe(object_of({"created": {"type": "string", "format": "date-time"}, **figures(MAYBE_NUMBER)})),
        }
    ),
    "description": "What answered in place of a provider; `source` is the call whose answer it was, whose figures count there alone.",
}

RECORD = object_of(
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
        **figures(MAYBE_NUMBER),
        "quality": maybe(TIER),
        "method": maybe(METHOD),
        "factor_set": MAYBE_TEXT,
        "profile": MAYBE_TEXT,
        "zone": MAYBE_TEXT,
        "policy": TEXT,
        "altered": TEXTS,
        "decision": maybe(DECISION),
        "instead": maybe(INSTEAD),
        "usage": maybe(USAGE),
        "tags": {"type": "object", "additionalProperties": TEXT},
        "purpose": {**MAYBE_TEXT, "description": "What the call is for: its own tag, else what its campaign declares."},
        "warnings": TEXTS,
        "shadow": {"type": "array", "items": SHADOW, "description": "What methods beside the one that counts say of the whole call."},
        "attempts": {"type": "array", "items": ATTEMPT},
        "origin_call_id": {**MAYBE_TEXT, "description": "Of work booked late: the call that began it, or `unknown`."},
        "late": {
            "type": "array",
            "items": object_of({"call_id": TEXT, "ended": {"type": "string", "format": "date-time"}}),
            "description": "Calls that booked what this one began; their attempts and figures stand here too.",
        },
        "links": object_of({"self": TEXT}),
    }
)

SCHEMAS: Schema = {"Record": RECORD}
PATHS: Schema = {
    "/v1/footprint/{call_id}": {
        "get": {
            **operation("What a recorded call weighed", "Record", errors=("401", "404", "503")),
            "parameters": [{"name": "call_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}],
        }
    },
}
