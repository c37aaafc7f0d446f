"""The simulated provider's sockets behind a server, in ASGI's words. It must never word an event: that is the session's."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.simulate.exchange import Asked, Cut, Refused
from proxy.simulate.framing import document_bytes
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import Session
from proxy.simulate.sockets.table import session_at

Message = MutableMapping[str, Any]
_RESPONSE = "websocket.http.response"
_SUBPROTOCOL = "realtime"


async def serve_socket(
    provider: SimulatedProvider,
    asked: Asked,
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> bool:
    """One socket, until the client leaves; False when it ended otherwise: refused, or cut as ordered."""
    await receive()
    try:
        session = session_at(provider, asked)
    except Refused as refused:
        headers = [(b"content-type", b"application/json"), (b"x-request-id", b"req_refused")]
        await send({"type": f"{_RESPONSE}.start", "status": refused.status, "headers": headers})
        await send({"type": f"{_RESPONSE}.body", "body": document_bytes(refused.document())})
        return False
    chosen = _SUBPROTOCOL if _SUBPROTOCOL in scope.get("subprotocols", ()) else None
    headers = [(name.encode(), value.encode()) for name, value in session.headers]
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
    for event in session.greeting():
        await send({"type": "websocket.send", "text": event})
    return await _converse(session, receive, send)


async def _converse(session: Session, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> bool:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return True
        text = message.get("text")
        try:
            for event in session.hear(message["bytes"] if text is None else text):
                await asyncio.sleep(session.pause_s)
                await send({"type": "websocket.send", "text": event})
        except Cut:
            return False
        except OSError:  # the client left in the middle of an answer
            return True
