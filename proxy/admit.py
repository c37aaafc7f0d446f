"""The first four steps: who calls, what is asked, whose it is, who will serve it. It must never send anything upstream."""

from functools import partial

from starlette.types import Receive, Scope

from proxy.afford import afford, give_back
from proxy.asgi import Upload, read_body, refuse_large, refuse_large_headers
from proxy.attribute import attribute
from proxy.auth import refuse_page, with_query_key
from proxy.call import Caller
from proxy.clock import uuid7
from proxy.consult import consult
from proxy.endpoints.base import Ask, Endpoint
from proxy.endpoints.form import is_form
from proxy.endpoints.parse import parse
from proxy.errors import BadRequest, Forbidden, LedgerDown, LoopDetected, UnsupportedMediaType
from proxy.headers import DRY_RUN, LIMIT, is_loop
from proxy.large_form import LargeForm
from proxy.late.whose import held
from proxy.meter.inflate import READABLE, inflate_whole
from proxy.passage import Passage
from proxy.policy.decide import Decision, decide
from proxy.rooms import Rooms
from proxy.route import ADDRESS, Address
from proxy.splice import find_member, repeats_member
from proxy.upstream.base import Headers

KIB = 1024
MIB = 1024 * 1024
MOST_RETRY_DIGITS = 3
POLICY = b"x-grammage-policy"


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
    address: Address | None = scope.get(ADDRESS)
    if address is not None:
        known = with_query_key(known, address.dialect, scope["query_string"])
    if b"origin" in known:
        refuse_page(known, rooms.settings.server.cors.origins)
    caller = rooms.doorkeeper.identify_known(known)
    ask, upload = await _read(rooms, endpoint, receive, headers, known, address)
    if b"content-encoding" in known:
        headers = [pair for pair in headers if pair[0] != b"content-encoding"]  # it leaves plain
    if upload is not None and not upload.model_is_known and _needs_the_model(rooms, caller, known):
        await upload.wait_in_file()
    if caller.models is not None and ask.form is None:
        _refuse_other_models(caller, ask.body)
    tags = attribute(caller, headers, ask, rooms.metadata_tags)
    call_id = uuid7(started_ms)
    as_came = ask
    ask, decision = await _decide(rooms, ask, caller, tags, known, call_id)
    passage = Passage(
        call_id=call_id,
        started_ms=started_ms,
        entered=entered,
        ask=ask,
        caller=caller,
        headers=headers,
        known=known,
        tags=tags,
        decision=decision,
        candidate=decision.attempts[0],
        request_bytes=len(ask.body),
        address=address,
        upload=upload,
        as_came=None if ask is as_came or rooms.budgets is None else as_came,
        trace=None if rooms.tracer is None else rooms.tracer.begin(call_id, headers, known, entered),
    )
    _note_origin(rooms, passage, ask)
    if rooms.budgets is not None:
        await afford(rooms, rooms.budgets, passage)
    if upload is not None:
        await _prepare(rooms, passage, upload)
    return passage


async def _decide(
    rooms: Rooms, ask: Ask, caller: Caller, tags: tuple[tuple[str, str], ...], known: dict[bytes, bytes], call_id: str
) -> tuple[Ask, Decision]:
    """Who is to serve the call, and the call itself as a policy may have capped it."""
    asked = known[POLICY].decode("latin-1") if POLICY in known else None
    decision = decide(ask.alias, caller, rooms.candidates, seed=call_id, asked_policy=asked or None, dialect=ask.endpoint.dialect)
    if ask.endpoint.refers or len(decision.attempts) > 1:
        decision = await held(rooms, caller, ask, decision)
    if rooms.policies is None:
        return ask, decision
    return await consult(rooms, ask, decision, call_id=call_id, caller=caller, tags=tags, asked=asked or None)


def _refuse_other_models(caller: Caller, body: bytes) -> None:
    """A key bound to models names one, once. Raises BadRequest for a repeated name, Forbidden for OpenRouter's list of fallbacks."""
    if repeats_member(body, "model"):
        raise BadRequest("the request names its model more than once; name it once.", code="invalid_type", param="model")
    if (b'"models"' in body or b"\\u00" in body) and find_member(body, "models") is not None:
        raise Forbidden(
            f"key {caller.id!r} is bound to models, and `models` may name others; leave it out.", code="model_not_allowed", param="models"
        )


async def _read(
    rooms: Rooms, endpoint: Endpoint, receive: Receive, headers: Headers, known: dict[bytes, bytes], address: Address | None
) -> tuple[Ask, LargeForm | None]:
    """The request, and its body where that is a form too large to be held."""
    limits = rooms.settings.server.limits
    kind, model = known.get(b"content-type", b""), None if address is None else address.model
    limit_bytes = int(limits.json_body_mb * MIB)
    length = _length(known)
    if endpoint.form == "never" or not is_form(kind) or (length is not None and length <= limit_bytes):
        body = await read_body(receive, headers, limit_bytes)
        if b"content-encoding" in known:
            body = _plain(known[b"content-encoding"], body, limit_bytes)
        return parse(endpoint, body, kind, model=model), None
    if b"content-encoding" in known:
        raise _unreadable(known[b"content-encoding"])
    most_bytes = int(limits.upload_mb * MIB)
    refuse_large(headers, most_bytes)
    form = LargeForm(endpoint, Upload(receive, most_bytes), kind, length)
    ask, is_whole = await form.begin(kind, model)
    return ask, None if is_whole else form


def _length(known: dict[bytes, bytes]) -> int | None:
    stated = known.get(b"content-length", b"")
    return int(stated) if stated.isdigit() else None


def _needs_the_model(rooms: Rooms, caller: Caller, known: dict[bytes, bytes]) -> bool:
    """True when who serves the call, or whether it may go at all, depends on its model."""
    bounded = rooms.policies is not None or rooms.budgets is not None
    return caller.models is not None or bounded or rooms.candidates.only is None or DRY_RUN in known or LIMIT in known


async def _prepare(rooms: Rooms, passage: Passage, upload: LargeForm) -> None:
    """An upload that may have to be sent again waits in a file; one that passes tells its size when it has."""
    passage.request_bytes = upload.size
    upload.ended = partial(setattr, passage, "request_bytes")
    retry = passage.candidate.retry
    if len(passage.decision.attempts) > 1 or retry.on is not None or (retry.attempts or 1) > 1:
        try:
            await upload.wait_in_file()
        except BaseException:
            give_back(rooms, passage)
            raise


def _plain(encoding: bytes, body: bytes, limit_bytes: int) -> bytes:
    """The body without its content encoding. Raises UnsupportedMediaType for one that is not read here, BadRequest for a broken one."""
    if encoding.strip().lower() in (b"", b"identity"):
        return body
    if encoding.strip().lower() not in READABLE:
        raise _unreadable(encoding)
    plain = inflate_whole(encoding, body, limit_bytes)
    if plain is None:
        raise BadRequest(
            f"the request body cannot be uncompressed, or has more than {limit_bytes} bytes then; send it whole, or plain.",
            code="malformed_encoding",
        )
    return plain


def _unreadable(encoding: bytes) -> UnsupportedMediaType:
    shown = encoding[:20].decode("latin-1")
    return UnsupportedMediaType(f"a request body with content-encoding {shown!r} is not read here; send gzip, or send it uncompressed.")


def _note_origin(rooms: Rooms, passage: Passage, ask: Ask) -> None:
    """End user, SDK retry and idempotency key: kept as keyed hashes and counts, never as they came."""
    known = passage.known
    if (user := ask.end_user) is not None:
        passage.user_hash = rooms.doorkeeper.keyed_hash(user)
        passage.user_hash_key_id = rooms.doorkeeper.secret_id
    retries = known.get(b"x-stainless-retry-count", b"")
    if retries.isdigit() and len(retries) <= MOST_RETRY_DIGITS:
        passage.retry_count = int(retries)
    if b"idempotency-key" in known:
        passage.idempotency_key_hash = rooms.doorkeeper.keyed_hash(known[b"idempotency-key"].decode("latin-1"))
