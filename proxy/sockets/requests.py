"""Reads the requests that a client writes on a Responses socket: whose they are, for which model. It must never send one."""

import msgspec
from starlette.types import Message

from proxy.attribute import attribute
from proxy.endpoints.parse import parse
from proxy.endpoints.responses import RESPONSES, UNNAMED
from proxy.errors import NotFound
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.rooms import Rooms
from proxy.sockets.exchange import Exchange
from proxy.sockets.peek import event_of
from proxy.sockets.responses import CREATE
from proxy.sockets.visit import Visit, alias_of, decide_for, is_same_place
from proxy.splice import prepend_member, replace_value
from proxy.upstream.socket import Frame


def frame_of(message: Message) -> Frame:
    """The frame in a message of the server's."""
    text = message.get("text")
    frame: Frame = message["bytes"] if text is None else text
    return frame


def read_request(rooms: Rooms, visit: Visit, frame: Frame) -> Exchange | None:
    """The call that a frame asks for, None when it asks for none. Raises the GrammageError that refuses it."""
    if event_of(frame).type != CREATE:
        return None
    body = frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace")
    ask = parse(RESPONSES, body)
    alias = alias_of(visit, ask)
    ask.alias = alias or UNNAMED
    return Exchange(
        ask=ask,
        began=rooms.clock.perf(),
        tags=attribute(visit.caller, visit.headers, ask, rooms.metadata_tags),
        decision=decide_for(rooms, visit, alias),
        request_bytes=len(body),
    )


def leaving(exchange: Exchange, decision: Decision, candidate: Candidate, frame: Frame) -> Frame:
    """The frame as it leaves for `candidate`, its model renamed where that has another name there.

    Raises NotFound when the model is served at another place than the socket's.
    """
    served = next((each for each in decision.attempts if is_same_place(each, candidate)), None)
    if served is None:
        raise NotFound(
            f"model {exchange.ask.alias!r} is served by another provider than the one this socket is open to; open another socket for it.",
            code="unknown_model",
            param="model",
        )
    if served.model is None or served.model == exchange.ask.alias:
        return frame
    name, raw = msgspec.json.encode(served.model), bytes(exchange.ask.head.model)
    body = exchange.ask.body
    changed = replace_value(body, "model", name, raw) if raw else prepend_member(body, b'"model":' + name)
    return changed if isinstance(frame, bytes) else changed.decode("utf-8", "replace")
