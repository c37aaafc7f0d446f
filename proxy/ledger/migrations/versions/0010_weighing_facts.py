"""What attempts were weighed by, where that is not the usual. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table; no row of another is touched."""
    op.create_table(
        "weighing_facts",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("catalogue_model", sa.Text()),
        sa.Column("hardware", sa.Text()),
        sa.Column("operating_prior", sa.Text()),
        sa.Column("possible_output_tokens", sa.BigInteger()),
        sa.Column("weighed_as", sa.Text()),
        sa.Column("batched", sa.Boolean(), nullable=False),
    )
