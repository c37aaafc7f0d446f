"""Estimates say whether they count or ran beside the one that does. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No row is rewritten: both databases keep such a default with the table."""
    op.add_column("estimates", sa.Column("role", sa.Text(), nullable=False, server_default="chosen"))
