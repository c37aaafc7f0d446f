"""What policies said of calls, beside them. A released revision must never change."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SCOPES = ("method", "provider", "model", "zone", "call")


def _side(side: str, *, required: bool) -> list[sa.Column[Any]]:
    who: list[sa.Column[Any]] = [
        sa.Column(f"{side}_provider", sa.Text(), nullable=not required),
        sa.Column(f"{side}_model", sa.Text(), nullable=not required),
        sa.Column(f"{side}_region", sa.Text()),
        sa.Column(f"{side}_zone", sa.Text(), nullable=not required),
    ]
    figures = (f"{side}_gco2e", f"{side}_gco2e_p50", *(f"{side}_gco2e_var_{scope}" for scope in _SCOPES))
    return [*who, *(sa.Column(name, sa.Double()) for name in figures)]


def upgrade() -> None:
    """A new table; no row of another is touched."""
    op.create_table(
        "decisions",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shared", sa.Text(), nullable=False),
        *_side("baseline", required=True),
        *_side("choice", required=False),
    )
