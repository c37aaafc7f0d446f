"""All live sources, asked in the background, and the newest snapshot of what they say. It must never be awaited by a call."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from config.settings import LiveIntensity
from proxy.call import Hour
from proxy.clock import Clock
from proxy.intensity.asker import Asker, Fetch
from proxy.intensity.snapshot import Current, Snapshot, snapshot_of


class Keeper:
    """The sources of one configuration. What a source of `before` with the very same settings knows, and when it is due, is kept."""

    def __init__(self, sources: Sequence[LiveIntensity], fetch: Fetch, clock: Clock, before: "Keeper | None" = None) -> None:
        known = {asker.settings.model_dump_json(): asker for asker in before.askers} if before is not None else {}
        self.askers: tuple[Asker, ...] = tuple(known.get(source.model_dump_json()) or Asker(source, fetch, clock) for source in sources)
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.snapshot: Snapshot = self._taken()

    def start(self) -> None:
        """Begins to ask, each source on its own, until `cancel`."""
        self._tasks = [asyncio.get_running_loop().create_task(self._keep_asking(asker)) for asker in self.askers]

    def cancel(self) -> None:
        """Asks no more; for a moment, tasks may still be ending: `close` waits for them."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Ends the asking."""
        self.cancel()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def step(self, asker: Asker) -> float:
        """Lets a source ask once if it is due, and takes a new snapshot; returns the seconds until it has more to do."""
        wait_s = await asker.step()
        self.snapshot = self._taken()
        return wait_s

    def hour(self, zone: str) -> Hour | None:
        """The average, lifecycle figure of a zone now, as a record keeps it; from memory."""
        found = self.snapshot.hourly(zone, self._clock.now_ms() / 1000)
        if found is None:
            return None
        return Hour(
            gco2e_per_kwh=found.gco2e_per_kwh,
            source=found.source,
            zone=found.zone,
            basis=f"{found.flow}-based, {found.basis}",
            state=found.state,
            age_s=found.age_s,
        )

    def now(self) -> Iterator[Current]:
        """All figures that hold now, each with its kind and basis."""
        return self.snapshot.now(self._clock.now_ms() / 1000)

    def failures(self) -> dict[tuple[str, str], int]:
        """Questions that came to nothing, by source and zone."""
        counts = Counter[tuple[str, str]]()
        for asker in self.askers:
            counts.update({(asker.settings.kind, zone): count for zone, count in list(asker.failures.items())})
        return dict(counts)

    def refused(self) -> dict[tuple[str, str], int]:
        """Readings that cannot be true, by source and reason."""
        counts = Counter[tuple[str, str]]()
        for asker in self.askers:
            counts.update({(asker.settings.kind, reason): count for reason, count in list(asker.refused.items())})
        return dict(counts)

    def _taken(self) -> Snapshot:
        return snapshot_of(curve for asker in self.askers for curve in asker.curves.values())

    async def _keep_asking(self, asker: Asker) -> None:
        while True:
            await asyncio.sleep(await self.step(asker))
