"""The ledger on a database server, by SQLAlchemy. It must never migrate by itself: replicas would race."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError, StatementError

from proxy.call import CallRecord
from proxy.errors import StartError
from proxy.ledger.base import Conflict, Durability, Fetched, LedgerUnavailable, UnwritableRecord, Values
from proxy.ledger.columns import REVISIONS
from proxy.ledger.ids import id_text
from proxy.ledger.kept_columns import KEPT_WRITES, KINDS_OF, SWEEP_LOCK, SWEPT
from proxy.ledger.pack import Kept, Packer
from proxy.ledger.tables import KEPT, METADATA, ledger_meta

LOCK_WAIT_MS: Final = 1_000
"""How long a batch waits for somebody's lock before it goes to the spool."""
BATCH_MS: Final = 10_000
"""How long the server may work on a statement of a batch."""
CHANGE_WAIT_MS: Final = 10_000
"""How long a change of keys waits for somebody's lock."""
CONNECT_S: Final = 2
SILENCE_MS: Final = 5_000
"""How long what was sent may stay unacknowledged: a server that is cut off is given up, and calls go to the spool."""

_PATIENCE: Final = text("SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true)")
_LIBPQ: Final = frozenset({"psycopg", "psycopg2"})
_CONNECTION: Final[Mapping[str, int]] = {
    "connect_timeout": CONNECT_S,
    "tcp_user_timeout": SILENCE_MS,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 5,
}
"""What a URL may say otherwise, for drivers that stand on libpq."""
_UNSTORABLE: Final = "\x00"
"""What PostgreSQL keeps in no text. A call is not lost for it: the mark of an unknown character stands there instead."""
_STAND_IN: Final = "\ufffd"
_INSERTS = tuple((insert(KEPT.tables[table]).on_conflict_do_nothing(), columns) for table, columns in KEPT_WRITES)
_KINDS = {table: (insert(KEPT.tables[table]).on_conflict_do_nothing(), columns) for table, columns in KINDS_OF.items()}
_SHARE: Final = text(f"SELECT pg_advisory_xact_lock_shared({SWEEP_LOCK})")
_SWEPT: Final = text(f"SELECT value FROM ledger_meta WHERE key = '{SWEPT}'")


def missing_driver(error: ModuleNotFoundError) -> str:
    """What to do about a database driver that is not installed."""
    return (
        f"ledger.url needs the driver {error.name}: pip install 'psycopg[binary]' beside grammage, "
        "or name an installed one, such as postgresql+psycopg2://"
    )


def open_server(url: str, **options: object) -> Engine:
    """An engine that gives a silent server up, unless the URL has times of its own; its errors show no value."""
    named = make_url(url)
    driver = named.get_dialect().driver
    arguments = {name: value for name, value in _CONNECTION.items() if name not in named.query} if driver in _LIBPQ else {}
    return create_engine(named, connect_args=arguments, hide_parameters=True, **options)


class ServerDoor:
    """PostgreSQL by URL. Raises StartError when the URL or its driver is unknown."""

    def __init__(self, url: str) -> None:
        try:
            self._engine: Engine = open_server(url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            if url.startswith("postgresql"):
                raise StartError(missing_driver(error)) from error
            raise StartError(f"ledger.url: {url.partition(':')[0]} is not supported; use sqlite or postgresql") from error
        except ArgumentError as error:
            raise StartError(f"ledger.url cannot be used: {error}; write sqlite:///grammage.db or postgresql://user@host/name") from error
        if self._engine.dialect.name != "postgresql":
            raise StartError(f"ledger.url: {self._engine.dialect.name} is not supported; use sqlite or postgresql")
        self._packer = Packer()
        self._swept: object = None

    def upgrade(self) -> None:
        """Only checks: StartError unless the schema is this version's."""
        revision = self.revision()
        if revision == REVISIONS[-1]:
            return
        _refuse_newer(revision)
        raise StartError(f"the ledger's schema is {revision or 'missing'}, this version needs {REVISIONS[-1]}; run: grammage db upgrade")

    def migrate(self) -> None:
        """Bring the schema to this version, for `grammage db upgrade`."""
        _refuse_newer(self.revision())
        from proxy.ledger.schema import migrate  # slow (alembic), needed on request only

        try:
            migrate(self._engine.url.render_as_string(hide_password=False))
        except LedgerUnavailable as error:
            raise StartError(f"cannot migrate the ledger at {self._engine.url!r}: {error}") from error

    def revision(self) -> str | None:
        """The schema's revision, None when there is none. Raises StartError when the server cannot be reached."""
        try:
            if not inspect(self._engine).has_table("alembic_version"):
                return None
            with self._engine.connect() as connection:
                found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        except SQLAlchemyError as error:
            raise StartError(f"cannot reach the ledger at {self._engine.url!r}: {plainly(error)}") from error
        return None if found is None else str(found)

    def open_writer(self, durability: Durability) -> None:
        """Nothing to open: the pool does. PostgreSQL's own default is as durable as `fsync`."""

    def write(self, records: Sequence[CallRecord]) -> None:
        """All rows of the records in one transaction, by the driver's executemany."""
        try:
            packed = self._packer.pack(records)
            with self._engine.begin() as connection:
                connection.execute(_PATIENCE, {"lock": str(LOCK_WAIT_MS), "statement": str(BATCH_MS)})
                if self._have_kinds_gone(connection):
                    packed = self._packer.pack(records)
                put_kinds(connection, self._packer)
                for (statement, columns), found in zip(_INSERTS, packed, strict=True):
                    if found:
                        connection.execute(statement, [_values(columns, row) for row in found])
            self._packer.settle()
        except (DataError, IntegrityError) as error:
            raise UnwritableRecord(plainly(error)) from error
        except (TypeError, AttributeError, ValueError, OverflowError) as error:
            raise UnwritableRecord(f"{type(error).__name__}: {error}") from error
        except SQLAlchemyError as error:
            bad_value = isinstance(error, StatementError) and error.orig is not None and isinstance(error.orig, (TypeError, ValueError))
            raise (UnwritableRecord if bad_value else LedgerUnavailable)(plainly(error)) from error

    def _have_kinds_gone(self, connection: Connection) -> bool:
        """Whether kinds were taken out since the last batch; none is while this transaction lasts."""
        connection.execute(_SHARE)
        swept = connection.execute(_SWEPT).scalar()
        if swept == self._swept:
            return False
        self._swept = swept
        self._packer.forget()
        return True

    def remember(self, key: str, value: str) -> str:
        """The value kept under the key, now or before."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(ledger_meta).values(key=key, value=value).on_conflict_do_nothing())
                return str(connection.execute(select(ledger_meta.c.value).where(ledger_meta.c.key == key)).scalar_one())
        except SQLAlchemyError as error:
            raise LedgerUnavailable(plainly(error)) from error

    def fetch(self, table: str, column: str, values: Sequence[str]) -> list[Fetched]:
        """Rows of a table of ours."""
        source = METADATA.tables[table]
        storable = [value for value in values if _UNSTORABLE not in value]
        try:
            with self._engine.connect() as connection:
                found = connection.execute(select(source).where(source.c[column].in_(storable))).mappings().all()
        except SQLAlchemyError as error:
            raise LedgerUnavailable(plainly(error)) from error
        return [dict(row) for row in found]

    def select(self, statement: str, values: Values) -> list[Fetched]:
        """The rows of a SELECT of ours."""
        try:
            with self._engine.connect() as connection:
                return [_read(dict(row)) for row in connection.execute(text(statement), dict(values)).mappings()]
        except SQLAlchemyError as error:
            raise LedgerUnavailable(plainly(error)) from error

    def change(self, statements: Sequence[tuple[str, Values]]) -> None:
        """All statements in one transaction."""
        try:
            with self._engine.begin() as connection:
                connection.execute(_PATIENCE, {"lock": str(CHANGE_WAIT_MS), "statement": str(CHANGE_WAIT_MS)})
                for statement, values in statements:
                    if connection.execute(text(statement), dict(values)).rowcount == 0:
                        raise Conflict("a row is not as it was")
        except IntegrityError as error:
            raise Conflict(plainly(error)) from error
        except SQLAlchemyError as error:
            raise LedgerUnavailable(plainly(error)) from error

    def close(self) -> None:
        """Give back the pool."""
        self._engine.dispose()


def plainly(error: SQLAlchemyError) -> str:
    """What the server or its driver said in one line, without the statement and any value."""
    said = getattr(error, "orig", None) or type(error).__name__
    primary = getattr(getattr(said, "diag", None), "message_primary", None)
    return " ".join(str(primary or said).split())


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise StartError(
            f"the ledger was written by a newer version (schema {revision}, this one knows {REVISIONS[-1]}); install that version"
        )


def put_kinds(connection: Connection, packer: Packer) -> None:
    """What the packed rows say alike, before they are written; in one order, lest two proxies wait for each other."""
    for table, kinds in packer.fresh.items():
        if kinds:
            statement, columns = _KINDS[table]
            connection.execute(statement, [_values(columns, row) for row in sorted(kinds.values(), key=_kind_number)])


def put_rows(connection: Connection, table: str, rows: Sequence[Kept]) -> None:
    """Rows of a table of pack.py; those whose key is there already are left alone."""
    statement, columns = next(each for each, (name, _) in zip(_INSERTS, KEPT_WRITES, strict=True) if name == table)
    if rows:
        connection.execute(statement, [_values(columns, row) for row in rows])


def _kind_number(row: Kept) -> int:
    return row[0]  # type: ignore[return-value]  # the number stands first


def _read(row: Mapping[str, object]) -> Fetched:
    """A row with its ids as texts: nothing else is bytes."""
    return {name: id_text(bytes(value)) if isinstance(value, (bytes, memoryview)) else value for name, value in row.items()}


def _values(columns: Sequence[str], row: Sequence[object]) -> Fetched:
    named = {name: _storable(value) for name, value in zip(columns, row, strict=True)}
    tags = named.get("tags")
    if isinstance(tags, str):
        named["tags"] = {_storable(name): _storable(value) for name, value in msgspec.json.decode(tags).items()}
    return named


def _storable(value: object) -> object:
    return value.replace(_UNSTORABLE, _STAND_IN) if isinstance(value, str) and _UNSTORABLE in value else value
