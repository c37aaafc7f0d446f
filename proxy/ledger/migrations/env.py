"""How Alembic reaches the ledger: on the connection it is handed. It must never open one or configure logging."""

from alembic import context

from proxy.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
