"""Keys that the proxy issues: their hashes, terms and ends. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table; no row of another is touched."""
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger()),
        sa.Column("revoked_ms", sa.BigInteger()),
        sa.Column("replaced_by", sa.Text()),
    )
    unended = sa.text("revoked_ms IS NULL")
    op.create_index("ux_keys_hash", "keys", ["hash"], unique=True)
    op.create_index("ux_keys_live_name", "keys", ["name"], unique=True, sqlite_where=unended, postgresql_where=unended)
