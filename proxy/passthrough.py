"""Lets every path that is not metered through, both ways, as it comes. It must never buffer or read a body.

Paths that generate are recorded as `unmetered` calls; known paths that do not are only counted.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from proxy.admit import KIB, MIB
from proxy.asgi import NO_BODY, ClientGone, Upload, refuse_large, refuse_large_headers, send_error
from proxy.call import AttemptRecord, Caller, CallRecord, Outcome
from proxy.clock import uuid7
from proxy.errors import Ending, Forbidden, GrammageError, LoopDetected, NotFound, TooLarge
from proxy.headers import is_loop, outgoing, returned, value_of
from proxy.outgoing import upstream_url
from proxy.passage import CLIENT_CLOSED_REQUEST
from proxy.policy.candidates import Candidate
from proxy.policy.decide import refuse_reader
from proxy.rooms import Rooms
from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest

NOT_GENERATIVE = frozenset(
    [
        "models",
        "files",
        "uploads",
        "vector_stores",
        "conversations",
        "assistants",
        "containers",
        "skills",
        "vaults",
        "organization",
        "projects",
        "safety",
        "webhook_endpoints",
        "webhooks",
        "chatkit",
        "content_provenance_checks",
    ]
)
"""First path segments after /v1 that store or list, and generate nothing."""

READING = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))
UNMETERED = "unmetered"


def kind_of(method: str, path: str) -> str:
    """`unmetered` for what may generate, else the kind of thing that is read or stored."""
    segment = path.removeprefix("/v1/").split("/", 1)[0]
    if segment in NOT_GENERATIVE:
        return segment
    return "polling" if method in READING else UNMETERED


async def pass_through(rooms: Rooms, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one call of any other path to the provider of unmatched models and back."""
    transit = Transit(rooms=rooms, scope=scope, send=send, kind=kind_of(scope["method"], scope["path"]), entered=rooms.clock.perf())
    upload = Upload(receive, int(rooms.settings.server.limits.upload_mb * MIB))
    try:
        request = transit.admit(upload)
        async with rooms.watch(receive, upload.done):
            await transit.carry(request, upload)
    except GrammageError as error:
        await transit.break_off(upload.trouble or error)
    except asyncio.CancelledError:
        await transit.leave(ending=(task := asyncio.current_task()) is not None and task.cancelling() > 0)
    finally:
        transit.keep(request_bytes=upload.size)


@dataclass(slots=True, kw_only=True)
class Transit:
    """One unmetered call under way."""

    rooms: Rooms
    scope: Scope
    send: Send
    kind: str
    entered: float
    target: Candidate | None = None
    caller: Caller | None = None
    reply: UpstreamReply | None = None
    sent: bool = False
    kept: bool = False
    begun: bool = False
    status: int = 0
    outcome: Outcome = "ok"
    response_bytes: int = 0

    def admit(self, upload: Upload) -> UpstreamRequest:
        """The request that leaves. Raises the GrammageError that refuses it."""
        rooms, scope = self.rooms, self.scope
        headers = scope["headers"]
        limits = rooms.settings.server.limits
        refuse_large_headers(scope, int(limits.header_kb * KIB))
        if is_loop(headers):
            raise LoopDetected("this call already came through this proxy; an upstream points back at it: check api_base and --upstream.")
        raw_path = _raw_path(scope)
        caller = self.caller = rooms.doorkeeper.identify(headers)
        target = self.target = _target(rooms, caller, self.kind, scope["path"])
        refuse_large(headers, int(limits.upload_mb * MIB))
        known = dict(headers)
        kept = outgoing(
            headers, known, api_key=target.api_key, own_key_goes=caller.forwards_own_key, encoding=known.get(b"accept-encoding", b"")
        )
        length = known.get(b"content-length")
        has_body = length not in (None, b"0") or b"transfer-encoding" in known
        if has_body and length is not None:
            kept.append((b"content-length", length))
        if not has_body:
            upload.done.set()
        return UpstreamRequest(
            method=scope["method"],
            url=upstream_url(target.base_url, raw_path, scope["query_string"]),
            path=scope["path"],
            headers=kept,
            body=upload.chunks() if has_body else None,
        )

    async def carry(self, request: UpstreamRequest, upload: Upload) -> None:
        """Both ways, chunk by chunk. Raises what the door raises."""
        assert self.target is not None  # admit set it
        self.sent = True
        reply = self.reply = await self.rooms.door_of(self.target).send(request)
        self.status = reply.status
        await self.send({"type": "http.response.start", "status": reply.status, "headers": _with_length(reply)})
        self.begun = True
        last, length = b"", self._held_length(reply)
        async for chunk in reply.chunks():
            self.response_bytes += len(chunk)
            if self.response_bytes == length:
                last = chunk
                continue
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        reply.close()
        self.outcome = "ok" if reply.status < 400 else "client_error" if reply.status < 500 else "upstream_error"
        durable = self.keep(request_bytes=upload.size)
        if durable is not None:
            await durable
        await self.send({"type": "http.response.body", "body": last})

    def _held_length(self, reply: UpstreamReply) -> int:
        """The length at which the answer is whole to its client, so that its last chunk waits until the call is recorded; -1: none is."""
        length = value_of(reply.headers, b"content-length") if self.kind == UNMETERED else None
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
            await send_error(self.send, error)

    async def leave(self, *, ending: bool) -> None:
        """The client left, or the proxy itself is ending."""
        self.drop()
        self.outcome = "given_up" if ending else "client_left"
        if not self.begun:
            error = Ending("the proxy is shutting down; try again.")
            self.status = error.status if ending else CLIENT_CLOSED_REQUEST
            if ending:
                await send_error(self.send, error)

    def drop(self) -> None:
        """Lets the provider's connection go."""
        if self.reply is not None:
            self.reply.close(broken=True)

    def keep(self, *, request_bytes: int) -> "asyncio.Future[None] | None":
        """Counts the call once, and records it when something may have been generated; the future, if any, ends when it is kept."""
        if self.kept:
            return None
        self.kept = True
        self.rooms.observer.observe_passthrough(self.scope["path"], self.status)
        if self.kind == UNMETERED and self.sent and self.target is not None and self.caller is not None:
            entry = _record(self, self.target, self.caller, request_bytes)
            self.rooms.observer.observe(entry)
            self.rooms.call_log.write(entry)
            return self.rooms.recorder.append(entry)
        return None


def _target(rooms: Rooms, caller: Caller, kind: str, path: str) -> Candidate:
    """Who takes the call. Raises Forbidden when this caller may not send it, or when nobody can be told to take it."""
    refuse_reader(caller)
    if kind == UNMETERED and caller.models is not None:
        raise Forbidden(f"key {caller.id!r} is bound to models, and the model of {path[:80]} is not read here; use a metered endpoint.")
    target = rooms.unmatched
    if target is None:
        raise Forbidden(f"{path[:80]} is not served here: several providers are configured and none is named `*`; add that alias.")
    if not caller.forwards_own_key and target.api_key is None:
        raise Forbidden(f"{path[:80]} is not served here: provider {target.provider} has no api_key; add one to its deployment.")
    return target


def _raw_path(scope: Scope) -> str:
    """The path as the caller wrote it. Raises NotFound when it does not stay below /v1."""
    raw = (scope.get("raw_path") or scope["path"].encode()).split(b"?", 1)[0].decode("latin-1")
    if not raw.startswith("/v1/") or any(part in (".", "..") for part in scope["path"].split("/")):
        raise NotFound(f"{raw[:80]!r} does not name a path below /v1; write it plainly.", code="unknown_path")
    return str(raw)


def _with_length(reply: UpstreamReply) -> Headers:
    """The provider's headers, its content-length included where a body follows: it leaves as it came."""
    headers = returned(reply.headers)
    length = None if reply.status in NO_BODY else value_of(reply.headers, b"content-length")
    return headers if length is None else [*headers, (b"content-length", length)]


def _record(transit: Transit, target: Candidate, caller: Caller, request_bytes: int) -> CallRecord:
    """An unmetered call's facts: no usage, no estimate, and that is said."""
    clock = transit.rooms.clock
    latency_s = clock.perf() - transit.entered
    started_ms = clock.now_ms() - int(latency_s * 1000)
    status, outcome = transit.status, transit.outcome
    attempt = AttemptRecord(
        attempt_id=uuid7(started_ms), ordinal=0, provider=target.provider, model=UNMETERED, served_model=UNMETERED,
        region=target.place.region, zone=target.place.zone, place_assumed=target.place.assumed, simulated=target.is_simulated,
        status=status, outcome=outcome, upstream_request_id=None, usage=None, estimate=None, unweighed_reason=UNMETERED,
        request_bytes=request_bytes, response_bytes=transit.response_bytes, latency_s=latency_s,
    )  # fmt: skip
    return CallRecord(
        call_id=uuid7(started_ms), started_ms=started_ms, operation=UNMETERED, path=transit.scope["path"][:256], alias=UNMETERED,
        caller_id=caller.id, tags=caller.tags, user_hash=None, user_hash_key_id=None, status=status, outcome=outcome, stream=False,
        stream_complete=outcome == "ok", latency_s=latency_s, time_to_first_token_s=None, overhead_s=0.0, policy="none", altered="",
        retry_count=0, idempotency_key_hash=None, attempts=(attempt,),
    )  # fmt: skip
