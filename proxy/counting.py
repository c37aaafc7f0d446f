"""Says how many tokens a request has: the provider's word where it speaks the dialect, else our own count. It must never record a call."""

import asyncio
import json

from starlette.types import Receive, Scope, Send

from proxy.admit import admit
from proxy.asgi import JSON_TYPE, ClientGone, send_error, send_whole
from proxy.endpoints.base import Endpoint
from proxy.errors import GrammageError
from proxy.headers import returned
from proxy.meter.fallback import count_prompt
from proxy.outgoing import request_for
from proxy.passage import Passage
from proxy.rooms import Rooms
from proxy.throttle import telling

FIELDS = {"anthropic": "input_tokens", "gemini": "totalTokens"}
"""What the count is called, by dialect."""

OK = 200


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
            reply = await rooms.door_of(passage.candidate, endpoint.dialect).send(request_for(rooms, passage, query=scope["query_string"]))
            body = await reply.read()
            reply.close()
    except asyncio.CancelledError:
        if watch.fired:
            return
        raise
    rooms.observer.observe_passthrough(endpoint.path, reply.status)
    await send_whole(send, reply.status, returned(reply.headers), body)
