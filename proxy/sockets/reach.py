"""Opens the provider's side of a socket: address, headers, key. It must never let a key of ours or of another provider out."""

from dataclasses import dataclass

from config.deployment import Retry
from config.providers import key_header
from proxy.admit import MIB
from proxy.errors import Forbidden, GrammageError, UpstreamTimeout, UpstreamUnreachable
from proxy.headers import outgoing, value_of
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.rooms import Rooms
from proxy.sockets.address import KEY_PARAMETER, upstream_address, without, without_key
from proxy.sockets.visit import Visit
from proxy.upstream.base import Headers
from proxy.upstream.socket import HandshakeRefused, SocketRequest, UpstreamSocket

TOO_MANY = 429
SERVER_ERROR = 500
OF_THE_HANDSHAKE = b"sec-websocket-"


@dataclass(frozen=True, slots=True)
class Reached:
    """A socket that stands, and to whom."""

    socket: UpstreamSocket
    candidate: Candidate


async def reach(rooms: Rooms, visit: Visit, decision: Decision, alias: str | None) -> Reached:
    """The first of the decision's deployments that opens. Raises HandshakeRefused or a GrammageError: the last one's word."""
    *before, last = decision.attempts[: decision.attempts[0].retry.attempts]
    for candidate in before:
        try:
            return await _open(rooms, visit, candidate, alias)
        except (HandshakeRefused, UpstreamUnreachable, UpstreamTimeout) as error:
            if not _is_tried_again(error, candidate.retry):
                raise
    return await _open(rooms, visit, last, alias)


async def _open(rooms: Rooms, visit: Visit, candidate: Candidate, alias: str | None) -> Reached:
    door = rooms.socket_doors.get(candidate.door_of("openai"))
    if door is None:
        raise Forbidden(f"provider {candidate.provider!r} takes no WebSockets here.")
    socket = await door.connect(_request(rooms, visit, candidate, alias))
    request_id = value_of(socket.headers, b"x-request-id")
    visit.request_id = request_id[:128].decode("latin-1") if request_id else None
    return Reached(socket, candidate)


def _is_tried_again(error: HandshakeRefused | GrammageError, retry: Retry) -> bool:
    """Whether the alias's rules send a handshake that ended so to the next deployment."""
    if isinstance(error, HandshakeRefused):
        kind = "429" if error.status == TOO_MANY else "5xx" if error.status >= SERVER_ERROR else "refused"
    else:
        kind = "timeout" if isinstance(error, UpstreamTimeout) else "connection"
    return kind != "refused" if retry.on is None else kind in retry.on


def _request(rooms: Rooms, visit: Visit, candidate: Candidate, alias: str | None) -> SocketRequest:
    own_key_goes = visit.caller.forwards_own_key and not candidate.is_simulated and candidate.api_key is None
    keeps_hidden = visit.hidden_key and own_key_goes
    query = visit.query if keeps_hidden else without(visit.query, KEY_PARAMETER)
    model = (candidate.model or alias) if alias is not None and visit.kind.model_in == "query" else None
    if visit.alias is not None and model is None:
        model = candidate.model or visit.alias
    return SocketRequest(
        url=upstream_address(candidate, visit.path, query, model),
        path=visit.path,
        query=query,
        headers=_headers(visit, candidate, own_key_goes=own_key_goes),
        subprotocols=visit.subprotocols if keeps_hidden else without_key(visit.subprotocols),
        longest_bytes=int(rooms.settings.server.limits.json_body_mb * MIB),
    )


def _headers(visit: Visit, candidate: Candidate, *, own_key_goes: bool) -> Headers:
    """The caller's headers as for any call, less those of the handshake with us."""
    kept = outgoing(
        visit.headers,
        visit.known,
        api_key=candidate.api_key,
        own_key_goes=own_key_goes,
        encoding=b"",
        key_header=key_header(candidate.provider, "openai"),
    )
    return [pair for pair in kept if not pair[0].startswith(OF_THE_HANDSHAKE)]
