"""A ledger whose attempts are weighed anew into named sets. It must never write but to a set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.set_store import Opinion, SetTerms, add_to_set, claim_set, known_sets
from proxy.ledger.weighed_past import BATCH_CALLS, Period, WeighedPast, count_calls, in_batches


class SetLedger:
    """A ledger by its URL. Raises StartError when there is none of this version, or it cannot be read or written."""

    def __init__(self, url: str) -> None:
        check_schema(url)
        self._engine = open_engine(url)

    def count(self, period: Period) -> int:
        """How many calls began in the period."""
        with self._telling():
            return count_calls(self._engine, period)

    def batches(self, period: Period, *, estimate_set: str, batch_calls: int = BATCH_CALLS) -> Iterator[tuple[int, list[WeighedPast]]]:
        """So many calls and their attempts, oldest first, batch by batch."""
        with self._telling():
            yield from in_batches(self._engine, period, estimate_set=estimate_set, batch_calls=batch_calls)

    def claim(self, name: str, terms: SetTerms) -> SetTerms:
        """The terms of the set: these if it is new, else those that it was begun with."""
        with self._telling():
            return claim_set(self._engine, name, terms)

    def sets(self) -> dict[str, SetTerms]:
        """Every set by its name."""
        with self._telling(), self._engine.begin() as connection:
            return known_sets(connection)

    def add(self, name: str, opinions: Sequence[Opinion], created_ms: int) -> None:
        """Adds the opinions to the set; those already there are left alone."""
        with self._telling():
            add_to_set(self._engine, name, opinions, created_ms)

    def close(self) -> None:
        """Gives back the connections."""
        self._engine.dispose()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Trouble of the database as a StartError."""
        try:
            yield
        except SQLAlchemyError as error:
            raise StartError(
                f"the ledger at {self._engine.url!r} cannot be used: {plainly(error)}; `grammage db check` says more"
            ) from error
