"""What a live source told of the grid in the hour of an attempt, beside its estimates. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table; no row of another is touched."""
    op.create_table(
        "hourly_intensities",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("gco2e_per_kwh", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("age_s", sa.Double(), nullable=False),
    )
