"""The issued keys as this process knows them, in memory, and how it learns of changes. It must never read the database during a call."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from proxy.call import Caller
from proxy.keys.desk import key_of
from proxy.keys.issue import IssuedKey, caller_of
from proxy.ledger.base import Fetched, LedgerUnavailable
from proxy.ledger.key_store import KeyStore

_log = logging.getLogger("grammage.keys")
LOOK_EVERY_S = 2.0
"""Within this time a key that another process issued or revoked is known here."""


class Holder(NamedTuple):
    """Who presents a key, until when it works (ms since 1970 UTC, None for ever), and how it ends: expired or revoked."""

    caller: Caller
    ends_ms: int | None = None
    end: str = "expired"


Holders = Mapping[bytes, Holder]


class Keyring:
    """Holders by digest of their keys. `holders` is replaced as a whole whenever a key changes. Belongs to one event loop."""

    def __init__(self, store: KeyStore | None = None) -> None:
        self.holders: Holders = {}
        self._store = store
        self._marker: str | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_deaf = False
        self._loading = threading.Lock()
        self._is_over = False

    def load(self) -> None:
        """Reads the keys if they have changed since; blocks. Raises LedgerUnavailable."""
        if self._store is None:
            return
        with self._loading:  # of two at once the one that read later must not be the one that ends earlier
            if self._is_over:
                return
            marker = self._store.marker()
            if marker != self._marker:
                self.holders = dict(found for row in self._store.all() if (found := _read(row)) is not None)
                self._marker = marker

    async def refresh(self) -> None:
        """As load(), in a thread; when the ledger cannot be read the keys stay as they were known."""
        try:
            await asyncio.to_thread(self.load)
        except LedgerUnavailable as error:
            if not self._is_deaf:
                _log.warning("issued keys cannot be read, those known stay in force: %s", error)
            self._is_deaf = True
            return
        if self._is_deaf:
            _log.warning("issued keys are read again")
        self._is_deaf = False

    async def start(self) -> None:
        """Loads the keys, and looks for changes from then on."""
        await self.refresh()
        if self._store is not None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Stops looking; a look under way is over when this returns, so that its store can be closed."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        with self._loading:
            self._is_over = True

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.refresh()


def _read(row: Fetched) -> tuple[bytes, Holder] | None:
    """The key's digest and holder; None for a row that cannot be read, which opens nothing and must not keep others from being read."""
    try:
        key = key_of(row)
        return bytes.fromhex(key.hash), _holder(key)
    except (msgspec.MsgspecError, ValueError):
        _log.warning("issued key %s cannot be read: it opens nothing", row["key_id"])
        return None


def _holder(key: IssuedKey) -> Holder:
    return Holder(caller_of(key), key.ends_ms, "revoked" if key.ends_ms == key.revoked_ms else "expired")
