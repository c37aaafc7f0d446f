"""Brings into the ledger what ended processes left in their spools, and tells of what cannot be brought in. It must never drop a call."""

import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from proxy.ledger.base import LedgerUnavailable, UnwritableRecord
from proxy.ledger.spool import Spool, is_filled, spool_path
from proxy.ledger.store import Store


class LeftOver(NamedTuple):
    """Calls brought in; spools that still hold some (a proxy runs, or the ledger refused them); files of other versions."""

    brought_in: int
    filled: tuple[Path, ...]
    unreadable: tuple[Path, ...]


def bring_in(url: str) -> LeftOver:
    """Replays the spools that no process holds. Raises StartError for a URL that cannot be used, OSError."""
    with closing(Store(url)) as store:
        path = spool_path(store.path)
        brought_in = _replay(store, path) if _beside(path) else 0
    filled = tuple(file for file in _beside(path) if ".unreadable-" not in file.name and is_filled(file))
    return LeftOver(brought_in, filled, tuple(file for file in _beside(path) if ".unreadable-" in file.name))


def _beside(path: Path) -> list[Path]:
    return sorted(file for file in path.parent.glob(f"{path.name}*") if file.is_file() and os.access(file, os.R_OK))


def _replay(store: Store, path: Path) -> int:
    brought_in = 0
    spool = Spool(path, reserve_bytes=0)
    spool.open()
    try:
        while not spool.is_empty and (records := spool.oldest()):
            try:
                store.write(records)
            except (LedgerUnavailable, UnwritableRecord):
                break  # they stay in the spool, and the caller is told of it
            brought_in += len(records)
            spool.drop_oldest()
    finally:
        spool.close()
    return brought_in
