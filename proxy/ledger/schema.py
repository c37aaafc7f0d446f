"""Migrations, run by Alembic. It must never be imported by a proxy whose ledger is up to date: it is slow."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, pool, text
from sqlalchemy.exc import DBAPIError

from proxy.ledger.base import LedgerUnavailable

_TURN = 0x6772616D  # any number, the same in every version
MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Bring the database to the newest revision in one transaction. Raises LedgerUnavailable when it cannot."""
    engine = create_engine(url, poolclass=pool.NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _take_the_file)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise LedgerUnavailable(str(error.orig)) from error
    finally:
        engine.dispose()


def alembic_config() -> Config:
    """Alembic's settings, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _leave_transactions_to_us(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3.Connection: by default it commits before each CREATE


def _take_the_file(connection: Connection) -> None:
    """Two proxies that start at once migrate one after the other; the second finds nothing left to do."""
    connection.exec_driver_sql("PRAGMA busy_timeout=30000")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
