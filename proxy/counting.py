"""Says how many tokens a request has: the provider's word where it speaks the dialect, else our own count. It must never record a call."""

import asyncio
import json
import logging

from starlette.types import Receive, Scope, Send

from proxy.admit import admit
from proxy.asgi import JSON_TYPE, ClientGone, send_error, send_whole
from proxy.endpoints.base import Endpoint
from proxy.errors import FAULT, GrammageError, InternalError
from proxy.headers import returned
from proxy.meter.fallback import count_prompt
from proxy.outgoing import request_for
from proxy.passage import Passage
from proxy.rooms import Rooms
from proxy.throttle import telling
from proxy.upstream.base import read_whole

FIELDS = {"anthropic": "input_tokens", "gemini": "totalTokens"}
"""What the count is called, by dialect."""

OK = 200
_log = logging.getLogger("grammage.counting")


async def count_tokens(rooms: Rooms, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one question for a count to the provider of its model and back."""
    try:
        passage = await admit(rooms, endpoint, scope, receive)
        if (ticket := await rooms.limiter.enter(passage.caller, 0)) is not None:
            send = telling(send, ticket)
        if passage.candidate.door_of(endpoint.dialect) == "litellm":
            await _count_here(rooms, passage, send)
        else:
            await _ask(rooms, passage, scope, receive, send)
    except GrammageError as error:
        rooms.observer.observe_passthrough(endpoint.path, error.status)
        await send_error(send, error, dialect=endpoint.dialect)
    except ClientGone:
        return
    except Exception:  # noqa: BLE001  # the edge: a fault of ours is one call's, and is said in the envelope
        _log.exception("a count failed in the proxy")
        await send_error(send, InternalError(FAULT), dialect=endpoint.dialect)


async def _count_here(rooms: Rooms, passage: Passage, send: Send) -> None:
    """Our own count: the provider of this model has no such endpoint."""
    tokens = (await asyncio.to_thread(count_prompt, passage.ask)).input_tokens
    rooms.observer.observe_passthrough(passage.ask.endpoint.path, OK)
    await send_whole(send, OK, [JSON_TYPE], json.dumps({FIELDS[passage.ask.endpoint.dialect]: tokens}).encode())


async def _ask(rooms: Rooms, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
    """The provider's own answer, to the byte."""
    endpoint = passage.ask.endpoint
    watch = rooms.watch(receive)
    try:
        async with watch:
            door = rooms.door_of(passage.candidate, endpoint.dialect)
            whole = await read_whole(await door.send(request_for(rooms, passage, query=scope["query_string"])))
    except asyncio.CancelledError:
        if watch.fired:
            return
        raise
    rooms.observer.observe_passthrough(endpoint.path, whole.status)
    await send_whole(send, whole.status, returned(whole.headers), whole.body)
