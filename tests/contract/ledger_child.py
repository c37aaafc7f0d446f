"""A process that keeps calls and prints each id once it is acknowledged, to be killed by a test. It must never print an id before."""

import asyncio
import resource
import sys
from pathlib import Path

from proxy.ledger.writer import LedgerWriter
from tests.contract.ledgers import open_store, record, spool_beside


async def keep_calls(url: str, folder: Path, calls: int, clients: int) -> None:
    """Each client appends one call after the other; ends by itself after `calls`, 0: never."""
    store = open_store(url)
    writer = LedgerWriter(store, spool_beside(store, folder))
    writer.start()
    print("ready", flush=True)

    async def client(mine: range) -> None:
        for number in mine:
            kept = record(number)
            future = writer.append(kept)
            assert future is not None
            await future
            print(kept.call_id, flush=True)

    most = calls or 1_000_000
    await asyncio.gather(*(client(range(first, most, clients)) for first in range(clients)))
    await writer.close()
    store.close()
    print(f"spooled={writer.spooled_total} lost={writer.failures_total}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 5:
        most_bytes = int(sys.argv[5])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    asyncio.run(keep_calls(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
