"""What a ledger holds of a period in which a file is imported, and the marks of what was imported. It must never touch a call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, literal_column, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.columns import CALLS_COUNTED
from proxy.ledger.kept_columns import VIEWS
from proxy.ledger.packed_store import add_beside, add_rows
from proxy.ledger.prune import pruned_before_ms
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import attempts, calls, import_batches, import_spends, imports, reconciliations
from proxy.ledger.touch import touch_calls

IDS_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 5000
AMOUNTS: Final = {
    "calls": func.coalesce(attempts.c[CALLS_COUNTED], 1),
    "input_tokens": attempts.c.input_tokens,
    "cached_input_tokens": attempts.c.cached_input_tokens,
    "output_tokens": attempts.c.output_tokens,
    "audio_input_tokens": attempts.c.audio_input_tokens,
    "audio_output_tokens": attempts.c.audio_output_tokens,
    "images": attempts.c.media_images,
    "audio_input_seconds": attempts.c.media_audio_input_seconds,
    "characters": attempts.c.media_characters,
}
"""What a usage comes to, by the name that importers have for it."""

COUNTS: Final = ("input_tokens", "output_tokens", "images", "audio_input_seconds", "characters")
"""What one call is known by where no id is shared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCall:
    """One attempt of the ledger that was metered. ids: all by which its provider or its sender may know it. counts: as in COUNTS."""

    started_ms: int
    provider: str
    served_model: str
    counts: tuple[int, ...]
    ids: tuple[str, ...]
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSum:
    """What the ledger holds of a model at a provider since start_ms, for one grain of time.

    is_imported: it came from a file. is_sum: of calls that cannot be told apart.
    """

    start_ms: int
    provider: str
    model: str
    served_model: str
    is_imported: bool
    is_sum: bool
    amounts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSpend:
    """Money that was imported for a tool in a month (its first instant)."""

    started_ms: int
    provider: str
    model: str
    source_kind: str


class ImportLedger:
    """A ledger by its URL. Raises StartError when there is none of this version, or it cannot be read or written."""

    def __init__(self, url: str) -> None:
        check_schema(url)
        self._engine = open_engine(url)

    def pruned_before_ms(self) -> int:
        """Until when calls may be missing, in ms since 1970; 0: none is."""
        with self._telling(), self._engine.begin() as connection:
            return pruned_before_ms(connection)

    def known(self, call_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are calls of the ledger."""
        found: set[str] = set()
        with self._telling(), self._engine.begin() as connection:
            for at in range(0, len(call_ids), IDS_AT_ONCE):
                part = call_ids[at : at + IDS_AT_ONCE]
                found.update(str(row[0]) for row in connection.execute(select(calls.c.call_id).where(calls.c.call_id.in_(part))))
        return found

    def seen_calls(self, since_ms: int, until_ms: int) -> Iterator[SeenCall]:
        """Every metered attempt of one call of the period; sums of calls are not among them."""
        names = ("upstream_request_id", "upstream_object_id", "provider", "served_model")
        counts = [func.coalesce(AMOUNTS[name], 0).label(name) for name in COUNTS]
        statement = (
            select(calls.c.call_id, calls.c.started_ms, *(attempts.c[name] for name in names), *counts)
            .select_from(calls.join(attempts, attempts.c.call_id == calls.c.call_id))
            .where(_within(since_ms, until_ms), attempts.c.usage_source.is_not(None), attempts.c[CALLS_COUNTED].is_(None))
        )
        with self._telling(), self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement).mappings():
                ids = tuple(str(row[name]) for name in names[:2] if row[name])
                yield SeenCall(
                    started_ms=row["started_ms"],
                    provider=row["provider"],
                    served_model=row["served_model"],
                    counts=tuple(round(row[name]) for name in COUNTS),
                    ids=(str(row["call_id"]), *ids),
                    call_id=str(row["call_id"]),
                )

    def seen_sums(self, since_ms: int, until_ms: int, grain_ms: int) -> list[SeenSum]:
        """Sums of what was metered in the period, by grain of time, provider and model."""
        grain: ColumnElement[int] = literal_column(str(grain_ms))
        start = (calls.c.started_ms - calls.c.started_ms % grain).label("start_ms")
        told = (imports.c.call_id.is_not(None).label("is_imported"), attempts.c[CALLS_COUNTED].is_not(None).label("is_sum"))
        by = (start, attempts.c.provider, attempts.c.model, attempts.c.served_model, *told)
        sums = [func.coalesce(func.sum(amount), 0).label(name) for name, amount in AMOUNTS.items()]
        statement = (
            select(*by, *sums)
            .select_from(
                calls.join(attempts, attempts.c.call_id == calls.c.call_id).outerjoin(imports, imports.c.call_id == calls.c.call_id)
            )
            .where(_within(since_ms, until_ms), attempts.c.usage_source.is_not(None))
            .group_by(*by)
        )
        with self._telling(), self._engine.begin() as connection:
            return [
                SeenSum(
                    **{name: row[name] for name in ("start_ms", "provider", "model", "served_model")},
                    is_imported=bool(row["is_imported"]),
                    is_sum=bool(row["is_sum"]),
                    amounts={name: float(row[name]) for name in AMOUNTS},
                )
                for row in connection.execute(statement).mappings()
            ]

    def seen_spends(self, since_ms: int, until_ms: int) -> list[SeenSpend]:
        """Money that was imported before."""
        statement = (
            select(calls.c.started_ms, attempts.c.provider, attempts.c.model, imports.c.source_kind)
            .select_from(
                import_spends.join(
                    attempts,
                    and_(attempts.c.call_id == import_spends.c.call_id, attempts.c.attempt_id == import_spends.c.attempt_id),
                )
                .join(calls, calls.c.call_id == import_spends.c.call_id)
                .join(imports, imports.c.call_id == import_spends.c.call_id)
            )
            .where(_within(since_ms, until_ms))
        )
        with self._telling(), self._engine.begin() as connection:
            return [SeenSpend(**row) for row in connection.execute(statement).mappings()]

    def add(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Rows by table, in one transaction; those whose key is there already are left alone."""
        with self._telling(), self._engine.begin() as connection:
            add_rows(connection, rows)
            for table in rows.keys() - set(VIEWS):
                add_beside(connection, table, rows[table])
            touch_calls(connection, [str(row["call_id"]) for row in rows.get("calls", ())])

    def batches(self) -> list[dict[str, Any]]:
        """Files that were imported, oldest first."""
        with self._telling(), self._engine.begin() as connection:
            order = (import_batches.c.created_ms, import_batches.c.batch_id)
            return [dict(row) for row in connection.execute(select(import_batches).order_by(*order)).mappings()]

    def reconciled(self) -> list[dict[str, Any]]:
        """Every line of every comparison, oldest first."""
        with self._telling(), self._engine.begin() as connection:
            order = (reconciliations.c.created_ms, reconciliations.c.reconciliation_id, reconciliations.c.month, reconciliations.c.model)
            return [dict(row) for row in connection.execute(select(reconciliations).order_by(*order)).mappings()]

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


def _within(since_ms: int, until_ms: int) -> ColumnElement[bool]:
    return and_(calls.c.started_ms >= since_ms, calls.c.started_ms < until_ms)
