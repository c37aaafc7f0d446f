"""The ledger's columns with their kinds, in the order rows are written. It must never import a database library: it is loaded at start."""

from typing import Literal

from estimators.quantity import LogVariance
from proxy.ledger.decision_columns import DECISION_FIGURES, DECISION_NULLABLE, DECISIONS
from proxy.ledger.import_columns import IMPORT_KEYS, IMPORT_KINDS, IMPORT_NULLABLE, IMPORT_TABLES
from proxy.ledger.rollup_columns import COUNTS, DIMENSIONS, SPAN, TOUCHED, WHICH, sum_columns

Kind = Literal["text", "integer", "bigint", "double", "boolean", "json", "id"]

SCOPES = LogVariance._fields

QUANTITIES = (
    "it_energy_wh",
    "facility_energy_wh",
    "gpu_seconds",
    "operational_gco2e",
    "embodied_gco2e",
    "gco2e",
    "water_ml",
    "primary_energy_mj",
    "adpe_kgsbeq",
    "market_based_gco2e",
    "training_gco2e",
    "network_gco2e",
)
"""Lines of an estimate. The column named as the line holds its expected value, `<line>_p50` its median."""

SCOPED_QUANTITIES = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
"""Lines whose log-variance is kept by scope (`<line>_var_<scope>`), so that ranges of their sums can be told."""

FIRST_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "image_input_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "input_images",
)
USAGE_COUNTS = (*FIRST_COUNTS, "image_output_tokens")
"""Counts of a usage; each column is named as the field. The last stands apart: a later revision added it."""

MEDIA_KINDS: dict[str, Kind] = {
    "images": "bigint",
    "width": "bigint",
    "height": "bigint",
    "quality": "text",
    "steps": "bigint",
    "clips": "bigint",
    "video_seconds": "double",
    "frames": "bigint",
    "fps": "double",
    "audio_input_seconds": "double",
    "audio_output_seconds": "double",
    "characters": "bigint",
}
"""Fields of `Usage.media`; each column is `media_<field>`, null in a call without media."""

METERED_KINDS: dict[str, Kind] = {"energy_wh": "double", "boundary": "text", "source": "text", "shared": "boolean"}
"""Fields of `Usage.metered`; each column is `metered_<field>`, null in a call that nobody metered."""

CALLS_COUNTED = "usage_calls"
"""How many calls a usage is the sum of; null in a usage of one call."""

MEDIA = tuple(f"media_{field}" for field in MEDIA_KINDS)
METERED = tuple(f"metered_{field}" for field in METERED_KINDS)

CALLS = (
    "call_id",
    "started_ms",
    "operation",
    "path",
    "alias",
    "caller_id",
    "tags",
    "user_hash",
    "user_hash_key_id",
    "status",
    "outcome",
    "stream",
    "stream_complete",
    "latency_s",
    "time_to_first_token_s",
    "overhead_s",
    "policy",
    "altered",
    "retry_count",
    "idempotency_key_hash",
    "origin_call_id",
)

CALL_FACTS = CALLS[:-1]
"""What is written of a call that stands for itself: only a late booking names the call that began its work."""

ATTEMPTS = (
    "call_id",
    "attempt_id",
    "ordinal",
    "provider",
    "model",
    "served_model",
    "region",
    "zone",
    "place_assumed",
    "simulated",
    "status",
    "outcome",
    "upstream_request_id",
    "unweighed_reason",
    "request_bytes",
    "response_bytes",
    "latency_s",
    *FIRST_COUNTS,
    "usage_source",
    "partial",
    "image_output_tokens",
    *MEDIA,
    *METERED,
    "upstream_object_id",
    CALLS_COUNTED,
)

TEXT_ATTEMPTS = ATTEMPTS[: ATTEMPTS.index(MEDIA[0])]
"""What is written of one call's attempt without media or meter: to name the other columns only to leave them null costs a fifth more."""

OBJECT_ATTEMPTS = (*TEXT_ATTEMPTS, "upstream_object_id")
"""The same for an attempt whose answer is kept at the provider, under an id."""

ESTIMATE_FACTS = (
    "attempt_id",
    "estimate_id",
    "call_id",
    "created_ms",
    "method",
    "method_version",
    "factor_set",
    "profile",
    "quality",
    "quality_parts",
    "gco2e_per_kwh",
    "intensity_source",
    "intensity_year",
    "zone",
    "warnings",
)


def quantity_columns(quantity: str) -> tuple[str, ...]:
    """Columns of one line: expected value, median and, for a scoped line, its variance components."""
    variances = tuple(f"{quantity}_var_{scope}" for scope in SCOPES) if quantity in SCOPED_QUANTITIES else ()
    return (quantity, f"{quantity}_p50", *variances)


FIGURES = tuple(column for quantity in QUANTITIES for column in quantity_columns(quantity))

Role = Literal["chosen", "shadow"]

CHOSEN: Role = "chosen"
SHADOW: Role = "shadow"
"""Whether an opinion is the one that counts, or that of a method which ran beside it to be compared."""

SETS = "set:"
"""What the role of an opinion begins with that belongs to a named set: it counts only where that set is asked for."""


def set_role(name: str) -> str:
    """The role of the opinions of a named set."""
    return f"{SETS}{name}"


ESTIMATES = (*ESTIMATE_FACTS, *FIGURES, "role")

RETAGS = ("call_id", "name", "created_ms", "value")

LEDGER_META = ("key", "value")

ISSUED_KEYS = ("key_id", "name", "hash", "hint", "terms", "created_ms", "expires_ms", "revoked_ms", "replaced_by")
"""Keys that the proxy issues. `terms`: what the key may do, as JSON; a key itself is in no column."""

HOURLY = ("attempt_id", "gco2e_per_kwh", "source", "zone", "basis", "state", "age_s")
"""What a live source told of the grid while an attempt ran; in no total. A table of its own: without live sources nothing is written."""

INSTEAD = ("call_id", "kind", "ref", "source_call_id")
"""What answered a call in place of a provider. A table of its own: most calls have no row here."""

SHORTCOMINGS = ("attempt_id", "call_id", "shortcoming")
"""What the answer of an attempt fell short of, so that a larger model was asked. A table of its own, as above."""

WEIGHING_FACTS = (
    "attempt_id",
    "call_id",
    "catalogue_model",
    "hardware",
    "operating_prior",
    "possible_output_tokens",
    "weighed_as",
    "batched",
    "place",
    "cpu_s",
)
"""What an attempt was weighed by, where that is not the usual. A table of its own, as above."""

ASSET_VERDICTS = ("verdict_id", "asset", "brand", "campaign", "verdict", "decided_ms", "caller_id", "minutes_saved")
"""What people said of a finished asset; the last word on it counts."""

SUMS = sum_columns(SCOPED_QUANTITIES, SCOPES[:4])
ROLLUPS = (*WHICH, *DIMENSIONS, *COUNTS, *SPAN, *USAGE_COUNTS, *SUMS)
"""Sums of calls by hour and by day: made anew whole, never added to."""

TABLES = {
    "calls": CALLS,
    "attempts": ATTEMPTS,
    "estimates": ESTIMATES,
    "retags": RETAGS,
    "ledger_meta": LEDGER_META,
    "keys": ISSUED_KEYS,
    "hourly_intensities": HOURLY,
    "decisions": DECISIONS,
    "instead": INSTEAD,
    "shortcomings": SHORTCOMINGS,
    "asset_verdicts": ASSET_VERDICTS,
    "weighing_facts": WEIGHING_FACTS,
    "touched_hours": TOUCHED,
    "rollups_hour": ROLLUPS,
    "rollups_day": ROLLUPS,
    **IMPORT_TABLES,
}

WRITES = (
    ("calls", CALL_FACTS),
    ("calls", CALLS),
    ("attempts", TEXT_ATTEMPTS),
    ("attempts", OBJECT_ATTEMPTS),
    ("attempts", ATTEMPTS),
    ("estimates", ESTIMATES),
    ("hourly_intensities", HOURLY),
    ("decisions", DECISIONS),
    ("instead", INSTEAD),
    ("shortcomings", SHORTCOMINGS),
    ("weighing_facts", WEIGHING_FACTS),
    ("touched_hours", TOUCHED),
)
"""Tables and columns of each kind of row that a batch holds, in the order of rows.py."""

KEYS = {
    "calls": ("call_id",),
    "attempts": ("call_id", "attempt_id"),
    "estimates": ("attempt_id", "estimate_id"),
    "retags": ("call_id", "name", "created_ms"),
    "ledger_meta": ("key",),
    "keys": ("key_id",),
    "hourly_intensities": ("attempt_id",),
    "decisions": ("call_id",),
    "instead": ("call_id",),
    "shortcomings": ("attempt_id",),
    "asset_verdicts": ("verdict_id",),
    "weighing_facts": ("attempt_id",),
    "touched_hours": ("hour", "touch_id"),
    "rollups_hour": (),
    "rollups_day": (),
    **IMPORT_KEYS,
}
"""Primary keys. They begin with what rows are looked up by, so that no further index is needed for it."""

INDICES = {
    "ix_calls_started_ms": ("calls", "started_ms"),
    "ix_calls_origin_call_id": ("calls", "origin_call_id"),
    "ix_attempts_upstream_object_id": ("attempts", "upstream_object_id"),
    "ix_shortcomings_call_id": ("shortcomings", "call_id"),
    "ix_asset_verdicts_asset": ("asset_verdicts", "asset"),
    "ix_rollups_hour_bucket_ms": ("rollups_hour", "bucket_ms"),
    "ix_rollups_day_bucket_ms": ("rollups_day", "bucket_ms"),
}

UNIQUE_INDICES = {"ux_keys_hash": ("keys", "hash", ""), "ux_keys_live_name": ("keys", "name", "revoked_ms IS NULL")}
"""Table, column, and of which rows no two have the same value; empty: of all."""

SPARSE = frozenset({"origin_call_id", "upstream_object_id"})
"""Columns that few rows fill: their indices hold those rows only, and cost the others nothing."""

IDS = ("call_id", "origin_call_id", "source_call_id", "attempt_id", "estimate_id", "upstream_request_id")
"""Columns whose texts are kept as bytes, see ids.py."""

KINDS: dict[str, Kind] = {
    **dict.fromkeys(IDS, "id"),
    "started_ms": "bigint",
    "created_ms": "bigint",
    "hour": "bigint",
    **dict.fromkeys(("bucket_ms", *COUNTS, *SPAN), "bigint"),
    "expires_ms": "bigint",
    "revoked_ms": "bigint",
    "decided_ms": "bigint",
    "minutes_saved": "double",
    "possible_output_tokens": "bigint",
    "batched": "boolean",
    "cpu_s": "double",
    "tags": "json",
    "status": "integer",
    "stream": "boolean",
    "stream_complete": "boolean",
    "latency_s": "double",
    "time_to_first_token_s": "double",
    "overhead_s": "double",
    "retry_count": "integer",
    "ordinal": "integer",
    "place_assumed": "boolean",
    "simulated": "boolean",
    "request_bytes": "bigint",
    "response_bytes": "bigint",
    "partial": "boolean",
    "gco2e_per_kwh": "double",
    "age_s": "double",
    "intensity_year": "integer",
    **dict.fromkeys(USAGE_COUNTS, "bigint"),
    **{f"media_{field}": kind for field, kind in MEDIA_KINDS.items()},
    **{f"metered_{field}": kind for field, kind in METERED_KINDS.items()},
    CALLS_COUNTED: "bigint",
    **IMPORT_KINDS,
    **dict.fromkeys((*FIGURES, *DECISION_FIGURES, *SUMS), "double"),
}
"""Every column that is not text."""

NULLABLE = frozenset(
    {
        "user_hash",
        "user_hash_key_id",
        "time_to_first_token_s",
        "idempotency_key_hash",
        "region",
        "upstream_request_id",
        "unweighed_reason",
        "usage_source",
        "partial",
        "expires_ms",
        "revoked_ms",
        "replaced_by",
        "ref",
        "source_call_id",
        "brand",
        "campaign",
        "minutes_saved",
        *(name for name in WEIGHING_FACTS[2:] if name != "batched"),
        *SPARSE,
        *USAGE_COUNTS,
        *MEDIA,
        *METERED,
        CALLS_COUNTED,
        *FIGURES,
        *SUMS,
        *DECISION_NULLABLE,
        *IMPORT_NULLABLE,
    }
)

DEFAULTS = {"role": CHOSEN}
"""What rows have that were written before the column was; rows of today name it."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012", "0013", "0014")
"""Schema revisions, oldest first, as in migrations/versions; this code reads and writes the last."""
