"""Lets every path that is not metered through, both ways, as it comes. It must never buffer or read a body.

Paths that generate are recorded as `unmetered` calls; known paths that do not are only counted.
"""

import asyncio

from starlette.types import Receive, Scope, Send

from proxy.admit import KIB, MIB
from proxy.asgi import ClientGone, refuse_large, refuse_large_headers, send_error, stream_body
from proxy.call import AttemptRecord, Caller, CallRecord, Outcome
from proxy.clock import uuid7
from proxy.errors import Forbidden, GrammageError, LoopDetected
from proxy.headers import is_loop, outgoing, returned, value_of
from proxy.outgoing import upstream_url
from proxy.rooms import Rooms
from proxy.upstream.base import UpstreamReply, UpstreamRequest

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
    entered, started_ms = rooms.clock.perf(), rooms.clock.now_ms()
    kind = kind_of(scope["method"], scope["path"])
    status, size = 0, 0
    outcome: Outcome = "ok"
    caller = Caller(id="unknown")
    reply: UpstreamReply | None = None
    begun = False
    try:
        caller, request = _request(rooms, scope, receive)
        watch = rooms.watch(receive)
        # The client is watched only once its request is through: until then `receive` belongs to the body.
        reply = await rooms.door_of(rooms.unmatched).send(request)
        status = reply.status
        async with watch:
            await send({"type": "http.response.start", "status": status, "headers": _with_length(reply)})
            begun = True
            async for chunk in reply.chunks():
                size += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        reply.close()
        outcome = "ok" if status < 400 else "client_error" if status < 500 else "upstream_error"
    except GrammageError as error:
        status, outcome = (status if begun else error.status), "upstream_cut" if begun else "upstream_error"
        _drop(reply)
        if not begun:
            await send_error(send, error)
    except ClientGone:
        outcome = "client_left"
        _drop(reply)
    except asyncio.CancelledError:
        outcome = "client_left"
        _drop(reply)
        if not watch.fired:
            raise
    finally:
        rooms.observer.observe_passthrough(kind, status)
        if kind == UNMETERED and (reply is not None or outcome == "client_left"):
            _record(rooms, scope, caller, started_ms, entered, status, outcome, size)


def _request(rooms: Rooms, scope: Scope, receive: Receive) -> tuple[Caller, UpstreamRequest]:
    headers = scope["headers"]
    limits = rooms.settings.server.limits
    refuse_large_headers(scope, int(limits.header_kb * KIB))
    if is_loop(headers):
        raise LoopDetected("this call already came through this proxy; an upstream points back at it: check api_base and --upstream.")
    caller = rooms.doorkeeper.identify(headers)
    target = rooms.unmatched
    if not caller.forwards_own_key and target.api_key is None:
        raise Forbidden(
            f"{scope['path']} is not served here: no deployment with an api_key takes such paths; add one for provider {target.provider}."
        )
    limit = int(limits.upload_mb * MIB)
    refuse_large(headers, limit)
    kept = outgoing(
        headers, api_key=target.api_key, own_key_goes=caller.forwards_own_key, encoding=value_of(headers, b"accept-encoding") or b""
    )
    has_body = value_of(headers, b"content-length") not in (None, b"0") or value_of(headers, b"transfer-encoding") is not None
    length = value_of(headers, b"content-length")
    if has_body and length is not None:
        kept.append((b"content-length", length))
    path = (scope.get("raw_path") or scope["path"].encode()).split(b"?", 1)[0].decode("latin-1")
    return caller, UpstreamRequest(
        method=scope["method"],
        url=upstream_url(target.base_url, path, scope["query_string"]),
        path=scope["path"],
        headers=kept,
        body=stream_body(receive, limit) if has_body else None,
    )


def _with_length(reply: UpstreamReply) -> list[tuple[bytes, bytes]]:
    """The provider's headers, its content-length included: the body leaves as it came."""
    headers = returned(reply.headers)
    length = value_of(reply.headers, b"content-length")
    return headers if length is None else [*headers, (b"content-length", length)]


def _drop(reply: UpstreamReply | None) -> None:
    if reply is not None:
        reply.close(broken=True)


def _record(rooms: Rooms, scope: Scope, caller: Caller, started_ms: int, entered: float, status: int, outcome: Outcome, size: int) -> None:
    """An unmetered call's facts: no usage, no estimate, and that is said."""
    target, latency_s = rooms.unmatched, rooms.clock.perf() - entered
    attempt = AttemptRecord(
        attempt_id=uuid7(started_ms), ordinal=0, provider=target.provider, model=UNMETERED, served_model=UNMETERED,
        region=target.place.region, zone=target.place.zone, place_assumed=target.place.assumed, simulated=False, status=status,
        outcome=outcome, upstream_request_id=None, usage=None, estimate=None, unweighed_reason=UNMETERED, request_bytes=0,
        response_bytes=size, latency_s=latency_s,
    )  # fmt: skip
    entry = CallRecord(
        call_id=uuid7(started_ms), started_ms=started_ms, operation=UNMETERED, path=scope["path"][:256], alias=UNMETERED,
        caller_id=caller.id, tags=caller.tags, user_hash=None, user_hash_key_id=None, status=status, outcome=outcome, stream=False,
        stream_complete=outcome == "ok", latency_s=latency_s, time_to_first_token_s=None, overhead_s=0.0, policy="none", altered="",
        retry_count=0, idempotency_key_hash=None, attempts=(attempt,),
    )  # fmt: skip
    rooms.recorder.append(entry)
    rooms.observer.observe(entry)
    rooms.call_log.write(entry)
