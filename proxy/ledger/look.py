"""Looks at a ledger's database server: is it there, which version, which schema, what time has it. It must never write to it."""

from contextlib import closing
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.reading import open_engine
from proxy.ledger.server import plainly
from proxy.ledger.store import Store

_ASKED = text(
    "SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms"
)


class ServerLook(NamedTuple):
    """version: as the server words it; number: to compare, such as 160003. revision: of the schema, None where there is none."""

    version: str
    number: int
    revision: str | None
    now_ms: int


def look_at_server(url: str) -> ServerLook:
    """What the server behind `url` says. Raises LedgerUnavailable when it does not answer, StartError for a URL that is none."""
    with closing(Store(url)) as store:
        revision = store.revision()
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            row = connection.execute(_ASKED).one()
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error
    finally:
        engine.dispose()
    return ServerLook(version=str(row.version), number=int(row.number), revision=revision, now_ms=int(row.now_ms))
