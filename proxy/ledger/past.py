"""The calls of a ledger one after another, with what was counted and weighed of each. It must never hold more than one batch of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from estimators.quantity import LogVariance, Quantity, ScopeKeys
from estimators.usage import Usage
from proxy.call import PENDING, UNKNOWN_ORIGIN
from proxy.errors import StartError
from proxy.ledger.columns import CALLS_COUNTED, CHOSEN, MEDIA, METERED, USAGE_COUNTS, quantity_columns
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import asset_verdicts, attempts, calls, decisions, estimates, instead, retags
from proxy.ledger.usage_row import usage_of_row

BATCH_CALLS: Final = 1000
LINES: Final = ("gco2e", "water_ml")
_CALL: Final = ("call_id", "started_ms", "operation", "path", "alias", "caller_id", "tags", "stream", "policy", "origin_call_id")
_ATTEMPT: Final = (
    *("call_id", "attempt_id", "ordinal", "provider", "model", "served_model", "region", "zone", "unweighed_reason"),
    *("request_bytes", "response_bytes", "upstream_object_id", "usage_source", "partial", CALLS_COUNTED),
    *USAGE_COUNTS,
    *MEDIA,
    *METERED,
)
_OPINION: Final = ("attempt_id", "estimate_id", "created_ms", "method", "method_version", "zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One attempt as it was recorded: who served it, what was counted, and the newest opinion that counts (None: it has none)."""

    provider: str
    model: str
    served_model: str
    region: str | None
    usage: Usage | None
    request_bytes: int
    response_bytes: int
    is_kept: bool
    unweighed_reason: str | None
    shared: ScopeKeys | None
    gco2e: Quantity | None
    water_ml: Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """One call as it was recorded. began: the call that its work belongs to.

    word: what the answer said of policies. policy, mode, action: what was decided then, None: nothing.
    instead: what answered in a provider's place, None: a provider did.
    """

    call_id: str
    began: str
    started_ms: int
    operation: str
    path: str
    alias: str
    caller_id: str
    tags: dict[str, str]
    stream: bool
    word: str
    is_late: bool
    policy: str | None
    mode: str | None
    action: str | None
    instead: str | None
    attempts: tuple[PastAttempt, ...]


class Verdict(NamedTuple):
    """A word on an asset; brand and campaign None: of whatever it is."""

    asset: str
    brand: str | None
    campaign: str | None
    verdict: str


class Past:
    """The calls of a ledger that began at or after since_ms and before until_ms. Raises StartError when it cannot be read."""

    def __init__(self, url: str, *, since_ms: int | None = None, until_ms: int | None = None, batch_calls: int = BATCH_CALLS) -> None:
        check_schema(url)
        self._engine = open_engine(url)
        self._batch_calls = batch_calls
        started = calls.c.started_ms
        bounds = [started >= since_ms if since_ms is not None else None, started < until_ms if until_ms is not None else None]
        self._period = and_(True, *(bound for bound in bounds if bound is not None))

    def count(self) -> int:
        """How many rows there are to go through."""
        with self._reading() as connection:
            return int(connection.execute(select(func.count()).select_from(calls).where(self._period)).scalar_one())

    def batches(self) -> Iterator[list[PastCall]]:
        """All calls, oldest first, batch by batch. A call whose work was booked once it had ended is left to that booking."""
        after: tuple[int, str] | None = None
        while True:
            with self._reading() as connection:
                rows = self._calls_after(connection, after)
                found = _whole(connection, rows) if rows else []
            if not rows:
                return
            after = (rows[-1]["started_ms"], rows[-1]["call_id"])
            yield found

    def verdicts(self) -> list[Verdict]:
        """Every word on an asset, oldest first."""
        statement = select(asset_verdicts.c.asset, asset_verdicts.c.brand, asset_verdicts.c.campaign, asset_verdicts.c.verdict)
        with self._reading() as connection:
            found = connection.execute(statement.order_by(asset_verdicts.c.decided_ms, asset_verdicts.c.verdict_id))
            return [Verdict(*row) for row in found]

    def close(self) -> None:
        """Gives back the connections."""
        self._engine.dispose()

    def _reading(self) -> "_Reading":
        return _Reading(self._engine.begin(), str(self._engine.url))

    def _calls_after(self, connection: Connection, after: tuple[int, str] | None) -> list[dict[str, Any]]:
        statement = select(*(calls.c[name] for name in _CALL)).where(self._period)
        if after is not None:
            started, call_id = after
            later = and_(calls.c.started_ms == started, calls.c.call_id > call_id)
            statement = statement.where(or_(calls.c.started_ms > started, later))
        statement = statement.order_by(calls.c.started_ms, calls.c.call_id).limit(self._batch_calls)
        return [dict(row) for row in connection.execute(statement).mappings()]


class _Reading:
    """A transaction whose trouble is told as a StartError."""

    def __init__(self, transaction: Any, url: str) -> None:
        self._transaction = transaction
        self._url = url

    def __enter__(self) -> Connection:
        try:
            connection: Connection = self._transaction.__enter__()
        except SQLAlchemyError as error:
            raise self._told(error) from error
        return connection

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._transaction.__exit__(kind, error, trace)
        if isinstance(error, SQLAlchemyError):
            raise self._told(error) from error

    def _told(self, error: SQLAlchemyError) -> StartError:
        return StartError(f"cannot read the ledger at {self._url!r}: {plainly(error)}; `grammage db check` says more")


def _whole(connection: Connection, rows: list[dict[str, Any]]) -> list[PastCall]:
    ids = [row["call_id"] for row in rows]
    tried = _by_call(connection, ids)
    opinions = _newest(connection, ids)
    tags = _retags(connection, [*ids, *{row["origin_call_id"] for row in rows if row["origin_call_id"]}])
    said = {
        row.call_id: (row.policy, row.mode, row.action)
        for row in connection.execute(
            select(decisions.c.call_id, decisions.c.policy, decisions.c.mode, decisions.c.action).where(decisions.c.call_id.in_(ids))
        )
    }
    answered = connection.execute(select(instead.c.call_id, instead.c.kind).where(instead.c.call_id.in_(ids)))
    given = {row.call_id: row.kind for row in answered}
    booked = _booked(connection, [call_id for call_id, found in tried.items() if any(row["unweighed_reason"] == PENDING for row in found)])
    return [
        _call(row, [_attempt(each, opinions.get(each["attempt_id"])) for each in tried.get(row["call_id"], [])], tags, said, given)
        for row in rows
        if row["call_id"] not in booked
    ]


def _by_call(connection: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    statement = select(*(attempts.c[name] for name in _ATTEMPT)).where(attempts.c.call_id.in_(ids))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(statement.order_by(attempts.c.call_id, attempts.c.ordinal)).mappings():
        found.setdefault(row["call_id"], []).append(dict(row))
    return found


def _newest(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The newest opinion that counts of each attempt of the calls."""
    names = (*_OPINION, *(column for line in LINES for column in quantity_columns(line)))
    statement = select(*(estimates.c[name] for name in names)).where(estimates.c.call_id.in_(ids), estimates.c.role == CHOSEN)
    in_turn = connection.execute(statement.order_by(estimates.c.created_ms, estimates.c.estimate_id)).mappings()
    return {row["attempt_id"]: dict(row) for row in in_turn}


def _retags(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    statement = select(retags.c.call_id, retags.c.name, retags.c.value).where(retags.c.call_id.in_(ids)).order_by(retags.c.created_ms)
    found: dict[str, dict[str, str]] = {}
    for call_id, name, value in connection.execute(statement):
        found.setdefault(call_id, {})[name] = value
    return found


def _booked(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    """Those of the calls whose work was booked by another call."""
    if not ids:
        return frozenset()
    return frozenset(connection.execute(select(calls.c.origin_call_id).where(calls.c.origin_call_id.in_(ids))).scalars())


def _call(
    row: dict[str, Any],
    tried: list[PastAttempt],
    retagged: dict[str, dict[str, str]],
    said: dict[str, tuple[str, str, str]],
    given: dict[str, str],
) -> PastCall:
    tags = msgspec.json.decode(row["tags"], type=dict[str, str]) if isinstance(row["tags"], str) else dict(row["tags"] or {})
    origin = row["origin_call_id"]
    policy, mode, action = said.get(row["call_id"], (None, None, None))
    newer = {**retagged.get(origin or "", {}), **retagged.get(row["call_id"], {})}
    return PastCall(
        **{name: row[name] for name in ("call_id", "started_ms", "operation", "path", "alias", "caller_id")},
        began=row["call_id"] if origin in (None, UNKNOWN_ORIGIN) else origin,
        tags={name: value for name, value in {**tags, **newer}.items() if value},
        stream=bool(row["stream"]),
        word=row["policy"],
        is_late=origin is not None,
        policy=policy,
        mode=mode,
        action=action,
        instead=given.get(row["call_id"]),
        attempts=tuple(tried),
    )


def _attempt(row: dict[str, Any], opinion: dict[str, Any] | None) -> PastAttempt:
    lines = {line: None if opinion is None else _quantity(opinion, line) for line in LINES}
    return PastAttempt(
        **{name: row[name] for name in ("provider", "model", "served_model", "region", "request_bytes", "response_bytes")},
        unweighed_reason=row["unweighed_reason"],
        usage=usage_of_row(row),
        is_kept=row["upstream_object_id"] is not None,
        shared=None if opinion is None else _keys(row, opinion),
        gco2e=lines["gco2e"],
        water_ml=lines["water_ml"],
    )


def _keys(row: dict[str, Any], opinion: dict[str, Any]) -> ScopeKeys:
    return ScopeKeys(f"{opinion['method']}@{opinion['method_version']}", row["provider"], row["model"], opinion["zone"])


def _quantity(row: dict[str, Any], line: str) -> Quantity | None:
    if row[f"{line}_p50"] is None:
        return None
    return Quantity(row[f"{line}_p50"], LogVariance._make(row[f"{line}_var_{scope}"] for scope in LogVariance._fields))
