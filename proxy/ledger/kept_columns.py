"""The tables in which calls, attempts and opinions really stand; `calls`, `attempts`, `estimates` are views of them. It must never import
a database library: it is loaded at start.

What many rows say alike (who, where, by which method) stands once, in a table of kinds, under a number that is made from what it says:
whoever writes knows the number without asking, and two proxies find the same one.
"""

from typing import Final

from proxy.ledger.columns import (
    CALLS_COUNTED,
    INDICES,
    KEYS,
    MEDIA,
    METERED,
    NULLABLE,
    QUANTITIES,
    SCOPED_QUANTITIES,
    SCOPES,
    TABLES,
    USAGE_COUNTS,
    WRITES,
    Kind,
)

CALL_KIND: Final = (
    *("operation", "path", "alias", "caller_id", "user_hash_key_id", "status", "outcome", "stream", "stream_complete"),
    *("policy", "altered", "retry_count"),
)
ATTEMPT_KIND: Final = (
    *("ordinal", "provider", "model", "served_model", "region", "zone", "place_assumed", "simulated", "status", "outcome"),
    *("unweighed_reason", "usage_source", "partial"),
)
ESTIMATE_KIND: Final = (
    *("role", "method", "method_version", "factor_set", "profile", "quality", "quality_parts"),
    *("gco2e_per_kwh", "intensity_source", "intensity_year", "zone", "warnings"),
)

KEPT_CALLS: Final = (
    *("started_ms", "kind_id", "tag_set", "latency_us", "time_to_first_token_us", "overhead_us"),
    *("call_id", "asset_tag", "user_hash", "idempotency_key_hash", "origin_call_id"),
)
"""The tags of a call less `asset`, of which there are many, are a tag set. Here and below wide numbers stand first: PostgreSQL then fills
no gaps between columns."""

KEPT_ATTEMPTS: Final = (
    *("kind_id", "request_bytes", "response_bytes", "latency_us"),
    *USAGE_COUNTS,
    *("call_id", "attempt_id", "upstream_request_id", "upstream_object_id"),
)
"""A count of nothing is null, one that is not known is -1: most counts are nothing."""

ATTEMPT_MEDIA: Final = ("call_id", "attempt_id", *MEDIA, *METERED, CALLS_COUNTED)


def kept_figures(line: str) -> tuple[str, ...]:
    """Columns of one line: its expected value, and what its logarithm is in doubt by: by scope, or in all."""
    doubts = tuple(f"{line}_sd_{scope}" for scope in SCOPES) if line in SCOPED_QUANTITIES else (f"{line}_sd",)
    return (f"{line}_ln", *doubts)


BASE: Final = "facility_energy_wh"
LIKE_BASE: Final = ("operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
"""Lines made from the same work as the base line: a scope in which both are equally in doubt is null in these."""

KEPT_FIGURES: Final = tuple(column for line in QUANTITIES for column in kept_figures(line))
KEPT_ESTIMATES: Final = ("created_ms", "kind_id", *KEPT_FIGURES, "call_id", "attempt_id", "estimate_id")

KINDS_OF: Final = {
    "call_kinds": ("kind_id", *CALL_KIND),
    "tag_sets": ("tag_set", "tags"),
    "attempt_kinds": ("kind_id", *ATTEMPT_KIND),
    "estimate_kinds": ("kind_id", *ESTIMATE_KIND),
}
"""Tables of what many rows say alike, each by the number made from it."""

VIEWS: Final = ("calls", "attempts", "estimates")
BY_CALL_ID: Final = {
    "kept_calls": KEPT_CALLS,
    "kept_attempts": KEPT_ATTEMPTS,
    "attempt_media": ATTEMPT_MEDIA,
    "kept_estimates": KEPT_ESTIMATES,
}
"""Tables that stand in the order of the calls' ids, which is that of time."""

IN_KEY_ORDER: Final = frozenset({*KINDS_OF, *BY_CALL_ID})
"""Tables that SQLite keeps in the order of their keys, without a number for each row: an id stands there once."""

KEPT_TABLES: Final = {**KINDS_OF, **BY_CALL_ID, **{name: columns for name, columns in TABLES.items() if name not in VIEWS}}
"""Every table there is."""

KEPT_KEYS: Final = {
    **{name: columns[:1] for name, columns in KINDS_OF.items()},
    "kept_calls": ("call_id",),
    "kept_attempts": ("call_id", "attempt_id"),
    "attempt_media": ("call_id", "attempt_id"),
    "kept_estimates": ("call_id", "attempt_id", "estimate_id"),
    **{name: key for name, key in KEYS.items() if name not in VIEWS},
}

KEPT_INDICES: Final = {name: (f"kept_{table}" if table in VIEWS else table, column) for name, (table, column) in INDICES.items()}

KEPT_KINDS: Final[dict[str, Kind]] = {
    "kind_id": "bigint",
    "tag_set": "bigint",
    **dict.fromkeys(("latency_us", "time_to_first_token_us", "overhead_us"), "bigint"),
    **dict.fromkeys(KEPT_FIGURES, "integer"),
}
"""Columns of these tables alone, where they are not text."""


def may_be_null(table: str, column: str) -> bool:
    """Whether a column has no NOT NULL.

    Where the key does not stand first none but the key has: SQLite's integrity check takes such columns for null without reason.
    """
    return column in NULLABLE if table not in BY_CALL_ID else column not in KEPT_KEYS[table]


KEPT_WRITES: Final = (
    *BY_CALL_ID.items(),
    *((table, columns) for table, columns in WRITES if table not in VIEWS),
)
"""Tables and columns of each kind of row of a packed batch, in the order of pack.py; those of kinds go before them."""

SWEPT: Final = "kinds.swept"
"""What the ledger remembers of how often kinds were taken out: whoever writes looks, lest it rely on one that is gone."""

SWEEP_LOCK: Final = 0x6B696E64
"""PostgreSQL's lock that writers share and who takes kinds out has alone; any number, the same in every version."""
