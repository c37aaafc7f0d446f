"""By which place an attempt was weighed where its region does not tell, and the processor time of what the proxy made itself.

A released revision must never change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No row is rewritten: the columns are null in older rows, and where there is nothing to tell."""
    op.add_column("weighing_facts", sa.Column("place", sa.Text()))
    op.add_column("weighing_facts", sa.Column("cpu_s", sa.Double()))
