"""The handshake of a socket, on both sides: who comes, who takes it, what a refusal says. It must never know a provider or read a frame."""

import asyncio
import logging

from starlette.types import Message, Receive, Scope, Send

from proxy.afford import knock
from proxy.endpoints.realtime import UNNAMED
from proxy.errors import Ending, GrammageError, InternalError
from proxy.headers import returned
from proxy.policy.decide import Decision
from proxy.rooms import Rooms
from proxy.sockets import answer
from proxy.sockets.book import Bookkeeper
from proxy.sockets.reach import Reached, reach
from proxy.sockets.requests import frame_of, read_request
from proxy.sockets.stand import ENDING, Socket
from proxy.sockets.visit import Visit, admit_visit, ask_for, decide_for, only_place
from proxy.tag import call_header, deployment_headers
from proxy.upstream.base import Headers
from proxy.upstream.socket import HandshakeRefused

_log = logging.getLogger("grammage.sockets")


async def carry_socket(rooms: Rooms, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one socket from its handshake to its end."""
    if (await receive())["type"] != "websocket.connect":
        return
    visit: Visit | None = None
    reached: Reached | None = None
    try:
        visit = admit_visit(rooms, scope)
        decision, alias = _plan(rooms, visit)
        if rooms.budgets is not None:
            await knock(rooms, rooms.budgets, visit.caller, visit.tags)
        if visit.kind.model_in == "query":
            visit.ticket = await rooms.limiter.enter(visit.caller, 0)
        if decision is not None:
            reached = await _reach(rooms, visit, decision, alias)
    except GrammageError as error:
        await answer.refuse(scope, send, error, _call_tags(visit))
        return
    except HandshakeRefused as refused:
        await answer.pass_refusal(scope, send, refused, _call_tags(visit))
        return
    except asyncio.CancelledError:  # the proxy ends
        await answer.refuse(scope, send, Ending("the proxy is shutting down; try again."), [])
        return
    except Exception:  # noqa: BLE001  # the edge: a fault of ours is one socket's, and is said in the envelope
        _log.exception("a socket failed in the proxy before it stood")
        await answer.refuse(scope, send, InternalError("the proxy failed on this socket; its log holds the reason."), [])
        return
    if decision is None or reached is None:
        await _late(rooms, visit, receive, send)
        return
    headers = returned(reached.socket.headers) + _tags(rooms, visit, decision, reached)
    await Socket(rooms, visit, decision, reached, receive, send).serve(reached.socket.subprotocol, headers)


def _plan(rooms: Rooms, visit: Visit) -> tuple[Decision | None, str | None]:
    """The decision and the model to open the provider's side with; no decision where the first frame must tell."""
    if visit.kind.model_in == "query" or visit.alias is not None:
        return decide_for(rooms, visit, visit.alias), visit.alias
    place = only_place(rooms)
    if place is None or (place.api_key is None and not visit.caller.forwards_own_key):
        return None, None
    return Decision(attempts=(place,)), None


async def _reach(rooms: Rooms, visit: Visit, decision: Decision, alias: str | None) -> Reached:
    """As `reach`; a refusal of the provider's is booked as a call of which nothing was generated."""
    try:
        return await reach(rooms, visit, decision, alias)
    except HandshakeRefused as refused:
        if visit.kind.endpoint is not None:
            books = Bookkeeper(rooms, visit, decision, decision.attempts[-1])
            books.refused(ask_for(visit), refused.status)
            await books.close()
        else:
            rooms.observer.observe_passthrough(visit.path, refused.status)
        raise


async def _late(rooms: Rooms, visit: Visit, receive: Receive, send: Send) -> None:
    """A socket that can go to several places: accepted first, opened where the first request is for."""
    subprotocol = next((name for name in visit.subprotocols if name == "realtime"), None)
    await answer.accept(send, subprotocol, [call_header(visit.first_id)] if rooms.settings.tagging.headers else [])
    try:
        first = await _first_request(rooms, visit, receive, send)
        if first is None:
            return
        message, decision, alias = first
        reached = await _reach(rooms, visit, decision, alias)
    except HandshakeRefused as refused:
        await answer.send_refusal_event(send, refused)
        await answer.send_close(send, answer.end_after(refused.status))
        return
    except GrammageError as error:
        await answer.send_error_event(send, error)
        await answer.send_close(send, answer.end_after(error.status))
        return
    except asyncio.CancelledError:  # the proxy ends
        await answer.send_close(send, ENDING)
        return
    await Socket(rooms, visit, decision, reached, receive, send).serve_from(message)


async def _first_request(rooms: Rooms, visit: Visit, receive: Receive, send: Send) -> tuple[Message, Decision, str | None] | None:
    """The first frame that may go to a provider, and to whom; None when the client leaves before."""
    while (message := await receive())["type"] == "websocket.receive":
        try:
            exchange = read_request(rooms, visit, frame_of(message))
            if exchange is None or exchange.decision is None:
                return message, decide_for(rooms, visit, None), None
            return message, exchange.decision, exchange.ask.alias
        except GrammageError as error:
            await answer.send_error_event(send, error)
    return None


def _call_tags(visit: Visit | None) -> Headers:
    return [] if visit is None or visit.kind.endpoint is None else [call_header(visit.first_id)]


def _tags(rooms: Rooms, visit: Visit, decision: Decision, reached: Reached) -> Headers:
    """Our headers on the answer to a handshake: the first call's id, who serves."""
    if not rooms.settings.tagging.headers or visit.kind.endpoint is None:
        return []
    candidate = reached.candidate
    model = candidate.model or visit.alias or UNNAMED
    return [*_call_tags(visit), *deployment_headers(candidate, model, True, decision.policy, decision.altered)]
