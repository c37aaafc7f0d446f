"""Reads the sums of a ledger, by the shortest way that tells all. It must never tell less than the calls do."""

from sqlalchemy import literal
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.prune import refuse_pruned
from proxy.ledger.queries import Selection, Sums, facts_of, instead_of, key_of, opinion_of, opinion_rows, unweighed_of
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.rolled import read_rolled
from proxy.ledger.server import plainly


def read_sums(url: str, selection: Selection, *, exact: bool = False) -> Sums:
    """The sums of a ledger, from rollups where these hold what is asked; exact: from the calls alone, which tells the same, slower.

    Raises StartError when there is no ledger at the URL, or it cannot be read.
    """
    check_schema(url)
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            rolled = None if exact else read_rolled(connection, selection)
            if rolled is not None:
                return rolled
            refuse_pruned(connection, selection.since_ms)
            (whole,) = facts_of(connection, selection, literal("all"))
            key = key_of(selection)
            return Sums(
                whole=whole,
                groups=facts_of(connection, selection, key),
                opinions=[opinion_of(row) for row in opinion_rows(connection, selection, key)],
                unweighed=unweighed_of(connection, selection, key),
                instead=instead_of(connection, selection),
            )
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()
