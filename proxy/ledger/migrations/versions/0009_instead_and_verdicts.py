"""Answers that no provider made, answers that fell short, verdicts on assets. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables; no row of another is touched."""
    op.create_table(
        "instead",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text()),
        sa.Column("source_call_id", sa.Text()),
    )
    op.create_table(
        "shortcomings",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("shortcoming", sa.Text(), nullable=False),
    )
    op.create_index("ix_shortcomings_call_id", "shortcomings", ["call_id"])
    op.create_table(
        "asset_verdicts",
        sa.Column("verdict_id", sa.Text(), primary_key=True),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text()),
        sa.Column("campaign", sa.Text()),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("minutes_saved", sa.Double()),
    )
    op.create_index("ix_asset_verdicts_asset", "asset_verdicts", ["asset"])
