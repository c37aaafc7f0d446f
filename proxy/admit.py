"""The first four steps: who calls, what is asked, whose it is, who will serve it. It must never send anything upstream."""

from starlette.types import Receive, Scope

from proxy.asgi import read_body, refuse_large_headers
from proxy.attribute import attribute
from proxy.clock import uuid7
from proxy.endpoints.base import Ask, Endpoint, parse
from proxy.endpoints.form import is_form
from proxy.errors import LedgerDown, LoopDetected, UnsupportedMediaType
from proxy.headers import is_loop
from proxy.passage import Passage
from proxy.policy.decide import decide
from proxy.rooms import Rooms

KIB = 1024
MIB = 1024 * 1024
MOST_RETRY_DIGITS = 3


def is_too_large_to_read(rooms: Rooms, endpoint: Endpoint, scope: Scope) -> bool:
    """True for a form that says it is longer than what is held in memory: it streams through, unmetered."""
    if endpoint.form == "never":
        return False
    known = dict(scope["headers"])
    length = known.get(b"content-length", b"")
    limit_bytes = int(rooms.settings.server.limits.json_body_mb * MIB)
    return is_form(known.get(b"content-type", b"")) and length.isdigit() and int(length) > limit_bytes


async def admit(rooms: Rooms, endpoint: Endpoint, scope: Scope, receive: Receive) -> Passage:
    """A call that may go ahead. Raises the GrammageError that refuses it, ClientGone when its request never became whole."""
    entered = rooms.clock.perf()
    started_ms = rooms.clock.now_ms()
    headers = scope["headers"]
    known = dict(headers)
    limits = rooms.settings.server.limits
    refuse_large_headers(scope, int(limits.header_kb * KIB))
    if b"via" in known and is_loop(headers):
        raise LoopDetected("this call already came through this proxy; an upstream points back at it: check api_base and --upstream.")
    if rooms.recorder.is_denying():
        raise LedgerDown(
            "calls cannot be recorded now (database, spool and memory are full) and ledger.on_failure is deny; try again later."
        )
    caller = rooms.doorkeeper.identify_known(known)
    if b"content-encoding" in known:
        _refuse_encoding(known[b"content-encoding"])
    body = await read_body(receive, headers, int(limits.json_body_mb * MIB))
    ask = parse(endpoint, body, known.get(b"content-type", b""))
    tags = attribute(caller, headers, ask, rooms.metadata_tags)
    asked_policy = known.get(b"x-grammage-policy", b"").decode("latin-1")
    decision = decide(ask.alias, caller, rooms.candidates, asked_policy=asked_policy or None)
    passage = Passage(
        call_id=uuid7(started_ms),
        started_ms=started_ms,
        entered=entered,
        ask=ask,
        caller=caller,
        headers=headers,
        known=known,
        tags=tags,
        decision=decision,
        candidate=decision.attempts[0],
        request_bytes=len(body),
    )
    _note_origin(rooms, passage, ask)
    return passage


def _refuse_encoding(encoding: bytes) -> None:
    if encoding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(
            f"request bodies are read plain here, got content-encoding {encoding[:20].decode('latin-1')!r}; send it uncompressed."
        )


def _note_origin(rooms: Rooms, passage: Passage, ask: Ask) -> None:
    """End user, SDK retry and idempotency key: kept as keyed hashes and counts, never as they came."""
    known, head = passage.known, ask.head
    if (bytes(head.safety_identifier) or bytes(head.user)) and (user := ask.text("safety_identifier") or ask.text("user")):
        passage.user_hash = rooms.doorkeeper.keyed_hash(user)
        passage.user_hash_key_id = rooms.doorkeeper.secret_id
    retries = known.get(b"x-stainless-retry-count", b"")
    if retries.isdigit() and len(retries) <= MOST_RETRY_DIGITS:
        passage.retry_count = int(retries)
    if b"idempotency-key" in known:
        passage.idempotency_key_hash = rooms.doorkeeper.keyed_hash(known[b"idempotency-key"].decode("latin-1"))
