"""Describes our own API as OpenAPI 3.1. It must never describe what the provider's API is."""

from config.observe import Otlp
from proxy.web.assets_openapi import PATHS as ASSET_PATHS
from proxy.web.assets_openapi import SCHEMAS as ASSET_SCHEMAS
from proxy.web.estimate_openapi import PATHS as ESTIMATE_PATHS
from proxy.web.estimate_openapi import estimate_schemas
from proxy.web.impact_openapi import PATHS as IMPACT_PATHS
from proxy.web.impact_openapi import impact_schemas
from proxy.web.keys_openapi import PATHS as KEY_PATHS
from proxy.web.keys_openapi import SCHEMAS as KEY_SCHEMAS
from proxy.web.observe_openapi import observe_paths
from proxy.web.openapi_shapes import MAYBE_TEXT, TEXT, Schema, object_of, plain
from proxy.web.privacy_openapi import PATHS as PRIVACY_PATHS
from proxy.web.privacy_openapi import SCHEMAS as PRIVACY_SCHEMAS
from proxy.web.record_openapi import PATHS as RECORD_PATHS
from proxy.web.record_openapi import SCHEMAS as RECORD_SCHEMAS
from proxy.web.report_openapi import report_paths, report_schemas

ERROR = object_of({"error": object_of({"message": TEXT, "type": TEXT, "param": MAYBE_TEXT, "code": MAYBE_TEXT})})


def describe(base_path: str, version: str, otlp: Otlp | None = None) -> Schema:
    """The whole document; `base_path` is the prefix in front of every path, `otlp` the receiver of spans that answers beside."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "grammage", "version": version or "0", "summary": "Weighs generative calls in gCO2e."},
        "servers": [{"url": base_path or "/"}],
        "security": [{"key": []}, {}],
        "paths": {
            **ESTIMATE_PATHS,
            **RECORD_PATHS,
            **IMPACT_PATHS,
            **ASSET_PATHS,
            **report_paths(),
            **KEY_PATHS,
            **PRIVACY_PATHS,
            **observe_paths(otlp),
            "/metrics": {
                "get": plain("Counters for Prometheus", {"200": "Exposition.", "401": "No valid key.", "403": "Not an admin or viewer."})
            },
            "/livez": {"get": plain("The process runs", {"200": "It does."})},
            "/readyz": {
                "get": plain(
                    "Calls may be sent here",
                    {"200": "They may.", "503": "They may not; `reasons` says why. `notes`: what is amiss otherwise."},
                )
            },
            "/openapi.json": {"get": plain("This document", {"200": "The document."})},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **estimate_schemas(),
                **RECORD_SCHEMAS,
                **impact_schemas(),
                "Error": ERROR,
                **ASSET_SCHEMAS,
                **report_schemas(),
                **KEY_SCHEMAS,
                **PRIVACY_SCHEMAS,
            },
        },
    }
