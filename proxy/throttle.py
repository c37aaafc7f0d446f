"""Holds a call to its key's limits, and tells the caller of them. It must never touch a call whose key has none."""

from starlette.types import Message, Send

from proxy.call import CallRecord
from proxy.keys.limits import Ticket
from proxy.meter.fallback import guess_input_tokens
from proxy.passage import Passage
from proxy.rooms import Rooms
from proxy.upstream.base import Headers

_THEIRS = b"x-ratelimit-"
_NOTHING_MADE = "not_generated"


async def enter(rooms: Rooms, passage: Passage, send: Send) -> Send:
    """Reserves what the call should need; gives the way out on which its answer tells what is left. Raises RateLimited."""
    ticket = passage.ticket = await rooms.limiter.enter(passage.caller, guess_input_tokens(passage.ask))
    return send if ticket is None else telling(send, ticket)


async def settle(rooms: Rooms, passage: Passage) -> None:
    """Counts what the call used in place of what it reserved."""
    if passage.ticket is not None:
        await rooms.limiter.settle(passage.ticket, 0 if passage.entry is None else used_tokens(passage.entry))


def used_tokens(entry: CallRecord) -> int | None:
    """Tokens in and out of all attempts; None when some of them may have been used uncounted."""
    counted = [attempt.usage.input_tokens + attempt.usage.output_tokens for attempt in entry.attempts if attempt.usage is not None]
    if not counted and any(attempt.unweighed_reason != _NOTHING_MADE for attempt in entry.attempts):
        return None
    return sum(counted)


def telling(send: Send, ticket: Ticket) -> Send:
    """`send`, with the key's limits among the answer's headers unless the provider's own are there."""

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Headers = list(message["headers"])
            if not any(name.startswith(_THEIRS) for name, _ in headers):
                message = {**message, "headers": [*headers, *ticket.headers]}
        await send(message)

    return out
