"""The configured meters: asks each on its interval, and says what share of it a call had. It must never fail a call, nor hold one back."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from config.deployment import Meter
from estimators.physics_lines import J_PER_WH
from estimators.usage import Metered
from proxy.clock import Clock
from proxy.http_client import FetchError
from proxy.meters.answer import BadAnswer, Readings, read_prometheus, read_tensorrt
from proxy.meters.kinds import TENSORRT_PATH, boundary_of, kind_of, promql
from proxy.meters.shares import Shares
from proxy.policy.candidates import Candidate

_log = logging.getLogger("grammage.meters")
SILENT = "meter-silent"
"""Warning on a call that its meter says nothing of: it is weighed by the model."""

Fetch = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[bytes]]
"""Asks (url, query parameters, headers) and returns the body. Raises FetchError."""


class MeterOf:
    """One meter and its account."""

    __slots__ = ("_clock", "_fetch", "_settings", "_shares", "_silent", "interval_s")

    def __init__(self, settings: Meter, fetch: Fetch, clock: Clock) -> None:
        kind = kind_of(settings)
        self._settings = settings
        self._fetch = fetch
        self._clock = clock
        self._silent = False
        self.interval_s = settings.interval_s
        counts_idle = boundary_of(settings) != "gpu"
        self._shares = Shares(interval_s=settings.interval_s, unit_j=kind.unit_j, is_power=kind.is_power, counts_idle=counts_idle)

    async def poll(self) -> None:
        """Asks once; a failure is logged when it begins and when it ends, and leaves the account as it is."""
        try:
            found = await self._ask()
        except (FetchError, BadAnswer) as error:
            if not self._silent:
                _log.warning("meter %s at %s %s; calls are weighed by the model meanwhile", *self._name(), error)
            self._silent = True
            return
        if self._silent:
            _log.info("meter %s at %s answers again", *self._name())
        self._silent = False
        self._shares.reading(found, self._clock.perf())

    def share(self, modelled_j: float, began: float, ended: float) -> Metered | None:
        """The energy of a call that has ended, by what the last complete intervals say; None when the meter is silent."""
        self._shares.finished(modelled_j, began, ended)
        ratio = self._shares.measured_per_modelled(self._clock.perf())
        if ratio is None:
            return None
        settings = self._settings
        return Metered(energy_wh=ratio * modelled_j / J_PER_WH, boundary=boundary_of(settings), source=settings.kind, shared=True)

    async def _ask(self) -> Readings:
        settings, path = self._settings, kind_of(self._settings).path
        headers = {"authorization": f"Bearer {settings.token}"} if settings.token else {}
        url = settings.url.rstrip("/") + path
        if path == TENSORRT_PATH:
            return read_tensorrt(await self._fetch(url, {}, headers))
        return read_prometheus(await self._fetch(url, {"query": promql(settings)}, headers))

    def _name(self) -> tuple[str, str]:
        return self._settings.kind, urlsplit(self._settings.url).hostname or "nowhere"


class Board:
    """All meters of the configuration; deployments with the same one share its account."""

    def __init__(self, candidates: Iterable[Candidate], fetch: Fetch, clock: Clock) -> None:
        meters: dict[str, MeterOf] = {}
        self._by_candidate: dict[Candidate, MeterOf] = {}
        for candidate in candidates:
            if candidate.meter is None:
                continue
            key = candidate.meter.model_dump_json()
            self._by_candidate[candidate] = meters.get(key) or meters.setdefault(key, MeterOf(candidate.meter, fetch, clock))
        self.meters = tuple(meters.values())
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, candidate: Candidate) -> MeterOf | None:
        """The meter of a deployment, if it has one."""
        return self._by_candidate.get(candidate)

    def start(self) -> None:
        """Begins to ask, each meter on its own interval, until `close`."""
        self._tasks = [asyncio.get_running_loop().create_task(_keep_asking(meter)) for meter in self.meters]

    async def close(self) -> None:
        """Ends the asking."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _keep_asking(meter: MeterOf) -> None:
    while True:
        await meter.poll()
        await asyncio.sleep(meter.interval_s)
