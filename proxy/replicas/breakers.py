"""Tells other replicas which deployments are passed over, and hears it from them, by Redis. It must never be waited for by a call.

Calls read this process's own breakers. A turn in the background, every half second and soon after a change, sends what changed here and
reads what others said. A word that was sent counts until its pause ends; the last one stands. Without Redis each replica has its own alone.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

from config.settings import Settings
from proxy.clock import Clock, uuid7
from proxy.policy.breaker import Breakers, Word
from proxy.policy.candidates import Candidate, Candidates
from proxy.redis_door import RedisDoor, plainly

_log = logging.getLogger("grammage.replicas")
KEY = "grammage:breakers"
LOOK_EVERY_S = 0.5
REST_S = 0.05
"""Between two turns at least, however much changes."""

RETRY_S = 2.0
KEPT_S = 24 * 3600
"""Words outlast the longest pause; those of deployments that nobody has any more go with the last of the others."""

NAME_DIGITS = 24


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A word as Redis keeps it. Times are of Redis's clock, seconds since 1970 UTC: those of replicas need not agree."""

    writer: str
    open_until: float
    cooling_until: float
    pauses: int

    def word(self, server_now: float) -> Word:
        """What it still says."""
        return Word(max(0.0, self.open_until - server_now), max(0.0, self.cooling_until - server_now), self.pauses)


class Snapshot(NamedTuple):
    """What Redis had at a moment of its own clock, which was `perf` here."""

    told: Mapping[str, bytes]
    server_now: float
    perf: float

    def server_time(self, perf: float) -> float:
        """Redis's clock at a moment of ours."""
        return self.server_now + perf - self.perf


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Told).decode


class SharedBreakers:
    """Breakers in step with those of other replicas. Belongs to one event loop; nothing is opened before there are breakers to share."""

    def __init__(self, redis: str | None, clock: Clock) -> None:
        """redis: that of all replicas; None: there are no others."""
        self._door = None if redis is None else RedisDoor(redis)
        self._writer = uuid7(clock.now_ms())
        self._perf = clock.perf
        self._breakers = Breakers(self._note)
        self._deployed: tuple[Candidate, ...] = ()
        self._names: dict[Candidate, str] = {}
        self._positions: Mapping[int, int] = {}
        self._changed: dict[str, Candidate] = {}
        self._seen: Snapshot | None = None
        self._wake = asyncio.Event()
        self._turning: asyncio.Task[None] | None = None
        self._is_deaf = False
        self._closing = False

    def furnish(self, settings: Settings, candidates: Candidates) -> Breakers:
        """New breakers for the deployments of `settings`; what replicas said of them holds. The first several begin the turns."""
        if self._door is None:
            return Breakers()
        self._breakers = Breakers(self._note)
        self._positions = {id(each): at for alias in settings.models.values() for at, each in enumerate(alias.deployments)}
        rows = (*candidates.exact.values(), *(row for _, row in candidates.patterns))
        self._deployed = tuple(candidate for row in rows for candidate in row)
        self._names, self._changed = {}, {}
        if self._seen is not None:
            self._hear(self._seen, None)
        if len(self._deployed) > 1 and self._turning is None:
            self._turning = asyncio.get_running_loop().create_task(self._turn_for_ever(self._door))
        return self._breakers

    async def close(self) -> None:
        """Stops; what was not told by now is no news to anybody soon."""
        self._closing = True
        if self._turning is not None:
            self._turning.cancel()
            await asyncio.wait([self._turning])
        if self._door is not None:
            await self._door.close()

    def _note(self, candidate: Candidate) -> None:
        """A breaker changed here."""
        self._changed[self._name(candidate)] = candidate
        self._wake.set()

    async def _turn_for_ever(self, door: RedisDoor) -> None:
        while True:
            try:
                await self.turn(door)
                self._is_deaf = False
            except OSError as error:
                if self._closing:  # a connection that breaks while it is given up may say so in place of the cancellation
                    return
                if not self._is_deaf:
                    what = type(error.__cause__ or error).__name__
                    _log.warning("replicas cannot be told of failing deployments (%s): each finds out by itself", what)
                self._is_deaf = True
                await asyncio.sleep(RETRY_S)  # a change here would not bring Redis back sooner
                continue
            await asyncio.sleep(REST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    async def turn(self, door: RedisDoor) -> None:
        """Sends what changed here since the turn before, and hears what others sent. Raises ConnectionError; then it is sent next time."""
        self._wake.clear()
        changed, self._changed = self._changed, {}
        try:
            client = await door.client()
            with plainly():
                async with client.pipeline(transaction=False) as pipe:
                    if changed and self._seen is not None:
                        pipe.hset(KEY, mapping={name: raw for name, raw in self._told(changed, self._seen)})  # noqa: C416 - the types of Redis are wider
                        pipe.expire(KEY, KEPT_S)
                    pipe.time()
                    pipe.hgetall(KEY)
                    *_, (seconds, microseconds), found = await pipe.execute()
        except OSError:
            self._changed = {**changed, **self._changed}
            raise
        before, told = self._seen, {name.decode(): raw for name, raw in found.items()}
        self._seen = Snapshot(told, int(seconds) + int(microseconds) / 1e6, self._perf())
        if before is None and changed:  # the first answer told the time, which a word needs
            self._changed = {**changed, **self._changed}
            self._wake.set()
        self._hear(self._seen, None if before is None else before.told)

    def _told(self, changed: Mapping[str, Candidate], seen: Snapshot) -> Iterator[tuple[str, bytes]]:
        """What others are to know, by the deployments' names."""
        now = self._perf()
        server_now = seen.server_time(now)
        for name, candidate in changed.items():
            word = self._breakers.of(candidate).word(now)
            open_until = server_now + word.open_s if word.open_s else 0.0
            yield name, _write(Told(self._writer, open_until, server_now + word.cooling_s, word.pauses))

    def _hear(self, seen: Snapshot, before: Mapping[str, bytes] | None) -> None:
        """Takes over what others said since `before`, but for what changed here in the meantime; None: all that was said, here too."""
        known = before or {}
        fresh = {name: raw for name, raw in seen.told.items() if known.get(name) != raw and name not in self._changed}
        if not fresh:
            return
        for candidate in dict.fromkeys((*self._deployed, *self._breakers.known())):
            raw = fresh.get(self._name(candidate))
            told = None if raw is None else _readable(raw)
            if told is not None and (told.writer != self._writer or before is None):
                self._take(candidate, told, seen)

    def _take(self, candidate: Candidate, told: Told, seen: Snapshot) -> None:
        """A closing word matters where there is a breaker to close; another one as long as it binds."""
        now = self._perf()
        word = told.word(seen.server_time(now))
        binds = word.open_s > 0 or word.cooling_s > 0
        if told.open_until > 0 and not binds:
            return
        if binds or candidate in self._breakers.known():
            if word.open_s > 0:
                shown = candidate.pattern, candidate.provider, word.open_s
                _log.info("alias %s: another replica found that %s fails; it is passed over for %.0f s", *shown)
            self._breakers.of(candidate).hear(now, word)

    def _name(self, candidate: Candidate) -> str:
        """The same for the same deployment of every replica with this configuration; tells nothing of it."""
        found = self._names.get(candidate)
        if found is None:
            at = self._positions.get(id(candidate.deployment), 0)
            parts = (
                candidate.pattern,
                str(at),
                candidate.provider,
                candidate.base_url,
                candidate.model or "",
                candidate.place.region or "",
            )
            found = self._names[candidate] = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:NAME_DIGITS]
        return found


def _readable(raw: bytes) -> Told | None:
    """The word; None for what another version wrote in another shape."""
    try:
        return _read(raw)
    except msgspec.MsgspecError:
        return None
