"""Keeps answers and calls under way together: who leads, who waits, what is found. It must never be furnished where no policy reuses."""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from proxy.call import AttemptRecord
from proxy.reuse.flights import Flight, Flights, Recording
from proxy.reuse.identity import READ_AT_ONCE_BYTES, Asked, Namer
from proxy.reuse.kept import Kept, is_whole_stream

MOST_WRITES = 256
"""Answers on their way to the store at once; beyond it one is not kept."""

Result = Literal["hit", "joined", "miss", "stored", "not_reusable"]


class Store(Protocol):
    """Where answers are kept by name, for so many seconds."""

    async def find(self, name: str) -> Kept | None:
        """What is kept under the name."""

    async def keep(self, name: str, kept: Kept, seconds: float) -> None:
        """Keeps an answer."""

    async def erase(self, owner: str) -> int:
        """Forgets all that is kept for a caller; how many answers that were. Raises ConnectionError."""

    def size_bytes(self) -> int | None:
        """Bytes kept now, None where that is not known here."""

    async def close(self) -> None:
        """Gives back what it holds."""


class Lead:
    """A call that asks for all who want the same, and what has passed of its answer.

    ordinal: which of the call's attempts it is. seconds: how long its policy keeps the answer.
    """

    __slots__ = ("flight", "name", "operation", "ordinal", "policy", "recording", "seconds")

    def __init__(self, name: str, flight: Flight, *, ordinal: int, operation: str, policy: str, seconds: float) -> None:
        self.name = name
        self.flight = flight
        self.ordinal = ordinal
        self.operation = operation
        self.policy = policy
        self.seconds = seconds
        self.recording = Recording()


class Reuse:
    """The room. Belongs to one event loop."""

    def __init__(self, secret: bytes, store: Store, *, now_ms: Callable[[], int], count: Callable[[str, Result], None]) -> None:
        """count: takes a policy's name and what came of a call under it."""
        self._namer = Namer(secret)
        self._store = store
        self._now_ms = now_ms
        self._flights = Flights()
        self._writes: set[asyncio.Task[None]] = set()
        self.count = count

    async def name_of(self, asked: Asked) -> str | None:
        """The request's name, None where no earlier answer may serve it."""
        body = asked.request.body
        if isinstance(body, bytes) and len(body) > READ_AT_ONCE_BYTES:
            return await asyncio.to_thread(self._namer.name, asked)
        return self._namer.name(asked)

    def flight(self, name: str) -> Flight | None:
        """The call that asks for this now."""
        return self._flights.of(name)

    def begin(self, name: str, call_id: str) -> Flight:
        """A call asks for all who want the same from now on; `give_up`, `share` or `land` ends that."""
        return self._flights.begin(name, call_id)

    async def find(self, name: str, seconds: float) -> Kept | None:
        """An answer that is not older than that."""
        found = await self._store.find(name)
        return found if found is not None and self.is_fresh(found, seconds) else None

    def is_fresh(self, kept: Kept, seconds: float) -> bool:
        """True for an answer that is not older than that."""
        return self._now_ms() - kept.kept_ms <= seconds * 1000

    def give_up(self, lead: Lead) -> None:
        """The lead came to nothing: who waits goes on."""
        lead.recording.drop()
        self._flights.leave(lead.name, lead.flight)
        lead.flight.end(None)

    def share(self, lead: Lead, kept: Kept) -> None:
        """The lead found what was kept: who waits gets it too."""
        lead.recording.drop()
        self._flights.leave(lead.name, lead.flight)
        lead.flight.end(kept)

    def land(self, lead: Lead, attempt: AttemptRecord | None) -> None:
        """The lead's attempt is recorded, as `attempt` has it: a good answer is kept and given to who waits."""
        if lead.recording.is_over or attempt is None or not _is_good(lead, attempt):
            self.give_up(lead)
            return
        kept = lead.recording.kept(lead.flight.call_id, self._now_ms())
        lead.recording.drop()
        lead.flight.end(kept)
        if len(self._writes) >= MOST_WRITES:
            self._flights.leave(lead.name, lead.flight)
            return
        writing = asyncio.get_running_loop().create_task(self._keep(lead, kept))
        self._writes.add(writing)
        writing.add_done_callback(self._writes.discard)

    async def erase(self, caller_id: str) -> int:
        """Forgets all that is kept for a caller; how many answers that were. Raises ConnectionError where the store cannot be reached."""
        return await self._store.erase(self._namer.owner(caller_id))

    def size_bytes(self) -> int | None:
        """Bytes kept now, None where that is not known here."""
        return self._store.size_bytes()

    async def close(self) -> None:
        """Lets what is on its way arrive, and gives back the store."""
        await asyncio.gather(*self._writes)
        await self._store.close()

    async def _keep(self, lead: Lead, kept: Kept) -> None:
        """The answer goes to the store; until it is there the flight gives it to who comes."""
        try:
            await self._store.keep(lead.name, kept, lead.seconds)
            self.count(lead.policy, "stored")
        finally:
            self._flights.leave(lead.name, lead.flight)


def _is_good(lead: Lead, attempt: AttemptRecord) -> bool:
    """True for an answer that came whole, was counted, and is kept nowhere else."""
    usage = attempt.usage
    if attempt.outcome != "ok" or usage is None or usage.partial or attempt.upstream_object_id is not None:
        return False
    return not lead.recording.is_stream or is_whole_stream(lead.operation, lead.recording.body)
