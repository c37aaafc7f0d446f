"""Issues, lists, replaces and ends keys, for the command line and the admin API alike. It must never run on the event loop."""

from collections.abc import Callable, Iterable

import msgspec

from proxy.clock import uuid7
from proxy.keys.issue import BadKey, IssuedKey, NewKey, Terms, ended, issue, state_of, successor
from proxy.ledger.base import Conflict, Fetched, Values
from proxy.ledger.key_store import KeyStore

DEFAULT_GRACE = "24h"


class UnknownKey(LookupError):
    """There is no such key, or no live one of that name."""


class Desk:
    """Where keys are issued. Every method blocks on the database and may raise LedgerUnavailable."""

    def __init__(self, store: KeyStore, now_ms: Callable[[], int], taken: Iterable[str] = ()) -> None:
        """taken: names of the configuration's own keys."""
        self._store = store
        self._now_ms = now_ms
        self._taken = frozenset(taken)

    def create(self, terms: Terms, expires_ms: int | None = None) -> NewKey:
        """A new key; its secret is in this value and nowhere else. Raises BadKey."""
        if terms.name in self._taken:
            raise BadKey(f"{terms.name!r} is the name of a key in the configuration; choose another", "name")
        made = issue(terms, now_ms=self._now_ms(), expires_ms=expires_ms)
        try:
            self._store.add(row_of(made.kept), mark=self._mark())
        except Conflict as error:
            raise BadKey(f"there is a key named {terms.name!r} already; rotate or revoke it, or choose another name", "name") from error
        return made

    def all(self) -> list[IssuedKey]:
        """Every key, oldest first, ended ones too."""
        return [key_of(row) for row in self._store.all()]

    def find(self, wanted: str) -> IssuedKey:
        """The key of this id, else the newest of this name. Raises UnknownKey."""
        found = [key for key in self.all() if wanted in (key.key_id, key.terms.name)]
        if not found:
            raise UnknownKey(f"there is no key {wanted[:80]!r}")
        return found[-1]

    def revoke(self, wanted: str) -> list[IssuedKey]:
        """Ends a key by its id, or every key of a name that still works. Raises UnknownKey."""
        now_ms = self._now_ms()
        found, live = self._working(wanted, now_ms)
        if not live:
            raise UnknownKey(f"key {wanted[:80]!r} was revoked before" if found else f"there is no key {wanted[:80]!r}")
        over: list[IssuedKey] = []
        while live:  # again, for a key of the name that was made in between
            ending = [ended(key, at_ms=now_ms, replaced_by=None) for key in live]
            self._end(ending)
            over += ending
            _, live = self._working(wanted, now_ms)
        return over

    def rotate(self, wanted: str, *, grace_ms: int, expires_ms: int | None = None) -> NewKey:
        """A key that takes over from one that was not replaced yet, and works on until its grace ends. Raises UnknownKey, BadKey."""
        now_ms = self._now_ms()
        live = [key for key in self.all() if wanted in (key.key_id, key.terms.name) and key.revoked_ms is None]
        if not live:
            raise UnknownKey(f"there is no key {wanted[:80]!r} that could be rotated; one that was replaced or revoked cannot be")
        old = live[-1]
        grace_ms = 0 if state_of(old, now_ms) == "expired" else grace_ms
        made = successor(old, now_ms=now_ms, expires_ms=expires_ms)
        self._end([ended(old, at_ms=now_ms + grace_ms, replaced_by=made.kept.key_id)], made.kept)
        return made

    def _working(self, wanted: str, now_ms: int) -> tuple[list[IssuedKey], list[IssuedKey]]:
        """The keys of this id or name, and those of them that are not revoked."""
        found = [key for key in self.all() if wanted in (key.key_id, key.terms.name)]
        return found, [key for key in found if key.revoked_ms is None or key.revoked_ms > now_ms]

    def _end(self, over: list[IssuedKey], taking_over: IssuedKey | None = None) -> None:
        rows = [{"key_id": key.key_id, "revoked_ms": key.revoked_ms, "replaced_by": key.replaced_by} for key in over]
        try:
            self._store.end(rows, mark=self._mark(), successor=None if taking_over is None else row_of(taking_over))
        except Conflict as error:
            raise UnknownKey(f"key {over[0].terms.name!r} was changed at the same moment; look at it again") from error

    def _mark(self) -> str:
        return uuid7(self._now_ms())


def row_of(key: IssuedKey) -> Values:
    """The key as the ledger keeps it."""
    terms = {name: value for name, value in msgspec.to_builtins(key.terms).items() if name != "name" and value is not None}
    return {
        "key_id": key.key_id,
        "name": key.terms.name,
        "hash": key.hash,
        "hint": key.hint,
        "terms": msgspec.json.encode(terms).decode(),
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "revoked_ms": key.revoked_ms,
        "replaced_by": key.replaced_by,
    }


def key_of(row: Fetched) -> IssuedKey:
    """The key that a row of the ledger stands for."""
    terms = {**msgspec.json.decode(str(row["terms"])), "name": row["name"]}
    return msgspec.convert({**row, "terms": terms}, IssuedKey)
