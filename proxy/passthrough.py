"""Lets every path that is not metered through, both ways, as it comes. It must never change a body, nor hold back one that it reads.

Paths that generate are recorded as `unmetered` calls; known paths that do not are only counted. Work that a call begins here is recorded
as pending, and booked when an answer that passes shows that it has ended.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from config.providers import Dialect, key_header
from proxy.admit import KIB, MIB
from proxy.asgi import NO_BODY, ClientGone, Upload, refuse_large, refuse_large_headers, send_error
from proxy.auth import refuse_page, with_query_key
from proxy.call import Caller, CallRecord, Outcome
from proxy.clock import uuid7
from proxy.errors import FAULT, Ending, GrammageError, InternalError, LoopDetected, TooLarge
from proxy.headers import is_loop, outgoing, returned, value_of
from proxy.late.book import Shown, book
from proxy.late.making import Asked, Passed, made, read_asked, unmetered
from proxy.late.whose import holder_of, refuse_stranger
from proxy.objects.paths import NOT_GENERATIVE, UNMETERED, Passing, object_ids, passing
from proxy.objects.taps import LinesTap, Tap, tap_for
from proxy.objects.work import Work
from proxy.outgoing import address_for, query_for
from proxy.passage import CLIENT_CLOSED_REQUEST
from proxy.policy.candidates import Candidate
from proxy.policy.decide import refuse_reader
from proxy.rooms import Rooms
from proxy.route import ADDRESS, Address
from proxy.tag import call_header
from proxy.taker import raw_path, taker
from proxy.throttle import telling
from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest

LONGEST_MAKING_BYTES = 1024 * 1024
"""A longer request that begins work passes unread."""

LONGEST_READ_BYTES = 256 * 1024
"""A longer answer is read in a thread."""

SETTLE_S = 2.0
GOOD = range(200, 300)
_log = logging.getLogger("grammage.passthrough")


async def pass_through(rooms: Rooms, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one call of any other path to the provider of unmatched models and back."""
    meant = passing(scope["method"], scope["path"])
    transit = Transit(rooms=rooms, scope=scope, send=send, meant=meant, entered=rooms.clock.perf(), call_id=uuid7(rooms.clock.now_ms()))
    upload = Upload(receive, int(rooms.settings.server.limits.upload_mb * MIB))
    try:
        request = await transit.admit(upload)
        if transit.caller is not None and (ticket := await rooms.limiter.enter(transit.caller, 0)) is not None:
            transit.send = telling(send, ticket)
        async with rooms.watch(receive, upload.done):
            await transit.carry(request, upload)
    except GrammageError as error:
        await transit.break_off(upload.trouble or error)
    except asyncio.CancelledError:
        await transit.leave(ending=(task := asyncio.current_task()) is not None and task.cancelling() > 0)
    except Exception:  # noqa: BLE001  # the edge: a fault of ours is one call's, and is said in the envelope
        _log.exception("call %s failed in the proxy", transit.call_id)
        await transit.break_off(InternalError(FAULT))
    finally:
        await transit.settle(upload.size)


@dataclass(slots=True, kw_only=True)
class Transit:
    """One unmetered call under way."""

    rooms: Rooms
    scope: Scope
    send: Send
    meant: Passing
    entered: float
    call_id: str
    target: Candidate | None = None
    caller: Caller | None = None
    reply: UpstreamReply | None = None
    sent: bool = False
    kept: bool = False
    begun: bool = False
    status: int = 0
    outcome: Outcome = "ok"
    response_bytes: int = 0
    asked: Asked = field(default_factory=Asked)
    tap: Tap | None = None

    @property
    def dialect(self) -> Dialect:
        """Whose API the path belongs to."""
        address: Address | None = self.scope.get(ADDRESS)
        return "openai" if address is None else address.dialect

    async def admit(self, upload: Upload) -> UpstreamRequest:
        """The request that leaves. Raises the GrammageError that refuses it."""
        rooms, scope = self.rooms, self.scope
        headers = scope["headers"]
        limits = rooms.settings.server.limits
        refuse_large_headers(scope, int(limits.header_kb * KIB))
        if is_loop(headers):
            raise LoopDetected("this call already came through this proxy; an upstream points back at it: check api_base and --upstream.")
        path = raw_path(scope)
        known, query = dict(headers), scope["query_string"]
        presented = with_query_key(known, self.dialect, query)
        refuse_page(presented, rooms.settings.server.cors.origins)
        caller = self.caller = rooms.doorkeeper.identify_known(presented)
        refuse_reader(caller)
        refuse_large(headers, int(limits.upload_mb * MIB))
        body = await self._read(caller, known, upload)
        keeper = await self._keeper(caller)
        target = self.target = taker(rooms, caller, self.meant, self.asked, scope["path"], self.dialect, keeper)
        kept = outgoing(
            headers,
            known,
            api_key=target.api_key,
            own_key_goes=caller.forwards_own_key,
            encoding=b"identity" if self._is_read else known.get(b"accept-encoding", b""),
            key_header=key_header(target.provider, self.dialect),
        )
        query = query_for(target, self.dialect, query, own_key_goes=caller.forwards_own_key)
        length = known.get(b"content-length")
        has_body = length not in (None, b"0") or b"transfer-encoding" in known
        if has_body and length is not None:
            kept.append((b"content-length", length))
        if not has_body:
            upload.done.set()
        return UpstreamRequest(
            method=scope["method"],
            url=address_for(target, self.dialect, path, query, ""),
            path=f"{scope['path']}?{query.decode('latin-1')}" if query and target.is_simulated else scope["path"],
            headers=kept,
            body=body if body is not None else upload.chunks() if has_body else None,
            timeouts=target.timeouts,
        )

    @property
    def _is_read(self) -> bool:
        """Whether the answer is looked into for work that has ended."""
        return self.meant.shows or self.meant.file_id is not None

    async def _read(self, caller: Caller, known: dict[bytes, bytes], upload: Upload) -> bytes | None:
        """The body of a call that begins work, read for its model, tags and references; None for a body that passes unread."""
        making = self.meant.making
        length = known.get(b"content-length", b"")
        if making is None:
            return None
        whole = length.isdigit() and 0 < int(length) <= LONGEST_MAKING_BYTES
        body = b"".join([chunk async for chunk in upload.chunks()]) if whole else b""
        self.asked = read_asked(self.rooms, caller, self.scope["headers"], making, body)
        return body if whole else None

    async def _keeper(self, caller: Caller) -> Candidate | None:
        """Who keeps what the call is about, None where nobody is known to. Raises NotFound (unknown_object)."""
        if self.dialect == "gemini":
            return None
        ids = (*object_ids(self.scope["path"]), *self.asked.named)
        origin, keeper = await holder_of(self.rooms, ids, in_ledger=self.meant.kind not in NOT_GENERATIVE)
        refuse_stranger(caller, origin)
        if keeper is None or keeper.is_simulated or keeper.api_key is not None or origin is None:
            return keeper
        return keeper if caller.id == origin.caller_id else None  # its key was meant for whoever takes what nobody else does

    async def carry(self, request: UpstreamRequest, upload: Upload) -> None:
        """Both ways, chunk by chunk. Raises what the door raises."""
        assert self.target is not None  # admit set it
        self.sent = True
        reply = self.reply = await self.rooms.door_of(self.target, self.dialect).send(request)
        self.status = reply.status
        self.tap = self._tap_of(reply)
        self.outcome = "ok" if reply.status < 400 else "client_error" if reply.status < 500 else "upstream_error"
        headers, length = _with_length(reply), self._held_length(reply)
        if self.meant.making is not None and self.rooms.settings.tagging.headers:
            headers.append(call_header(self.call_id))
        if length == 0:
            await self.settle(upload.size)  # its head is the whole answer
        self.begun = True
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})
        last = b""
        async for chunk in reply.chunks():
            self.response_bytes += len(chunk)
            if self.tap is not None:
                self.tap.feed(chunk)
            if self.response_bytes == length:
                last = chunk
                continue
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        reply.close()
        if isinstance(self.tap, LinesTap):
            self.tap.is_whole = True
        await self.settle(upload.size)
        await self.send({"type": "http.response.body", "body": last})

    def _tap_of(self, reply: UpstreamReply) -> Tap | None:
        if not self._is_read or reply.status not in GOOD:
            return None
        kind = value_of(reply.headers, b"content-type") or b""
        return tap_for(kind, value_of(reply.headers, b"content-encoding"), self.meant.file_id)

    def _held_length(self, reply: UpstreamReply) -> int:
        """The length at which the answer is whole to its client, so that its last chunk waits until the call is recorded; -1: none is."""
        if not self._is_recorded and self.tap is None:
            return -1
        length = b"0" if reply.status in NO_BODY else value_of(reply.headers, b"content-length")
        return int(length) if length and length.isdigit() else -1

    async def break_off(self, error: GrammageError | ClientGone) -> None:
        """The provider, the client or a rule ended it: said in the envelope while nothing has been sent, else by an unclean end."""
        self.drop()
        if isinstance(error, ClientGone):
            self.outcome = "client_left"
            self.status = self.status or CLIENT_CLOSED_REQUEST
            return
        self.sent = self.sent and not isinstance(error, TooLarge)
        self.outcome = "upstream_cut" if self.begun else "upstream_error"
        if not self.begun:
            self.status = error.status
            await send_error(self.send, error, dialect=self.dialect)

    async def leave(self, *, ending: bool) -> None:
        """The client left, or the proxy itself is ending."""
        self.drop()
        self.outcome = "given_up" if ending else "client_left"
        if not self.begun:
            error = Ending("the proxy is shutting down; try again.")
            self.status = error.status if ending else CLIENT_CLOSED_REQUEST
            if ending:
                await send_error(self.send, error, dialect=self.dialect)

    def drop(self) -> None:
        """Lets the provider's connection go."""
        if self.reply is not None:
            self.reply.close(broken=True)

    @property
    def _is_recorded(self) -> bool:
        return self.meant.making is not None or self.meant.kind == UNMETERED

    async def settle(self, request_bytes: int) -> None:
        """Counts the call once, records it when it may have generated, and books ended work that it showed; ends once that is kept."""
        if self.kept:
            return
        self.kept = True
        self.rooms.observer.observe_passthrough(self.scope["path"], self.status)
        if not self.sent or self.target is None or self.caller is None or not (self._is_recorded or self.tap is not None):
            return
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._keep(self.target, self.caller, request_bytes)
        except TimeoutError:
            _log.error("what a call of %s showed was not kept within %s s", self.meant.kind, SETTLE_S)
        except Exception:  # noqa: BLE001  # the edge: what we add may fail, the client's answer may not
            _log.exception("what a call of %s showed could not be kept", self.meant.kind)

    async def _keep(self, target: Candidate, caller: Caller, request_bytes: int) -> None:
        works = await self._works()
        durable = None
        if self._is_recorded:
            passed = self._passed(target, caller, request_bytes)
            entry = unmetered(passed) if self.meant.making is None else await made(self.rooms, passed, works)
            durable = self._hand_in(entry)
        await book(self.rooms, works, Shown(caller=caller, target=target, path=self.scope["path"]))
        if durable is not None:
            await durable

    async def _works(self) -> list[Work]:
        """What the answer showed; a long one is read in a thread."""
        if self.tap is None:
            return []
        return self.tap.works() if self.response_bytes <= LONGEST_READ_BYTES else await asyncio.to_thread(self.tap.works)

    def _hand_in(self, entry: CallRecord) -> "asyncio.Future[None] | None":
        self.rooms.observer.observe(entry)
        self.rooms.call_log.write(entry)
        return self.rooms.recorder.append(entry)

    def _passed(self, target: Candidate, caller: Caller, request_bytes: int) -> Passed:
        """The call as it went."""
        clock = self.rooms.clock
        latency_s = clock.perf() - self.entered
        return Passed(
            call_id=self.call_id,
            started_ms=clock.now_ms() - int(latency_s * 1000),
            path=self.scope["path"],
            caller=caller,
            target=target,
            status=self.status,
            outcome=self.outcome,
            latency_s=latency_s,
            request_bytes=request_bytes,
            response_bytes=self.response_bytes,
            operation=UNMETERED if self.meant.making is None else self.meant.making.operation,
            asked=self.asked,
        )


def _with_length(reply: UpstreamReply) -> Headers:
    """The provider's headers, its content-length included where a body follows: it leaves as it came."""
    headers = returned(reply.headers)
    length = None if reply.status in NO_BODY else value_of(reply.headers, b"content-length")
    return headers if length is None else [*headers, (b"content-length", length)]
