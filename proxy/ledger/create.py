"""A fresh SQLite ledger of this version, in milliseconds. It must never touch a file that has tables: that is for the migrations."""

import sqlite3
from typing import Final

from proxy.ledger.columns import KINDS, REVISIONS, SPARSE, UNIQUE_INDICES, Kind
from proxy.ledger.kept_columns import IN_KEY_ORDER, KEPT_INDICES, KEPT_KEYS, KEPT_KINDS, KEPT_TABLES, may_be_null
from proxy.ledger.views import create_views

_TYPES: Final[dict[Kind, str]] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "json": "JSON",
    "id": "BLOB",
}
_VERSION_TABLE: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def create_if_empty(connection: sqlite3.Connection) -> bool:
    """True when the file had no table and now has this version's; in one transaction, so that of two processes one creates."""
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # says nothing to a file that has tables
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
            return False
        for statement in statements():
            connection.execute(statement)
        connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISIONS[-1],))
        connection.execute("COMMIT")
        return True
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def statements() -> list[str]:
    """What the migrations amount to; a test compares the two."""
    tables = [_create_table(name) for name in KEPT_TABLES]
    indices = [f"CREATE INDEX {name} ON {table} ({column}){_only_filled(column)}" for name, (table, column) in KEPT_INDICES.items()]
    unique = [
        f"CREATE UNIQUE INDEX {name} ON {table} ({column}){f' WHERE {rows}' if rows else ''}"
        for name, (table, column, rows) in UNIQUE_INDICES.items()
    ]
    return [_VERSION_TABLE, *tables, *indices, *unique, *create_views("sqlite")]


def _create_table(name: str) -> str:
    columns = [
        f"{column} {_TYPES[KEPT_KINDS.get(column) or KINDS.get(column, 'text')]}{_not_null(name, column)}" for column in KEPT_TABLES[name]
    ]
    key = [f"PRIMARY KEY ({', '.join(KEPT_KEYS[name])})"] if KEPT_KEYS[name] else []
    return f"CREATE TABLE {name} ({', '.join([*columns, *key])}){' WITHOUT ROWID' if name in IN_KEY_ORDER else ''}"


def _only_filled(column: str) -> str:
    return f" WHERE {column} IS NOT NULL" if column in SPARSE else ""


def _not_null(table: str, column: str) -> str:
    return "" if may_be_null(table, column) else " NOT NULL"
