"""What the client of a socket is told: accepted, refused as the provider refused it, an error event, an end. It must never word a frame
of the provider's."""

import json

from starlette.types import Scope, Send

from proxy.asgi import JSON_TYPE
from proxy.errors import GrammageError
from proxy.headers import returned
from proxy.upstream.base import Headers
from proxy.upstream.socket import LARGEST_CLOSE_REASON_BYTES, NO_STATUS, Closed, Frame, HandshakeRefused

REFUSAL = "websocket.http.response"
OF_THE_HANDSHAKE = b"sec-websocket-"
POLICY, TROUBLE, GOING_AWAY = 1008, 1011, 1001
SERVER_ERROR = 500


async def accept(send: Send, subprotocol: str | None, headers: Headers) -> None:
    """The handshake is answered; from now on frames pass."""
    kept = [pair for pair in headers if not pair[0].startswith(OF_THE_HANDSHAKE)]
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": kept})


async def refuse(scope: Scope, send: Send, error: GrammageError, tags: Headers) -> None:
    """The handshake is refused in the OpenAI envelope."""
    await _refuse(scope, send, error.status, [JSON_TYPE, *error.headers, *tags], error.envelope())


async def pass_refusal(scope: Scope, send: Send, refused: HandshakeRefused, tags: Headers) -> None:
    """The handshake is refused with the provider's own status, headers and body."""
    kept = [pair for pair in returned(refused.headers) if not pair[0].startswith(OF_THE_HANDSHAKE)]
    await _refuse(scope, send, refused.status, [*kept, *tags], refused.body)


async def _refuse(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    if REFUSAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY if status < SERVER_ERROR else TROUBLE, "reason": ""})
        return
    await send({"type": f"{REFUSAL}.start", "status": status, "headers": headers})
    await send({"type": f"{REFUSAL}.body", "body": body})


async def send_frame(send: Send, frame: Frame) -> None:
    """A message, as what it is."""
    await send({"type": "websocket.send", "text": frame} if isinstance(frame, str) else {"type": "websocket.send", "bytes": frame})


async def send_close(send: Send, closed: Closed) -> None:
    """The end, with its code and reason; a close that names no code names none here."""
    await send({"type": "websocket.close", "code": None if closed.code == NO_STATUS else closed.code, "reason": closed.reason})


async def send_error_event(send: Send, error: GrammageError) -> None:
    """A request on a socket that stands is refused, in the shape that the Responses API has for it."""
    envelope = json.loads(error.envelope())
    await send_frame(send, json.dumps({"type": "error", "status": error.status, **envelope}))


async def send_refusal_event(send: Send, refused: HandshakeRefused) -> None:
    """As `send_error_event`, for the provider's own refusal of a handshake that the client has behind it."""
    try:
        body = json.loads(refused.body)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        error = {"message": f"the provider refused the WebSocket with status {refused.status}.", "type": None, "param": None, "code": None}
    await send_frame(send, json.dumps({"type": "error", "status": refused.status, "error": error}))


def end_after(status: int) -> Closed:
    """The close of a socket that was accepted before its provider could be reached."""
    return Closed(POLICY if status < SERVER_ERROR else TROUBLE, "the provider could not be reached or refused the socket")


def shortened(closed: Closed) -> Closed:
    """The close with a reason that fits into a frame."""
    raw = closed.reason.encode()
    if len(raw) <= LARGEST_CLOSE_REASON_BYTES:
        return closed
    return Closed(closed.code, raw[:LARGEST_CLOSE_REASON_BYTES].decode("utf-8", "ignore"))
