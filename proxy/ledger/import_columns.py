"""Columns of what was imported, and of what was compared. It must never import a database library: it is loaded at start."""

from typing import Literal

Kind = Literal["text", "integer", "bigint", "double", "boolean", "json"]

IMPORTS = ("call_id", "batch_id", "source_kind", "row_hash", "calls_counted")
"""Calls that came from a file and were never seen live. row_hash: of what the source says, so that a file is imported once."""

IMPORT_BATCHES = ("batch_id", "source_kind", "file_hash", "created_ms", "rows_read", "calls_added", "told")
"""Files that were imported; told: what became of the rows, as JSON."""

IMPORT_SPENDS = ("attempt_id", "call_id", "category", "amount", "currency", "seats", "months")
"""Money behind a call that is weighed by what it cost."""

RECONCILIATIONS = (
    "reconciliation_id",
    "provider",
    "model",
    "month",
    "created_ms",
    "source_kind",
    "since_ms",
    "until_ms",
    "provider_tokens",
    "seen_tokens",
    "provider_amount",
    "seen_amount",
    "currency",
)
"""What a provider counted in a month and what the ledger saw of it, line by line; null: not told, or not known."""

IMPORT_TABLES = {"imports": IMPORTS, "import_batches": IMPORT_BATCHES, "import_spends": IMPORT_SPENDS, "reconciliations": RECONCILIATIONS}

IMPORT_KEYS = {
    "imports": ("call_id",),
    "import_batches": ("batch_id",),
    "import_spends": ("attempt_id",),
    "reconciliations": ("reconciliation_id", "provider", "model", "month"),
}

IMPORT_KINDS: dict[str, Kind] = {
    "calls_counted": "bigint",
    "rows_read": "bigint",
    "calls_added": "bigint",
    "amount": "double",
    "seats": "double",
    "months": "double",
    "since_ms": "bigint",
    "until_ms": "bigint",
    "provider_tokens": "bigint",
    "seen_tokens": "bigint",
    "provider_amount": "double",
    "seen_amount": "double",
}

IMPORT_NULLABLE = ("seats", "months", "provider_tokens", "seen_tokens", "provider_amount", "seen_amount")
