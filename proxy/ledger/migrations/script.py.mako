"""${message}. A released revision must never change."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: the ledger is append-only history."""
    ${upgrades if upgrades else "pass"}
