"""Describes the receiver of spans as OpenAPI 3.1. It must never describe a receiver that the configuration does not ask for."""

from typing import Any, Final

from config.observe import Otlp

Schema = dict[str, Any]

_REFUSED: Final[Schema] = {
    "type": "object",
    "required": ["rejectedSpans", "errorMessage"],
    "properties": {
        "rejectedSpans": {"type": "string", "pattern": "^[0-9]+$", "description": "Spans that are not to be sent again."},
        "errorMessage": {"type": "string"},
    },
}
_TAKEN: Final[Schema] = {"type": "object", "properties": {"partialSuccess": _REFUSED}}
_STATUS: Final[Schema] = {
    "type": "object",
    "required": ["code", "message", "error"],
    "properties": {
        "code": {"type": "integer", "description": "Code of google.rpc.Status."},
        "message": {"type": "string"},
        "error": {"$ref": "#/components/schemas/Error/properties/error"},
    },
}
_SPANS: Final[Schema] = {
    "type": "object",
    "description": "ExportTraceServiceRequest of OTLP 1; spans that are no call of a model are let go.",
    "properties": {"resourceSpans": {"type": "array", "items": {"type": "object"}}},
}
ERRORS: Final = {
    "400": "`malformed_otlp` or `malformed_encoding`.",
    "401": "No valid key.",
    "403": "`observer_only`: not a key with role observer or admin.",
    "413": "Longer than `observe.otlp.body_mb`, unpacked.",
    "415": "Neither protobuf (which needs an extra) nor JSON, or an encoding that is not gzip or deflate.",
    "429": "Too many exports at once, or beyond the key's limits; `retry-after` says when to send again.",
    "503": "`ledger_unavailable`: `retry-after` says when to send again.",
}


def observe_paths(otlp: Otlp | None) -> Schema:
    """The receiver's path; nothing where no receiver is asked for."""
    if otlp is None:
        return {}
    return {
        otlp.path: {
            "post": {
                "summary": "Take in spans of calls that never crossed the proxy (OTLP over HTTP)",
                "requestBody": {"required": True, "content": _either(_SPANS)},
                "responses": {
                    "200": {"description": "Taken; `partialSuccess` where spans were refused.", "content": _either(_TAKEN)},
                    **{status: {"description": meaning, "content": _either(_STATUS)} for status, meaning in ERRORS.items()},
                },
            }
        }
    }


def _either(schema: Schema) -> Schema:
    """JSON of the schema, or protobuf; answers have the encoding of the request."""
    return {"application/json": {"schema": schema}, "application/x-protobuf": {}}
