"""The ledger's schema for SQLAlchemy, for SQLite and PostgreSQL alike. It must never hold a prompt, an answer or an address."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    literal,
    text,
)
from sqlalchemy.types import TypeEngine

from proxy.call import UNKNOWN_ORIGIN
from proxy.ledger.columns import DEFAULTS, KEYS, KINDS, NULLABLE, SPARSE, TABLES, UNIQUE_INDICES, Kind
from proxy.ledger.ids import id_bytes, id_text
from proxy.ledger.kept_columns import BY_CALL_ID, IN_KEY_ORDER, KEPT_INDICES, KEPT_KEYS, KEPT_KINDS, KEPT_TABLES, may_be_null

METADATA = MetaData()
"""The ledger as it is read: `calls`, `attempts` and `estimates` are views."""

KEPT = MetaData()
"""The tables as they are."""


class Id(TypeDecorator[str]):
    """An id: text here, bytes in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else id_bytes(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """From the database."""
        return None if value is None else id_text(bytes(value))


NO_KNOWN_CALL = literal(UNKNOWN_ORIGIN, Id())
"""What a booking names as its origin where nobody knows it."""

_TYPES: dict[Kind, TypeEngine[Any]] = {
    "text": Text(),
    "integer": Integer(),
    "bigint": BigInteger(),
    "double": Double(),
    "boolean": Boolean(),
    "json": JSON(),
    "id": Id(),
}
_KEPT_TYPES = _TYPES | {"id": LargeBinary()}


def _table(name: str) -> Table:
    """A table with its key in an index of its own: rows of most are wide, and SQLite writes wide rows 40 % cheaper by row number."""
    columns = [
        Column(
            column,
            _TYPES[KINDS.get(column, "text")],
            primary_key=column in KEYS[name],
            nullable=column in NULLABLE,
            server_default=DEFAULTS.get(column),
        )
        for column in TABLES[name]
    ]
    return Table(name, METADATA, *columns)


def _kept_table(name: str) -> Table:
    """The tables in the order of ids have no other key, and PostgreSQL parts them by time."""
    columns = [
        Column(
            column,
            _KEPT_TYPES[KEPT_KINDS.get(column) or KINDS.get(column, "text")],
            primary_key=column in KEPT_KEYS[name],
            autoincrement=False,
            nullable=may_be_null(name, column),
        )
        for column in KEPT_TABLES[name]
    ]
    options: dict[str, Any] = {"sqlite_with_rowid": False} if name in IN_KEY_ORDER else {}
    if name in BY_CALL_ID:
        options["postgresql_partition_by"] = "RANGE (call_id)"
    return Table(name, KEPT, *columns, **options)


calls = _table("calls")
attempts = _table("attempts")
estimates = _table("estimates")
retags = _table("retags")
ledger_meta = _table("ledger_meta")
issued_keys = _table("keys")
decisions = _table("decisions")
hourly_intensities = _table("hourly_intensities")
instead = _table("instead")
shortcomings = _table("shortcomings")
asset_verdicts = _table("asset_verdicts")
weighing_facts = _table("weighing_facts")
touched_hours = _table("touched_hours")
rollups_hour = _table("rollups_hour")
rollups_day = _table("rollups_day")
imports = _table("imports")
import_batches = _table("import_batches")
import_spends = _table("import_spends")
reconciliations = _table("reconciliations")

for _name in KEPT_TABLES:
    _kept_table(_name)

kept_calls = KEPT.tables["kept_calls"]
kept_attempts = KEPT.tables["kept_attempts"]
kept_estimates = KEPT.tables["kept_estimates"]
attempt_media = KEPT.tables["attempt_media"]
call_kinds = KEPT.tables["call_kinds"]
tag_sets = KEPT.tables["tag_sets"]
attempt_kinds = KEPT.tables["attempt_kinds"]
estimate_kinds = KEPT.tables["estimate_kinds"]

for _index, (_of, _column) in KEPT_INDICES.items():
    _at = KEPT.tables[_of].c[_column]
    _filled: dict[str, Any] = {f"{dialect}_where": _at.is_not(None) for dialect in ("sqlite", "postgresql")} if _column in SPARSE else {}
    Index(_index, _at, **_filled)

for _index, (_of, _column, _rows) in UNIQUE_INDICES.items():
    _some: dict[str, Any] = {f"{dialect}_where": text(_rows) for dialect in ("sqlite", "postgresql")} if _rows else {}
    Index(_index, KEPT.tables[_of].c[_column], unique=True, **_some)
