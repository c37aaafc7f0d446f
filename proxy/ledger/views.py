"""The views `calls`, `attempts` and `estimates`: the ledger as everybody reads it. It must never show a figure that was not kept.

SQLite looks a kind up where one of its columns is asked for, because it does not join into a view that is itself joined from outside;
PostgreSQL joins, and leaves the join out where nothing of it is asked for.
"""

from typing import Final, Literal

from proxy.ledger.columns import ATTEMPTS, CALLS, ESTIMATES, QUANTITIES, SCOPED_QUANTITIES, SCOPES, USAGE_COUNTS
from proxy.ledger.kept_columns import ATTEMPT_KIND, ATTEMPT_MEDIA, BASE, CALL_KIND, ESTIMATE_KIND, LIKE_BASE, VIEWS
from proxy.ledger.pack import LN_OF_ZERO, LN_STEP, SD_STEP

Dialect = Literal["sqlite", "postgresql"]

_LN: Final = f"CAST({LN_STEP!r} AS DOUBLE PRECISION)"
_SD: Final = f"CAST({SD_STEP!r} AS DOUBLE PRECISION)"
_US: Final = "CAST(1000000 AS DOUBLE PRECISION)"
_MEDIA_KEY: Final = "m.call_id = r.call_id AND m.attempt_id = r.attempt_id"
_ATTEMPT_ID: Final = "CASE length(r.attempt_id) WHEN 0 THEN r.call_id ELSE r.attempt_id END"
_ESTIMATE_ID: Final = f"CASE length(r.estimate_id) WHEN 0 THEN {_ATTEMPT_ID} ELSE r.estimate_id END"
_TAGS: Final[dict[Dialect, str]] = {
    "sqlite": "(SELECT CASE WHEN r.asset_tag IS NULL THEN t.tags ELSE json_set(t.tags, '$.asset', r.asset_tag) END"
    " FROM tag_sets t WHERE t.tag_set = r.tag_set)",
    "postgresql": "CASE WHEN r.asset_tag IS NULL THEN t.tags"
    " ELSE CAST(CAST(t.tags AS jsonb) || jsonb_build_object('asset', r.asset_tag) AS json) END",
}


def create_views(dialect: Dialect) -> list[str]:
    """The statements that make the views."""
    return [f"CREATE VIEW {name} AS SELECT {_columns(dialect, name)} FROM {_source(dialect, name)}" for name in VIEWS]


def drop_views() -> list[str]:
    """The statements that take them away, for a revision that makes them anew."""
    return [f"DROP VIEW {name}" for name in reversed(VIEWS)]


def _columns(dialect: Dialect, name: str) -> str:
    wanted = {"calls": CALLS, "attempts": ATTEMPTS, "estimates": ESTIMATES}[name]
    made = _MADE[name] | ({"tags": _TAGS[dialect]} if name == "calls" else {})
    return ", ".join(f"{made.get(column) or _plain(dialect, name, column)} AS {column}" for column in wanted)


def _plain(dialect: Dialect, name: str, column: str) -> str:
    """A column as it stands: of the row, of its kind, or of its media."""
    kinds, says = _KINDS[name]
    if column in says:
        return f"(SELECT k.{column} FROM {kinds} k WHERE k.kind_id = r.kind_id)" if dialect == "sqlite" else f"k.{column}"
    if name == "attempts" and column in ATTEMPT_MEDIA[2:]:
        return f"(SELECT m.{column} FROM attempt_media m WHERE {_MEDIA_KEY})" if dialect == "sqlite" else f"m.{column}"
    return f"r.{column}"


def _source(dialect: Dialect, name: str) -> str:
    source = f"kept_{name} r"
    if dialect == "sqlite":
        return source
    source += f" LEFT JOIN {_KINDS[name][0]} k ON k.kind_id = r.kind_id"
    beside = {
        "calls": " LEFT JOIN tag_sets t ON t.tag_set = r.tag_set",
        "attempts": f" LEFT JOIN attempt_media m ON {_MEDIA_KEY}",
    }
    return source + beside.get(name, "")


def _variance(line: str, doubt: str = "sd") -> str:
    own = f"r.{line}_{doubt}"
    if line in LIKE_BASE:
        own = f"CASE WHEN r.{line}_ln IS NOT NULL THEN coalesce({own}, r.{BASE}_{doubt}) END"
    return f"(({own}) * {_SD}) * (({own}) * {_SD})"


def _line(line: str) -> dict[str, str]:
    """Expected value, median and variances of a line."""
    scoped = {f"{line}_var_{scope}": _variance(line, f"sd_{scope}") for scope in SCOPES} if line in SCOPED_QUANTITIES else {}
    whole = " + ".join(scoped.values() or [_variance(line)])
    mean, is_zero = f"r.{line}_ln * {_LN}", f"CASE r.{line}_ln WHEN {LN_OF_ZERO} THEN 0.0"
    return {line: f"{is_zero} ELSE exp({mean}) END", f"{line}_p50": f"{is_zero} ELSE exp({mean} - ({whole}) / 2) END", **scoped}


_KINDS: Final = {
    "calls": ("call_kinds", CALL_KIND),
    "attempts": ("attempt_kinds", ATTEMPT_KIND),
    "estimates": ("estimate_kinds", ESTIMATE_KIND),
}
_MADE: Final[dict[str, dict[str, str]]] = {
    "calls": {name.removesuffix("_us") + "_s": f"r.{name} / {_US}" for name in ("latency_us", "time_to_first_token_us", "overhead_us")},
    "attempts": {
        "attempt_id": _ATTEMPT_ID,
        "latency_s": f"r.latency_us / {_US}",
        **{count: f"nullif(coalesce(r.{count}, 0), -1)" for count in USAGE_COUNTS},
    },
    "estimates": {
        "attempt_id": _ATTEMPT_ID,
        "estimate_id": _ESTIMATE_ID,
        **{column: shown for line in QUANTITIES for column, shown in _line(line).items()},
    },
}
