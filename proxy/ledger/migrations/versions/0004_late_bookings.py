"""Attempts keep the id of what the provider keeps; calls booked late name the call that began. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No row is rewritten: both columns are null in older rows, and the indices hold filled rows only."""
    _add("attempts", "upstream_object_id")
    _add("calls", "origin_call_id")


def _add(table: str, column: str) -> None:
    op.add_column(table, sa.Column(column, sa.Text()))
    filled = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=filled, postgresql_where=filled)
