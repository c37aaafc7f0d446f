"""What was imported, and what was compared with a provider's own count. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables; no row of another is touched."""
    op.create_table(
        "imports",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.Column("calls_counted", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "import_batches",
        sa.Column("batch_id", sa.Text(), primary_key=True),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("calls_added", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
    )
    op.create_table(
        "import_spends",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("seats", sa.Double()),
        sa.Column("months", sa.Double()),
    )
    op.create_table(
        "reconciliations",
        sa.Column("reconciliation_id", sa.Text(), primary_key=True),
        sa.Column("provider", sa.Text(), primary_key=True),
        sa.Column("model", sa.Text(), primary_key=True),
        sa.Column("month", sa.Text(), primary_key=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("provider_tokens", sa.BigInteger()),
        sa.Column("seen_tokens", sa.BigInteger()),
        sa.Column("provider_amount", sa.Double()),
        sa.Column("seen_amount", sa.Double()),
        sa.Column("currency", sa.Text(), nullable=False),
    )
