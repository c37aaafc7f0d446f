"""The first schema: calls, attempts, estimates, retags, ledger_meta. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

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


def upgrade() -> None:
    """Forward only: the ledger is append-only history."""
    _calls()
    _attempts()
    _estimates()
    op.create_table(
        "retags",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("created_ms", sa.BigInteger(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    op.create_table(
        "ledger_meta",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    op.create_index("ix_calls_started_ms", "calls", ["started_ms"])


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("user_hash", sa.Text()),
        sa.Column("user_hash_key_id", sa.Text()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("stream_complete", sa.Boolean(), nullable=False),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("time_to_first_token_s", sa.Double()),
        sa.Column("overhead_s", sa.Double(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("altered", sa.Text(), nullable=False),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("idempotency_key_hash", sa.Text()),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("served_model", sa.Text(), nullable=False),
        sa.Column("region", sa.Text()),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("place_assumed", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("upstream_request_id", sa.Text()),
        sa.Column("unweighed_reason", sa.Text()),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("response_bytes", sa.BigInteger(), nullable=False),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("cached_input_tokens", sa.BigInteger()),
        sa.Column("image_input_tokens", sa.BigInteger()),
        sa.Column("audio_input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("reasoning_output_tokens", sa.BigInteger()),
        sa.Column("audio_output_tokens", sa.BigInteger()),
        sa.Column("input_images", sa.BigInteger()),
        sa.Column("usage_source", sa.Text()),
        sa.Column("partial", sa.Boolean()),
    )


def _estimates() -> None:
    op.create_table(
        "estimates",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("estimate_id", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("method_version", sa.Text(), nullable=False),
        sa.Column("factor_set", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("quality_parts", sa.Text(), nullable=False),
        sa.Column("gco2e_per_kwh", sa.Double(), nullable=False),
        sa.Column("intensity_source", sa.Text(), nullable=False),
        sa.Column("intensity_year", sa.Integer(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        *_line_columns(),
    )


def _line_columns() -> list[sa.Column[float]]:
    columns: list[sa.Column[float]] = []
    for line, scoped in LINES:
        names = [line, f"{line}_p50", *(f"{line}_var_{scope}" for scope in SCOPES if scoped)]
        columns += [sa.Column(name, sa.Double()) for name in names]
    return columns
