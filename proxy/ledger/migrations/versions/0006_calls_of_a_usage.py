"""Attempts keep how many calls their counts are the sum of: a batch's. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No row is rewritten: the column is null in older rows and in those of one call."""
    op.add_column("attempts", sa.Column("usage_calls", sa.BigInteger()))
