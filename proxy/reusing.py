"""The door in front of a provider's: an identical request is answered by what is kept, or by one under way. It must never fail a call."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from proxy.call import AttemptRecord
from proxy.passage import Passage
from proxy.reuse.flights import Flight
from proxy.reuse.identity import MOST_REQUEST_BYTES, Asked, may_be_kept
from proxy.reuse.kept import GivenAgain, Kept
from proxy.reuse.room import Lead, Reuse
from proxy.rooms import Rooms
from proxy.upstream.base import Headers, Upstream, UpstreamReply, UpstreamRequest

SUCCESS = range(200, 300)
MOST_JOINED = 2
"""How many calls a call waits for that come to nothing; then it goes on its own."""


def reusing(rooms: Rooms, passage: Passage, door: Upstream) -> Upstream:
    """`door`, behind what is kept where the call's policy has that; also where a budget took over from it.

    Raises BudgetExceeded for a call that a budget lets have nothing else.
    """
    land(rooms, passage)
    verdict = passage.own_verdict or passage.decision.verdict
    seconds = None if verdict is None else verdict.reuse_s
    if rooms.reuse is None or verdict is None or seconds is None:
        _deny(passage)
        return door
    if passage.ask.form is not None or passage.request_bytes > MOST_REQUEST_BYTES or not may_be_kept(passage.known):
        rooms.reuse.count(verdict.policy, "not_reusable")
        _deny(passage)
        return door
    any_temperature = verdict.apply is not None and verdict.apply.reuse_any_temperature
    return ReuseDoor(
        reuse=rooms.reuse,
        passage=passage,
        door=door,
        policy=verdict.policy,
        seconds=seconds,
        any_temperature=any_temperature,
        perf=rooms.clock.perf,
    )


def _deny(passage: Passage) -> None:
    """Raises BudgetExceeded where a budget at its end lets no provider be asked."""
    if passage.denied is not None:
        passage.idle = True
        raise passage.denied


def land(rooms: Rooms, passage: Passage) -> None:
    """The attempt that asked for others is over: what came of it is shared and kept, or they go on without."""
    lead, passage.lead = passage.lead, None
    if lead is None or rooms.reuse is None:
        return
    rooms.reuse.land(lead, _attempt_at(passage, lead.ordinal))


def _attempt_at(passage: Passage, ordinal: int) -> AttemptRecord | None:
    """An attempt of the call as it was recorded."""
    if len(passage.failed) > ordinal:
        return passage.failed[ordinal].record
    attempts = () if passage.entry is None else passage.entry.attempts
    return attempts[ordinal] if len(attempts) > ordinal else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseDoor:
    """One attempt's door. seconds: how old an answer may be; perf: monotonic seconds."""

    reuse: Reuse
    passage: Passage
    door: Upstream
    policy: str
    seconds: float
    any_temperature: bool
    perf: Callable[[], float]

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """What is kept, what an identical call under way gets, else the provider's reply. Raises what the provider's door raises."""
        reuse, passage = self.reuse, self.passage
        passage.idle = True  # if the client leaves before a provider is asked, nothing was generated for it
        name = await reuse.name_of(self._asked(request))
        if name is None:
            reuse.count(self.policy, "not_reusable")
            return await self._from_provider(request)
        if (given := await self._joined(name)) is not None:
            return given
        if reuse.flight(name) is not None:
            reuse.count(self.policy, "miss")
            return await self._from_provider(request)
        lead = Lead(
            name,
            reuse.begin(name, passage.call_id),
            ordinal=len(passage.failed),
            operation=passage.ask.endpoint.operation,
            policy=self.policy,
            seconds=self.seconds,
        )
        try:
            return await self._led(lead, request)
        except BaseException:
            reuse.give_up(lead)
            raise

    async def _from_provider(self, request: UpstreamRequest) -> UpstreamReply:
        _deny(self.passage)
        self.passage.idle = False
        return await self.door.send(request)

    def _asked(self, request: UpstreamRequest) -> Asked:
        passage = self.passage
        return Asked(
            caller_id=passage.caller.id,
            alias=passage.ask.alias,
            operation=passage.ask.endpoint.operation,
            candidate=passage.candidate,
            request=request,
            any_temperature=self.any_temperature,
        )

    async def _joined(self, name: str) -> UpstreamReply | None:
        """The answer of an identical call under way; None when there is no such call, or it came to nothing."""
        for _ in range(MOST_JOINED):
            flight = self.reuse.flight(name)
            if flight is None or flight.call_id == self.passage.call_id:
                return None
            kept = await self._waited(flight)
            if kept is not None and self.reuse.is_fresh(kept, self.seconds):
                return self._given(kept, "joined" if kept.source_call_id == flight.call_id else "reuse")
        return None

    async def _waited(self, flight: Flight) -> Kept | None:
        """The answer of the call under way, None when there is none."""
        passage = self.passage
        kept = await flight.answer()
        now = self.perf()
        passage.waited_s += now - passage.sent  # if it asks itself now, that is no time of the provider's
        passage.sent = now
        return kept

    async def _led(self, lead: Lead, request: UpstreamRequest) -> UpstreamReply:
        reuse = self.reuse
        kept = await reuse.find(lead.name, self.seconds)
        if kept is not None:
            reuse.share(lead, kept)
            return self._given(kept, "reuse")
        reuse.count(self.policy, "miss")
        reply = await self._from_provider(request)
        if reply.status not in SUCCESS:
            reuse.give_up(lead)
            return reply
        self.passage.lead = lead
        lead.recording.begin(reply.status, reply.headers)
        return RecordedReply(reply, lead, reuse)

    def _given(self, kept: Kept, kind: str) -> GivenAgain:
        """The answer, with the passage told that no provider is asked."""
        given = GivenAgain(kept, kind)
        self.reuse.count(self.policy, "hit" if kind == "reuse" else "joined")
        self.passage.instead = given.instead
        return given


class RecordedReply:
    """A provider's reply, of which what passes is noted."""

    __slots__ = ("_lead", "_reply", "_reuse", "headers", "status")

    def __init__(self, reply: UpstreamReply, lead: Lead, reuse: Reuse) -> None:
        self._reply = reply
        self._lead = lead
        self._reuse = reuse
        self.status: int = reply.status
        self.headers: Headers = reply.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        self._lead.recording.is_stream = True
        async for chunk in self._reply.chunks():
            self._note(chunk)
            yield chunk

    async def read(self) -> bytes:
        """The whole body."""
        body = await self._reply.read()
        self._note(body)
        return body

    @property
    def ended(self) -> bool:
        """As the provider's."""
        return self._reply.ended

    def close(self, *, broken: bool = False) -> None:
        """As the provider's; who waits for a broken one goes on."""
        if broken:
            self._reuse.give_up(self._lead)
        self._reply.close(broken=broken)

    def _note(self, part: bytes) -> None:
        if not self._lead.recording.is_over and not self._lead.recording.take(part):
            self._reuse.give_up(self._lead)
