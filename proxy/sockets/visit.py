"""Who opens a socket, for which model, whose it is: the first steps of a handshake. It must never send anything upstream."""

from dataclasses import dataclass, replace

from starlette.types import Scope

from proxy.admit import KIB
from proxy.asgi import refuse_large_headers
from proxy.attribute import Tags, attribute
from proxy.auth import refuse_page
from proxy.call import Caller
from proxy.clock import uuid7
from proxy.endpoints.base import Ask
from proxy.endpoints.parse import LONGEST_ALIAS
from proxy.endpoints.realtime import REALTIME, UNNAMED, ask_of
from proxy.endpoints.responses import RESPONSES
from proxy.errors import BadRequest, Forbidden, LedgerDown, LoopDetected, NotFound
from proxy.headers import DRY_RUN, LIMIT, is_loop
from proxy.keys.limits import Ticket
from proxy.policy.candidates import Candidate
from proxy.policy.decide import NO_POLICY, Decision, decide, refuse_reader
from proxy.rooms import Rooms
from proxy.route import address_of
from proxy.sockets.address import DEPLOYMENT, key_in, parameter
from proxy.sockets.govern import SocketFacts, governed
from proxy.sockets.kinds import SocketKind, kind_at
from proxy.upstream.base import Headers

_LOW_BITS = (1 << 62) - 1


@dataclass(slots=True, kw_only=True)
class Visit:
    """One caller's socket. known: its headers by name, its key among them wherever it was presented.

    hidden_key: the key stood in a subprotocol or the query, as browsers send it. alias: the model in its address, None when it names none.
    first_id: call id of its first call; the next ones count up from it. request_id: the provider's, of the handshake.
    ticket: of a key with limits; each call's tokens are counted against it.
    """

    kind: SocketKind
    path: str
    query: str
    subprotocols: tuple[str, ...]
    headers: Headers
    known: dict[bytes, bytes]
    caller: Caller
    tags: Tags
    alias: str | None
    asked_policy: str | None
    first_id: str
    entered: float
    calls: int = 0
    hidden_key: bool = False
    request_id: str | None = None
    ticket: Ticket | None = None

    def next_id(self) -> str:
        """The call id of the socket's next call."""
        made = nth_id(self.first_id, self.calls)
        self.calls += 1
        return made


def nth_id(first: str, number: int) -> str:
    """The call id `number` places after `first`; a UUIDv7 too."""
    bits = int(first.replace("-", ""), 16)
    text = f"{bits & ~_LOW_BITS | (bits + number) & _LOW_BITS:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def admit_visit(rooms: Rooms, scope: Scope) -> Visit:
    """A handshake that may go ahead. Raises the GrammageError that refuses it."""
    headers: Headers = scope["headers"]
    known = dict(headers)
    refuse_large_headers(scope, int(rooms.settings.server.limits.header_kb * KIB))
    if is_loop(headers):
        raise LoopDetected("this socket already came through this proxy; an upstream points back at it: check api_base and --upstream.")
    if rooms.recorder.is_denying():
        raise LedgerDown(
            "calls cannot be recorded now (database, spool and memory are full) and ledger.on_failure is deny; try again later."
        )
    for name in (DRY_RUN, LIMIT):
        if name in known:
            shown = name.decode()
            raise BadRequest(f"{shown} is for calls over HTTP; a socket has no forecast. Leave it out.", code="invalid_header", param=shown)
    path, query = _path(scope, rooms.settings.server.base_path), scope["query_string"].decode("latin-1")
    subprotocols = tuple(scope.get("subprotocols") or ())
    presented = key_in(subprotocols, query)
    hidden = presented is not None and b"authorization" not in known
    if presented is not None and hidden:
        known[b"authorization"] = b"Bearer " + presented.encode("latin-1", "replace")
    refuse_page(known, rooms.settings.server.cors.origins)
    caller = rooms.doorkeeper.identify_known(known)
    refuse_reader(caller)
    alias = _alias(parameter(query, "model") or parameter(query, DEPLOYMENT))
    return Visit(
        kind=kind_at(path),
        path=path,
        query=query,
        subprotocols=subprotocols,
        headers=headers,
        known=known,
        caller=caller,
        tags=attribute(caller, headers, ask_of(REALTIME, alias or UNNAMED), ()),
        alias=alias,
        asked_policy=known.get(b"x-grammage-policy", b"").decode("latin-1") or None,
        first_id=uuid7(rooms.clock.now_ms()),
        entered=rooms.clock.perf(),
        hidden_key=hidden,
    )


def decide_for(rooms: Rooms, visit: Visit, alias: str | None) -> Decision:
    """The deployments that can hold a socket for `alias`. Raises the GrammageError that refuses it."""
    if alias is None or visit.kind.endpoint is None:
        return Decision(attempts=(_unnamed(rooms, visit),), policy=NO_POLICY)
    decision = decide(alias, visit.caller, rooms.candidates, seed=visit.first_id, asked_policy=visit.asked_policy)
    able = tuple(candidate for candidate in decision.attempts if is_able(candidate))
    if not able:
        raise NotFound(
            f"no deployment of {alias!r} takes WebSockets: they pass to providers of the OpenAI dialect only, untranslated.",
            code="unknown_path",
        )
    facts = SocketFacts(
        call_id=visit.first_id,
        alias=alias,
        operation=visit.kind.endpoint.operation,
        weighed_as=visit.kind.endpoint.weighed_as,
        path=visit.kind.endpoint.path,
        caller=visit.caller,
        tags=visit.tags,
        asked=visit.asked_policy,
    )
    return governed(rooms, facts, replace(decision, attempts=able))


def is_able(candidate: Candidate) -> bool:
    """True for what can hold a socket: frames are not translated."""
    return candidate.door_of("openai") != "litellm"


def is_same_place(one: Candidate, other: Candidate) -> bool:
    """True when a socket to the one serves calls to the other."""
    return (one.base_url, one.api_key, one.is_simulated) == (other.base_url, other.api_key, other.is_simulated)


def only_place(rooms: Rooms) -> Candidate | None:
    """A candidate where every model that can be named here leads to one place; None when that depends on the model."""
    found = rooms.candidates
    rows = [*found.exact.values(), *(row for _, row in found.patterns), *([] if found.default is None else [(found.default,)])]
    able = [candidate for row in rows for candidate in row if is_able(candidate)]
    return able[0] if able and all(is_same_place(able[0], other) for other in able) else None


def ask_for(visit: Visit) -> Ask:
    """What stands for calls of a socket of which nothing is said but its model."""
    endpoint = visit.kind.endpoint
    return ask_of(RESPONSES if endpoint is None else endpoint, visit.alias or UNNAMED)


def alias_of(visit: Visit, ask: Ask) -> str | None:
    """The model that a frame asks for: its own, else that of the socket's address, None when neither names one."""
    return visit.alias if ask.alias == UNNAMED else ask.alias


def _unnamed(rooms: Rooms, visit: Visit) -> Candidate:
    """Who takes a socket whose model is not known here. Raises Forbidden when that cannot be told, or this key may not."""
    caller, path, target = visit.caller, visit.path[:80], rooms.unmatched
    if caller.models is not None:
        raise Forbidden(f"key {caller.id!r} is bound to models, and a socket at {path} names none; add ?model=.", code="model_not_allowed")
    if target is None or not is_able(target):
        raise Forbidden(f"a socket at {path} without a model is not served here: no provider is named `*`; add ?model= or that alias.")
    if not caller.forwards_own_key and target.api_key is None:
        raise Forbidden(f"a socket at {path} is not served here: provider {target.provider} has no api_key; add one to its deployment.")
    return target


def _alias(named: str | None) -> str | None:
    if named is not None and (len(named) > LONGEST_ALIAS or not named.isprintable()):
        raise BadRequest(f"model must be a printable string of 1 to {LONGEST_ALIAS} characters.", code="invalid_type", param="model")
    return named


def _path(scope: Scope, base: str) -> str:
    """The path below /v1 that is asked for, as the caller wrote it less our own prefix. Raises NotFound when there is none."""
    path: str = scope["path"]
    raw: bytes = (scope.get("raw_path") or path.encode()).split(b"?", 1)[0]
    below = path[len(base) :] if path.startswith(base + "/") else ""
    address = address_of("GET", below)
    if address is None or address.dialect != "openai" or any(part in (".", "..") for part in below.split("/")):
        raise NotFound(f"{raw[:80].decode('latin-1')!r} is no WebSocket's path; they stand below {base}/v1.", code="unknown_path")
    return address.raw(raw[len(base) :]).decode("latin-1")
