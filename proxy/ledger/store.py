"""The ledger by its URL: schema, writing, and one call read back. It must never edit a row: facts and opinions are only added."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from estimators.estimate import QualityParts
from proxy.call import CallRecord
from proxy.errors import StartError
from proxy.ledger.asset_store import AssetStore
from proxy.ledger.base import Door, Durability, Fetched
from proxy.ledger.budget_store import BudgetStore
from proxy.ledger.columns import CALLS_COUNTED, CHOSEN, MEDIA, MEDIA_KINDS, METERED, METERED_KINDS, SHADOW, USAGE_COUNTS
from proxy.ledger.crossing_store import CrossingStore
from proxy.ledger.iteration_store import IterationStore
from proxy.ledger.key_store import KeyStore
from proxy.ledger.own_store import OwnStore
from proxy.ledger.sqlite import SqliteDoor
from proxy.ledger.weighing_store import WeighingStore

_SQLITE_SCHEMES = ("sqlite:///", "sqlite+pysqlite:///")
_FLAGS = ("stream", "stream_complete", "place_assumed", "simulated", "partial", "metered_shared")


class Store:
    """One ledger. upgrade() first; write() on one thread at a time; find() and remember() from any. Raises StartError for a bad URL."""

    def __init__(self, url: str) -> None:
        self.path = sqlite_path(url)
        self._door = _open_door(url, self.path)

    def upgrade(self) -> None:
        """A writable ledger with this version's schema. Raises StartError: unwritable, newer than us, PostgreSQL that is behind."""
        self._door.upgrade()

    def migrate(self) -> None:
        """What upgrade() does, on a database server too: for `grammage db upgrade`. Raises StartError."""
        self._door.migrate()

    def revision(self) -> str | None:
        """The schema's revision, None when there is none yet. Raises StartError when that cannot be read."""
        return self._door.revision()

    def open_writer(self, durability: Durability) -> None:
        """Open the writing connection early. Raises LedgerUnavailable."""
        self._door.open_writer(durability)

    def write(self, records: Sequence[CallRecord]) -> None:
        """Insert the records in one transaction; those already there are left alone. Raises LedgerUnavailable, UnwritableRecord."""
        self._door.write(records)

    def remember(self, key: str, value: str) -> str:
        """Keep a fact of the ledger itself (the id of the user-hash secret), first come; returns the one that is kept."""
        return self._door.remember(key, value)

    def find(self, call_id: str) -> dict[str, object] | None:
        """The call with `attempts`, each with `usage`, `estimates` (oldest first), `shadow`, `hour` and `shortcoming`; None: unknown.

        `instead`: what answered it in place of a provider, or None; `source`: the call whose answer it was, without what stands beside it.
        `decision`: what a policy said of it, or None. `late`: the calls that booked its work once that had ended, in the same shape.
        """
        calls = self._door.fetch("calls", "call_id", [call_id])
        if not calls:
            return None
        late = sorted(self._door.fetch("calls", "origin_call_id", [call_id]), key=_start)
        decisions = self._door.fetch("decisions", "call_id", [call_id])
        instead = self._door.fetch("instead", "call_id", [call_id])
        whole = self._whole(_plain(calls[0])) | {"decision": decisions[0] if decisions else None}
        whole["instead"] = instead[0] | {"source": self._source(instead[0]["source_call_id"])} if instead else None
        return whole | {"late": [self._whole(_plain(call)) for call in late]}

    def find_objects(self, object_ids: Sequence[str]) -> list[Fetched]:
        """Calls whose answers the provider keeps under one of the ids: each with its attempt's facts, oldest first, without usage."""
        attempts = self._door.fetch("attempts", "upstream_object_id", object_ids)
        calls = {str(call["call_id"]): call for call in self._door.fetch("calls", "call_id", [str(row["call_id"]) for row in attempts])}
        found = [_plain(row | calls[str(row["call_id"])] | {"attempt": row}) for row in attempts if str(row["call_id"]) in calls]
        return sorted((call for call in found if call["origin_call_id"] is None), key=_start)

    def has_call(self, call_id: str) -> bool:
        """Whether the call is in the ledger."""
        return bool(self._door.fetch("calls", "call_id", [call_id]))

    def _source(self, call_id: object) -> Fetched | None:
        """The call whose answer another one was given."""
        calls = self._door.fetch("calls", "call_id", [str(call_id)]) if call_id is not None else []
        return self._whole(_plain(calls[0])) if calls else None

    def _whole(self, call: Fetched) -> Fetched:
        """The call's row with what belongs to it."""
        call_id = str(call["call_id"])
        attempts = [_plain(row) for row in self._door.fetch("attempts", "call_id", [call_id])]
        attempts.sort(key=_ordinal)
        attempt_ids = [str(attempt["attempt_id"]) for attempt in attempts]
        hours = {row.pop("attempt_id"): row for row in self._door.fetch("hourly_intensities", "attempt_id", attempt_ids)}
        fallen = {row["attempt_id"]: row["shortcoming"] for row in self._door.fetch("shortcomings", "attempt_id", attempt_ids)}
        opinions = self._door.fetch("estimates", "call_id", [call_id])
        opinions.sort(key=_age)
        retags = sorted(self._door.fetch("retags", "call_id", [call_id]), key=_retag_age)
        tags = call["tags"]
        assert isinstance(tags, dict)  # _plain decoded it
        call["tags"] = tags | {str(row["name"]): row["value"] for row in retags}
        beside = [{"hour": hours.get(row["attempt_id"]), "shortcoming": fallen.get(row["attempt_id"])} for row in attempts]
        call["attempts"] = [_attempt(row, opinions) | known for row, known in zip(attempts, beside, strict=True)]
        return call

    def budgets(self) -> BudgetStore:
        """What budgets ask of the calls, and what their periods are pinned to."""
        return BudgetStore(self._door)

    def weighing(self) -> WeighingStore:
        """What configurations said of weighing."""
        return WeighingStore(self._door)

    def keys(self) -> KeyStore:
        """The keys kept beside the calls."""
        return KeyStore(self._door)

    def assets(self) -> AssetStore:
        """What was said of assets, beside the calls for them."""
        return AssetStore(self._door, is_sqlite=self.path is not None)

    def own(self) -> OwnStore:
        """What the proxy itself weighs, beside the calls."""
        return OwnStore(self._door)

    def crossings(self) -> CrossingStore:
        """What telemetry may tell of too."""
        return CrossingStore(self._door)

    def iterations(self) -> IterationStore:
        """What was made under policies."""
        return IterationStore(self._door)

    def erasures(self) -> list[dict[str, object]]:
        """What was erased on request, oldest first: when (`at_ms`), of what kind, how much; never of whom. Raises LedgerUnavailable."""
        rows = self._door.select("SELECT key, value FROM ledger_meta WHERE key LIKE 'erasure.%' ORDER BY key", {})
        return [{"at_ms": int(str(row["key"]).partition(".")[2])} | msgspec.json.decode(str(row["value"])) for row in rows]

    def close(self) -> None:
        """Give back every connection; the write-ahead log is folded in."""
        self._door.close()


def sqlite_path(url: str) -> Path | None:
    """The file a SQLite URL names, None for another database. Raises StartError when it names no file."""
    if not url.startswith("sqlite"):
        return None
    scheme = next((scheme for scheme in _SQLITE_SCHEMES if url.startswith(scheme)), None)
    name = "" if scheme is None else url.removeprefix(scheme)
    if name in ("", ":memory:") or "?" in name:
        raise StartError(
            f"ledger.url {url!r} names no file; write sqlite:///grammage.db, or sqlite:////var/lib/grammage/ledger.db for an absolute path"
        )
    return Path(name)


def _open_door(url: str, path: Path | None) -> Door:
    if path is not None:
        return SqliteDoor(path)
    from proxy.ledger.server import ServerDoor  # slow (SQLAlchemy), needed for a database server only

    return ServerDoor(url)


def _plain(row: Fetched) -> Fetched:
    """A row with its flags as booleans and its tags as a dict, whatever the database made of them."""
    plain = {name: bool(value) if name in _FLAGS and value is not None else value for name, value in row.items()}
    tags = plain.get("tags")
    if isinstance(tags, str):
        plain["tags"] = msgspec.json.decode(tags, type=dict[str, str])
    return plain


def _attempt(row: Fetched, opinions: list[Fetched]) -> Fetched:
    """An attempt with its usage under one name and its estimates beside it: those that count, and those of shadow methods."""
    source = row.pop("usage_source")
    counts = {name: row.pop(name) for name in USAGE_COUNTS}
    partial, calls = row.pop("partial"), row.pop(CALLS_COUNTED) or 1
    media = _members(row, MEDIA, MEDIA_KINDS)
    metered = _members(row, METERED, METERED_KINDS)
    whole = counts | {"source": source, "partial": partial, "media": media, "metered": metered, "calls": calls}
    row["usage"] = None if source is None else whole
    own = [_opinion(opinion) for opinion in opinions if opinion["attempt_id"] == row["attempt_id"]]
    row["estimates"] = [opinion for opinion in own if opinion["role"] == CHOSEN]
    row["shadow"] = [opinion for opinion in own if opinion["role"] == SHADOW]
    return row


def _members(row: Fetched, columns: Iterable[str], fields: Iterable[str]) -> Fetched | None:
    """Takes the columns out of the row, as fields of one value; None when all are null."""
    found = {field: row.pop(column) for field, column in zip(fields, columns, strict=True)}
    return None if all(value is None for value in found.values()) else found


def _opinion(row: Fetched) -> Fetched:
    parts = QualityParts._make(str(row["quality_parts"]))
    codes = str(row["warnings"])
    return row | {"quality_parts": parts._asdict(), "warnings": codes.split(",") if codes else []}


def _ordinal(row: Fetched) -> tuple[int, str]:
    return (int(str(row["ordinal"])), str(row["attempt_id"]))


def _age(row: Fetched) -> tuple[int, str]:
    return (int(str(row["created_ms"])), str(row["estimate_id"]))


def _start(row: Fetched) -> tuple[int, str]:
    return (int(str(row["started_ms"])), str(row["call_id"]))


def _retag_age(row: Fetched) -> int:
    return int(str(row["created_ms"]))
