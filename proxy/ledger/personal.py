"""Which tables and columns can lead to a person, and by what. It must never import a database library: it is loaded at start.

A table that a later version adds must be listed here too; a test sees to that.
"""

from dataclasses import dataclass
from typing import Final, Literal

from proxy.ledger.columns import TABLES

Scope = Literal["user", "key", "caller"]
ERASED: Final = "erased"
"""Stands for the name of a caller that was erased."""

PREFIX: Final = "erasure."
"""What the ledger remembers of erasures is kept under: when, of what kind, how much; never of whom."""

BY_ATTEMPT: Final = frozenset({"hourly_intensities"})
BY_CALLER: Final = frozenset({"asset_verdicts"})
BY_NAME: Final = frozenset({"keys"})
OF_NOBODY: Final = frozenset({"ledger_meta", "touched_hours", "rollups_hour", "rollups_day", "import_batches", "reconciliations"})
"""Sums, and facts of the ledger itself."""

BY_CALL: Final = tuple(name for name, columns in TABLES.items() if "call_id" in columns)
"""Every table with a row for a call: what is kept of a call is found by its id, in tables of today and tomorrow."""

NOT_EXPORTED: Final = {"keys": frozenset({"hash"})}
"""Columns that are no data of a person but would help to break in."""

ERASED_COLUMNS: Final = ("user_hash", "user_hash_key_id", "idempotency_key_hash")
"""Columns of `calls` that an erasure makes null."""

PROVIDER_IDS: Final = ("upstream_request_id", "upstream_object_id")
"""Columns of `attempts` by which a provider finds the call in its own books; they go only where that is asked for."""

NEVER_KEPT: Final = (
    "prompts, messages, instructions and attachments",
    "answers, images, audio and transcripts",
    "IP addresses, user agents and request headers",
    "`user` and `safety_identifier` as they were sent (a keyed hash stands for them)",
    "API keys (a digest of keys that the proxy issued, a keyed hash for callers who bring their provider's key)",
)

ELSEWHERE: Final = (
    "answers kept for reuse, where a policy has `reuse`: in memory or Redis, until their time is over",
    "the spool beside the ledger, while the database was down: replayed, then overwritten",
    "the proxy's log lines (call id, alias, tags, figures; neither user nor key), wherever you send them",
    "what the provider keeps, under the upstream ids shown here",
    "backups and replicas of the database, and files exported earlier",
)


class LiveKey(Exception):
    """The key still works: what it does next would be recorded under its name again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Of whom: an end user by the hash of each known secret (secret's id, hash), or a caller by its name.

    `key`: a key that the proxy issued or was configured with; `caller`: any other, such as `key:1f0c...`.
    """

    scope: Scope
    hashes: tuple[tuple[str, str], ...] = ()
    caller_id: str | None = None
