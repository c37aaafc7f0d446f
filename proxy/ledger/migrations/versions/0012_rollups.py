"""Sums by hour and day, and the hours that are not in them yet. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TEXTS = (
    "estimate_set",
    *("operation", "policy", "tag_brand", "tag_campaign", "tag_tool", "tag_stage", "tag_market", "instead"),
    *("provider", "model", "zone"),
)
OPINION = ("reason", "grid_zone", "method", "method_version", "quality", "factor_set", "profile")
COUNTS = (
    *("calls", "calls_by_model", "calls_by_provider", "calls_by_zone", "attempts", "metered_attempts", "counted_usage", "estimated_usage"),
    *("input_tokens", "cached_input_tokens", "image_input_tokens", "audio_input_tokens", "output_tokens", "reasoning_output_tokens"),
    *("audio_output_tokens", "input_images", "image_output_tokens"),
)
LINES = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
MOMENTS = ("", "_method", "_provider", "_model", "_zone", "_call")


def upgrade() -> None:
    """Every hour that has calls is still to be summed; no row of theirs is touched."""
    op.create_table(
        "touched_hours",
        sa.Column("hour", sa.BigInteger(), primary_key=True),
        sa.Column("touch_id", sa.Text(), primary_key=True),
    )
    _rollups("rollups_hour")
    _rollups("rollups_day")
    op.execute("INSERT INTO touched_hours (hour, touch_id) SELECT DISTINCT started_ms / 3600000, 'upgrade' FROM calls")


def _rollups(table: str) -> None:
    op.create_table(
        table,
        sa.Column("bucket_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in OPINION),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS[:8]),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in COUNTS[8:]),
        *(sa.Column(f"{line}{moment}", sa.Double()) for line in LINES for moment in MOMENTS),
    )
    op.create_index(f"ix_{table}_bucket_ms", table, ["bucket_ms"])
