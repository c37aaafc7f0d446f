"""Calls, attempts and opinions in packed tables; their old names are views. A released revision must never change.

Every row is written anew, batch by batch in one transaction: a file needs as much room again meanwhile as it takes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from proxy.ledger.ids import id_bytes
from proxy.ledger.pack import Packer
from proxy.ledger.packed_store import write_kinds, write_rows
from proxy.ledger.partitions import make_ahead, make_defaults
from proxy.ledger.views import create_views

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BATCH = 2000
SCOPES = ("method", "provider", "model", "zone", "call")
LINES = (
    ("it_energy_wh", False),
    ("facility_energy_wh", True),
    ("gpu_seconds", False),
    ("operational_gco2e", True),
    ("embodied_gco2e", True),
    ("gco2e", True),
    ("water_ml", True),
    ("primary_energy_mj", False),
    ("adpe_kgsbeq", False),
    ("market_based_gco2e", False),
    ("training_gco2e", False),
    ("network_gco2e", False),
)
COUNTS = (
    *("input_tokens", "cached_input_tokens", "image_input_tokens", "audio_input_tokens", "output_tokens", "reasoning_output_tokens"),
    *("audio_output_tokens", "input_images"),
)
MEDIA = (
    ("images", sa.BigInteger), ("width", sa.BigInteger), ("height", sa.BigInteger), ("quality", sa.Text), ("steps", sa.BigInteger),
    ("clips", sa.BigInteger), ("video_seconds", sa.Double), ("frames", sa.BigInteger), ("fps", sa.Double),
    ("audio_input_seconds", sa.Double), ("audio_output_seconds", sa.Double), ("characters", sa.BigInteger),
)  # fmt: skip
METERED = (("energy_wh", sa.Double), ("boundary", sa.Text), ("source", sa.Text), ("shared", sa.Boolean))

CALLS = (
    *("call_id", "started_ms", "operation", "path", "alias", "caller_id", "tags", "user_hash", "user_hash_key_id", "status", "outcome"),
    *("stream", "stream_complete", "latency_s", "time_to_first_token_s", "overhead_s", "policy", "altered", "retry_count"),
    *("idempotency_key_hash", "origin_call_id"),
)
ATTEMPTS = (
    *("call_id", "attempt_id", "ordinal", "provider", "model", "served_model", "region", "zone", "place_assumed", "simulated", "status"),
    *("outcome", "upstream_request_id", "unweighed_reason", "request_bytes", "response_bytes", "latency_s"),
    *COUNTS,
    *("usage_source", "partial", "image_output_tokens"),
    *(f"media_{name}" for name, _ in MEDIA),
    *(f"metered_{name}" for name, _ in METERED),
    *("upstream_object_id", "usage_calls"),
)
ESTIMATES = (
    *("attempt_id", "estimate_id", "call_id", "created_ms", "method", "method_version", "factor_set", "profile", "quality"),
    *("quality_parts", "gco2e_per_kwh", "intensity_source", "intensity_year", "zone", "warnings"),
    *(column for line, is_scoped in LINES for column in (line, f"{line}_p50", *(f"{line}_var_{scope}" for scope in SCOPES if is_scoped))),
    "role",
)
TRUTHS = frozenset({"stream", "stream_complete", "place_assumed", "simulated", "partial", "metered_shared"})
IDS = {
    "retags": ("call_id",),
    "hourly_intensities": ("attempt_id",),
    "decisions": ("call_id",),
    "instead": ("call_id", "source_call_id"),
    "shortcomings": ("attempt_id", "call_id"),
    "weighing_facts": ("attempt_id", "call_id"),
    "imports": ("call_id",),
    "import_spends": ("attempt_id", "call_id"),
}
"""Tables beside, whose ids become bytes."""


def upgrade() -> None:
    """Forward only: the ledger is append-only history."""
    connection = op.get_bind()
    _make_kinds()
    _make_kept_tables()
    if connection.dialect.name == "postgresql":
        make_defaults(connection)
        first_ms = connection.execute(sa.text("SELECT min(started_ms) FROM calls")).scalar()
        make_ahead(connection, first_ms)
    _pack(connection)
    for name in ("calls", "attempts", "estimates"):
        op.drop_table(name)
    for name, ids in IDS.items():
        _keep_bytes(connection, name, ids)
    op.create_index("ix_calls_started_ms", "kept_calls", ["started_ms"])
    _sparse_index("ix_calls_origin_call_id", "kept_calls", "origin_call_id")
    _sparse_index("ix_attempts_upstream_object_id", "kept_attempts", "upstream_object_id")
    op.create_index("ix_shortcomings_call_id", "shortcomings", ["call_id"])
    for statement in create_views("sqlite" if connection.dialect.name == "sqlite" else "postgresql"):
        op.execute(statement)


def _sparse_index(name: str, table: str, column: str) -> None:
    filled = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column], sqlite_where=filled, postgresql_where=filled)


def _pack(connection: sa.Connection) -> None:
    packer = Packer()
    for rows in _batches(connection, "calls", CALLS, ("call_id",)):
        _write(connection, packer, "kept_calls", packer.calls(rows))
    for rows in _batches(connection, "attempts", ATTEMPTS, ("call_id", "attempt_id")):
        attempts, media = packer.attempts(rows)
        _write(connection, packer, "kept_attempts", attempts)
        _write(connection, packer, "attempt_media", media)
    for rows in _batches(connection, "estimates", ESTIMATES, ("attempt_id", "estimate_id")):
        _write(connection, packer, "kept_estimates", packer.estimates(rows))


def _write(connection: sa.Connection, packer: Packer, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    write_kinds(connection, packer)
    packer.settle()
    write_rows(connection, table, rows)


def _batches(connection: sa.Connection, table: str, columns: Sequence[str], key: Sequence[str]) -> Iterator[list[tuple[object, ...]]]:
    """Rows in the order of their key, their truth values as such."""
    at = [columns.index(name) for name in key]
    truths = [number for number, name in enumerate(columns) if name in TRUTHS]
    marks = ", ".join(f":after_{number}" for number in range(len(key)))
    whole = f"SELECT {', '.join(columns)} FROM {table}"
    rest = f" ORDER BY {', '.join(key)} LIMIT {BATCH}"
    values: dict[str, object] = {}
    statement = sa.text(whole + rest)
    while found := [_truthful(tuple(row), truths) for row in connection.execute(statement, values)]:
        yield found
        statement = sa.text(f"{whole} WHERE ({', '.join(key)}) > ({marks})" + rest)
        values = {f"after_{number}": found[-1][place] for number, place in enumerate(at)}


def _truthful(row: tuple[Any, ...], truths: Sequence[int]) -> tuple[object, ...]:
    made = list(row)
    for at in truths:
        made[at] = None if row[at] is None else bool(row[at])
    return tuple(made)


def _keep_bytes(connection: sa.Connection, name: str, ids: Sequence[str]) -> None:
    """The table with its ids as bytes."""
    columns, key = _columns_of(connection, name)
    made = f"packed_{name}"
    op.create_table(
        made,
        *(
            sa.Column(each, sa.LargeBinary() if each in ids else kind, nullable=is_null, primary_key=each in key)
            for each, kind, is_null in columns
        ),
    )
    names = [each for each, _, _ in columns]
    insert = sa.text(f"INSERT INTO {made} ({', '.join(names)}) VALUES ({', '.join(f':{each}' for each in names)})")
    for rows in _batches(connection, name, names, key):
        connection.execute(insert, [_with_bytes(dict(zip(names, row, strict=True)), ids) for row in rows])
    op.drop_table(name)
    op.rename_table(made, name)
    if connection.dialect.name == "postgresql":
        op.execute(f"ALTER INDEX packed_{name}_pkey RENAME TO {name}_pkey")


def _with_bytes(row: dict[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    return row | {name: None if row[name] is None else id_bytes(row[name]) for name in ids}


def _columns_of(connection: sa.Connection, name: str) -> tuple[list[tuple[str, Any, bool]], list[str]]:
    seen = sa.inspect(connection)
    key = seen.get_pk_constraint(name)["constrained_columns"]
    return [(each["name"], each["type"], bool(each["nullable"])) for each in seen.get_columns(name)], list(key)


def _make_kinds() -> None:
    _kinds(
        "call_kinds",
        [("operation", sa.Text), ("path", sa.Text), ("alias", sa.Text), ("caller_id", sa.Text), ("user_hash_key_id", sa.Text),
         ("status", sa.Integer), ("outcome", sa.Text), ("stream", sa.Boolean), ("stream_complete", sa.Boolean), ("policy", sa.Text),
         ("altered", sa.Text), ("retry_count", sa.Integer)],
    )  # fmt: skip
    op.create_table(
        "tag_sets",
        sa.Column("tag_set", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sqlite_with_rowid=False,
    )
    _kinds(
        "attempt_kinds",
        [("ordinal", sa.Integer), ("provider", sa.Text), ("model", sa.Text), ("served_model", sa.Text), ("region", sa.Text),
         ("zone", sa.Text), ("place_assumed", sa.Boolean), ("simulated", sa.Boolean), ("status", sa.Integer), ("outcome", sa.Text),
         ("unweighed_reason", sa.Text), ("usage_source", sa.Text), ("partial", sa.Boolean)],
    )  # fmt: skip
    _kinds(
        "estimate_kinds",
        [("role", sa.Text), ("method", sa.Text), ("method_version", sa.Text), ("factor_set", sa.Text), ("profile", sa.Text),
         ("quality", sa.Text), ("quality_parts", sa.Text), ("gco2e_per_kwh", sa.Double), ("intensity_source", sa.Text),
         ("intensity_year", sa.Integer), ("zone", sa.Text), ("warnings", sa.Text)],
    )  # fmt: skip


def _make_kept_tables() -> None:
    _by_call_id(
        "kept_calls",
        sa.Column("started_ms", sa.BigInteger()),
        sa.Column("kind_id", sa.BigInteger()),
        sa.Column("tag_set", sa.BigInteger()),
        sa.Column("latency_us", sa.BigInteger()),
        sa.Column("time_to_first_token_us", sa.BigInteger()),
        sa.Column("overhead_us", sa.BigInteger()),
        *_key(1),
        sa.Column("asset_tag", sa.Text()),
        sa.Column("user_hash", sa.Text()),
        sa.Column("idempotency_key_hash", sa.Text()),
        sa.Column("origin_call_id", sa.LargeBinary()),
    )
    _by_call_id(
        "kept_attempts",
        sa.Column("kind_id", sa.BigInteger()),
        sa.Column("request_bytes", sa.BigInteger()),
        sa.Column("response_bytes", sa.BigInteger()),
        sa.Column("latency_us", sa.BigInteger()),
        *(sa.Column(name, sa.BigInteger()) for name in (*COUNTS, "image_output_tokens")),
        *_key(2),
        sa.Column("upstream_request_id", sa.LargeBinary()),
        sa.Column("upstream_object_id", sa.Text()),
    )
    _by_call_id(
        "attempt_media",
        *_key(2),
        *(sa.Column(f"media_{name}", kind()) for name, kind in MEDIA),
        *(sa.Column(f"metered_{name}", kind()) for name, kind in METERED),
        sa.Column("usage_calls", sa.BigInteger()),
    )
    _by_call_id(
        "kept_estimates",
        sa.Column("created_ms", sa.BigInteger()),
        sa.Column("kind_id", sa.BigInteger()),
        *(sa.Column(name, sa.Integer()) for line, is_scoped in LINES for name in _figures(line, is_scoped)),
        *_key(3),
    )


def _figures(line: str, is_scoped: bool) -> tuple[str, ...]:
    return (f"{line}_ln", *(f"{line}_sd_{scope}" for scope in SCOPES)) if is_scoped else (f"{line}_ln", f"{line}_sd")


def _kinds(name: str, says: Sequence[tuple[str, Callable[[], Any]]]) -> None:
    nullable = {"user_hash_key_id", "region", "unweighed_reason", "usage_source", "partial"}
    op.create_table(
        name,
        sa.Column("kind_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(sa.Column(column, kind(), nullable=column in nullable) for column, kind in says),
        sqlite_with_rowid=False,
    )


def _key(ids: int) -> "list[sa.Column[Any]]":
    return [sa.Column(column, sa.LargeBinary(), primary_key=True) for column in ("call_id", "attempt_id", "estimate_id")[:ids]]


def _by_call_id(name: str, *columns: "sa.Column[Any]") -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False, postgresql_partition_by="RANGE (call_id)")
