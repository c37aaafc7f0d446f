"""Single calls as flat rows, an attempt each, for warehouses. It must never hold more than a page of them, nor a hash of anybody."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from estimators.quantity import LogVariance, Quantity
from proxy.errors import StartError
from proxy.ledger.columns import MEDIA_KINDS, SCOPES, USAGE_COUNTS, Kind
from proxy.ledger.prune import refuse_pruned
from proxy.ledger.queries import Selection, in_period, is_newest
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import attempts, calls, estimates, imports, instead, retags

PAGE: Final = 5000
Place = tuple[int, str]
"""Start and id of a call."""

TAGS: Final = ("brand", "campaign", "tool", "asset", "stage", "market")
_CALL: Final = ("operation", "alias", "outcome", "stream", "latency_s", "time_to_first_token_s", "policy", "origin_call_id")
_ATTEMPT: Final = ("provider", "model", "served_model", "region", "zone", "simulated", "unweighed_reason", "usage_source")
_MEDIA: Final = tuple(f"media_{name}" for name in ("images", "video_seconds", "audio_input_seconds", "audio_output_seconds", "characters"))
_BASIS: Final = ("factor_set", "profile", "quality", "gco2e_per_kwh")
_LINES: Final = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")

COLUMNS: Final[Mapping[str, Kind]] = {
    "call_id": "text",
    "attempt_id": "text",
    "started": "text",
    "operation": "text",
    "alias": "text",
    "outcome": "text",
    "stream": "boolean",
    "latency_s": "double",
    "time_to_first_token_s": "double",
    "policy": "text",
    "origin_call_id": "text",
    "instead": "text",
    "imported": "text",
    "calls_counted": "bigint",
    **dict.fromkeys(TAGS, "text"),
    "tags": "text",
    **dict.fromkeys(_ATTEMPT, "text"),
    "simulated": "boolean",
    **dict.fromkeys(USAGE_COUNTS, "bigint"),
    **{name: MEDIA_KINDS[name.removeprefix("media_")] for name in _MEDIA},
    "grid_zone": "text",
    "method": "text",
    **dict.fromkeys(_BASIS, "text"),
    "gco2e_per_kwh": "double",
    **{f"{line}{end}": "double" for line in _LINES for end in ("", "_low", "_high")},
}
"""Columns of a row with their kinds. Times are RFC 3339, UTC; a line is its expected value, with the 5th and 95th percentile beside it.

imported: the kind of file that the call was taken from, with how many calls the record stands for; tags: all of them as a JSON object.
"""

Row = dict[str, Any]


def call_pages(url: str, selection: Selection, page: int = PAGE) -> Iterator[list[Row]]:
    """All attempts of the period, oldest calls first, page by page. Raises StartError: no ledger, or calls of the period are gone."""
    check_schema(url)
    engine = open_engine(url)
    after: Place | None = None
    try:
        while True:
            with engine.begin() as connection:
                refuse_pruned(connection, selection.since_ms)
                places = [(row[0], row[1]) for row in connection.execute(_places(selection, after, page))]
                if not places:
                    return
                found = _read(connection, selection, places[0], places[-1])
                late = _late_tags(connection, found)
            after = places[-1]
            yield [_row(row, late) for row in found]
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()


def _places(selection: Selection, after: Place | None, page: int) -> Select[int, str]:
    """Where the next calls stand: they are read by the index of their start."""
    started = calls.c.started_ms
    statement = select(started, calls.c.call_id).order_by(started, calls.c.call_id).limit(page)
    if selection.since_ms is not None:
        statement = statement.where(started >= selection.since_ms)
    if selection.until_ms is not None:
        statement = statement.where(started < selection.until_ms)
    return statement if after is None else statement.where(started >= after[0], _is_after(after))


def _is_after(place: Place) -> ColumnElement[bool]:
    return or_(calls.c.started_ms > place[0], and_(calls.c.started_ms == place[0], calls.c.call_id > place[1]))


def _read(connection: Connection, selection: Selection, first: Place, last: Place) -> list[Row]:
    """The attempts of the calls from the first to the last place."""
    figures = [estimates.c[f"{line}{end}"] for line in _LINES for end in ("", "_p50", *(f"_var_{scope}" for scope in SCOPES))]
    columns: list[ColumnElement[Any]] = [
        calls.c.call_id,
        attempts.c.attempt_id,
        calls.c.started_ms,
        calls.c.tags,
        *(calls.c[name] for name in _CALL),
        *(attempts.c[name] for name in (*_ATTEMPT, *USAGE_COUNTS, *_MEDIA)),
        instead.c.kind.label("instead"),
        imports.c.source_kind.label("imported"),
        imports.c.calls_counted,
        estimates.c.zone.label("grid_zone"),
        estimates.c.method,
        estimates.c.method_version,
        *(estimates.c[name] for name in _BASIS),
        *figures,
    ]
    joined = (
        calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id)
        .outerjoin(estimates, is_newest(selection.method, selection.estimate_set))
        .outerjoin(instead, instead.c.call_id == calls.c.call_id)
        .outerjoin(imports, imports.c.call_id == calls.c.call_id)
    )
    within = replace(selection, since_ms=first[0], until_ms=last[0] + 1)
    before_first = and_(calls.c.started_ms == first[0], calls.c.call_id < first[1])
    statement = in_period(select(*columns).select_from(joined), within).where(~before_first, ~_is_after(last))
    found = [{**row, "attempt_id": row["attempt_id"] or ""} for row in connection.execute(statement).mappings()]
    return sorted(found, key=lambda row: (row["started_ms"], row["call_id"], row["attempt_id"]))


def _late_tags(connection: Connection, rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Tags that calls got late, the newest of each name, by the id of the call."""
    ids = {each for row in rows for each in (row["call_id"], row["origin_call_id"]) if each}
    statement = select(retags.c.call_id, retags.c.name, retags.c.value).order_by(retags.c.created_ms)
    found: dict[str, dict[str, str]] = {}
    if connection.execute(select(retags.c.call_id).limit(1)).first() is not None:
        for call_id, name, value in connection.execute(statement.where(retags.c.call_id.in_(sorted(ids)))):
            found.setdefault(call_id, {})[name] = value
    return found


def _row(row: Row, late: Mapping[str, Mapping[str, str]]) -> Row:
    told = {**(row["tags"] or {}), **late.get(row["origin_call_id"] or "", {}), **late.get(row["call_id"], {})}
    tags = {name: value for name, value in told.items() if value}
    found = {name: row.get(name) for name in COLUMNS}
    found |= {
        "attempt_id": row["attempt_id"] or None,
        "started": datetime.fromtimestamp(row["started_ms"] / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tags": json.dumps(tags, ensure_ascii=False, sort_keys=True),
        **{name: tags.get(name) for name in TAGS},
        "method": None if row["method"] is None else f"{row['method']}@{row['method_version']}",
    }
    for line in _LINES:
        if row[f"{line}_p50"] is not None:
            quantity = Quantity(row[f"{line}_p50"], LogVariance._make(row[f"{line}_var_{scope}"] for scope in SCOPES))
            found |= {f"{line}_low": quantity.p5, f"{line}_high": quantity.p95}
    return found
