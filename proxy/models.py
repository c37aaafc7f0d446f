"""Lists the models a caller may use, in the shape of the caller's dialect. It must never list what the configuration does not serve."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from config.providers import Dialect, key_header
from proxy.asgi import JSON_TYPE, send_error, send_whole
from proxy.auth import key_of, with_query_key
from proxy.call import Caller
from proxy.errors import GrammageError, NotFound, UpstreamTimeout, UpstreamUnreachable
from proxy.headers import outgoing, returned
from proxy.outgoing import address_for, query_for
from proxy.passthrough import pass_through
from proxy.policy.candidates import listed_models
from proxy.policy.decide import may_use
from proxy.rooms import Rooms
from proxy.route import ADDRESS, Address
from proxy.simulate.endpoints.sampling import MODELS as SIMULATED_MODELS
from proxy.splice import find_member
from proxy.upstream.base import UpstreamRequest, read_whole

PATH = "/v1/models"
OK = 200
LONG_AGO = "1970-01-01T00:00:00Z"
"""When a model was made, where that is not known and has to be said."""

GEMINI_METHODS = ("generateContent", "streamGenerateContent", "countTokens")
Row: TypeAlias = dict[str, object]
Rows: TypeAlias = dict[str, Row]
_GOES_ON = re.compile(rb'"has_more"\s*:\s*true|"nextPageToken"')
"""A list of which there is more to ask for: ours are on its last page."""

_MODELS = re.compile(r"/v1(?:beta|alpha)?/models(?:/(.*))?")
_log = logging.getLogger("grammage.models")


def lists_models(path: str) -> bool:
    """True when a GET of `path` asks for the models there are, or for one of them."""
    return _MODELS.fullmatch(path) is not None


async def list_models(rooms: Rooms, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models and /v1/models/{id}: the provider's own answer when models are not configured, else the configured ones."""
    settings = rooms.settings
    found = _MODELS.fullmatch(scope["path"])
    name = (found[1] if found else None) or ""
    address: Address | None = scope.get(ADDRESS)
    dialect: Dialect = "openai" if address is None else address.dialect
    rows = _rows(rooms, Caller(id=""))
    try:
        known = with_query_key(dict(scope["headers"]), dialect, scope["query_string"])
        caller = rooms.doorkeeper.identify_known(known)
        may_ask = not settings.models and caller.models is None
        if may_ask and (settings.upstream is not None or (name and name not in rows)):
            await pass_through(rooms, scope, receive, send)
            return
        mine = _rows(rooms, caller)
        if name:
            await send_whole(send, OK, [JSON_TYPE], json.dumps(_CARDS[dialect](_one(mine, name))).encode())
        elif settings.models or key_of(known) is None:
            await _send_list(mine, send, dialect)
        else:
            await _with_providers(rooms, scope, caller, mine, send)
    except GrammageError as error:
        await send_error(send, error, dialect=dialect)


def _rows(rooms: Rooms, caller: Caller) -> Rows:
    pairs = listed_models(rooms.candidates, rooms.tables.catalogue, SIMULATED_MODELS)
    bound = [(name, "grammage") for name in sorted(caller.models or ()) if not name.endswith("*") and rooms.candidates.of(name)]
    return {
        name: {"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in (*pairs, *bound) if may_use(caller, name)
    }


def _one(rows: Rows, name: str) -> dict[str, object]:
    if name not in rows:
        raise NotFound(f"model {name!r} is not served here for this key; GET {PATH} lists what is.", code="unknown_model", param="model")
    return rows[name]


async def _with_providers(rooms: Rooms, scope: Scope, caller: Caller, mine: Rows, send: Send) -> None:
    """The provider's list, as it wrote it, with our simulated models added at its end; those alone when it gives this caller none."""
    address: Address | None = scope.get(ADDRESS)
    dialect: Dialect = "openai" if address is None else address.dialect
    target = rooms.unmatched_of(dialect)
    if target is None:
        raise NotFound(f"{PATH} cannot be asked of a provider: none is named for it.", code="unknown_path")
    own_key_goes = caller.forwards_own_key
    place = key_header(target.provider, dialect)
    headers = outgoing(scope["headers"], dict(scope["headers"]), api_key=target.api_key, own_key_goes=own_key_goes, key_header=place)
    query = query_for(target, dialect, scope["query_string"], own_key_goes=own_key_goes)
    url = address_for(target, dialect, scope["path"], query, "")
    request = UpstreamRequest(method="GET", url=url, path=scope["path"], headers=headers, body=None)
    try:
        whole = await read_whole(await rooms.door_of(target, dialect).send(request))
    except (UpstreamUnreachable, UpstreamTimeout) as error:
        _log.warning("the provider's models are not listed: %s", error.message)
        await _send_list(mine, send, dialect)
        return
    if whole.status != OK:
        await _send_list(mine, send, dialect)
        return
    await send_whole(send, whole.status, returned(whole.headers), _extended(whole.body, mine, dialect))


async def _send_list(rows: Rows, send: Send, dialect: Dialect = "openai") -> None:
    cards = [_CARDS[dialect](row) for row in rows.values()]
    listed: dict[str, object] = {"object": "list", "data": cards}
    if dialect == "anthropic":
        listed = {"data": cards, "has_more": False, "first_id": next(iter(rows), None), "last_id": next(reversed(rows), None)}
    elif dialect == "gemini":
        listed = {"models": cards}
    await send_whole(send, OK, [JSON_TYPE], json.dumps(listed).encode())


def _as_is(row: Row) -> Row:
    return row


def _anthropic_card(row: Row) -> Row:
    return {"type": "model", "id": row["id"], "display_name": row["id"], "created_at": LONG_AGO}


def _gemini_card(row: Row) -> Row:
    return {"name": f"models/{row['id']}", "displayName": row["id"], "supportedGenerationMethods": list(GEMINI_METHODS)}


_CARDS: Mapping[Dialect, Callable[[Row], Row]] = {"openai": _as_is, "anthropic": _anthropic_card, "gemini": _gemini_card}


def _extended(body: bytes, mine: Rows, dialect: Dialect) -> bytes:
    member = find_member(body, "models" if dialect == "gemini" else "data")
    if member is None or _GOES_ON.search(body, member.end) or body[member.end - 1 : member.end] != b"]":
        return body
    rows = b",".join(json.dumps(_CARDS[dialect](row)).encode() for row in mine.values())
    comma = b"" if body[member.value + 1 : member.end - 1].strip() == b"" else b","
    return body[: member.end - 1] + comma + rows + body[member.end - 1 :]
