"""Lists the models a caller may use, in OpenAI's shape. It must never list what the configuration does not serve."""

import json
import logging

from starlette.types import Receive, Scope, Send

from proxy.asgi import JSON_TYPE, send_error, send_whole
from proxy.auth import presented_key
from proxy.call import Caller
from proxy.errors import GrammageError, NotFound, UpstreamTimeout, UpstreamUnreachable
from proxy.headers import outgoing, returned
from proxy.outgoing import upstream_url
from proxy.passthrough import pass_through
from proxy.policy.candidates import listed_models
from proxy.policy.decide import may_use
from proxy.rooms import Rooms
from proxy.simulate.endpoints.sampling import MODELS as SIMULATED_MODELS
from proxy.splice import find_member
from proxy.upstream.base import UpstreamRequest

PATH = "/v1/models"
OK = 200
_log = logging.getLogger("grammage.models")


async def list_models(rooms: Rooms, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models and /v1/models/{id}: the provider's own answer when models are not configured, else the configured ones."""
    settings = rooms.settings
    name = scope["path"][len(PATH) + 1 :]
    rows = _rows(rooms, Caller(id=""))
    try:
        caller = rooms.doorkeeper.identify(scope["headers"])
        if not settings.models and caller.models is None and (settings.upstream is not None or (name and name not in rows)):
            await pass_through(rooms, scope, receive, send)
            return
        mine = _rows(rooms, caller)
        if name:
            await send_whole(send, OK, [JSON_TYPE], json.dumps(_one(mine, name)).encode())
        elif settings.models or presented_key(scope["headers"]) is None:
            await _send_list(mine, send)
        else:
            await _with_providers(rooms, scope, caller, mine, send)
    except GrammageError as error:
        await send_error(send, error)


def _rows(rooms: Rooms, caller: Caller) -> dict[str, dict[str, object]]:
    pairs = listed_models(rooms.candidates, rooms.tables.catalogue, SIMULATED_MODELS)
    bound = [(name, "grammage") for name in sorted(caller.models or ()) if not name.endswith("*") and rooms.candidates.of(name)]
    return {
        name: {"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in (*pairs, *bound) if may_use(caller, name)
    }


def _one(rows: dict[str, dict[str, object]], name: str) -> dict[str, object]:
    if name not in rows:
        raise NotFound(f"model {name!r} is not served here for this key; GET {PATH} lists what is.", code="unknown_model", param="model")
    return rows[name]


async def _with_providers(rooms: Rooms, scope: Scope, caller: Caller, mine: dict[str, dict[str, object]], send: Send) -> None:
    """The provider's list, as it wrote it, with our simulated models added at its end; those alone when it gives this caller none."""
    target = rooms.unmatched
    if target is None:
        raise NotFound(f"{PATH} cannot be asked of a provider: none is named for it.", code="unknown_path")
    headers = outgoing(scope["headers"], dict(scope["headers"]), api_key=target.api_key, own_key_goes=caller.forwards_own_key)
    request = UpstreamRequest(
        method="GET", url=upstream_url(target.base_url, PATH, scope["query_string"]), path=PATH, headers=headers, body=None
    )
    try:
        reply = await rooms.door_of(target).send(request)
        body = await reply.read()
        reply.close()
    except (UpstreamUnreachable, UpstreamTimeout) as error:
        _log.warning("the provider's models are not listed: %s", error.message)
        await _send_list(mine, send)
        return
    if reply.status != OK:
        await _send_list(mine, send)
        return
    await send_whole(send, reply.status, returned(reply.headers), _extended(body, mine))


async def _send_list(rows: dict[str, dict[str, object]], send: Send) -> None:
    await send_whole(send, OK, [JSON_TYPE], json.dumps({"object": "list", "data": list(rows.values())}).encode())


def _extended(body: bytes, mine: dict[str, dict[str, object]]) -> bytes:
    member = find_member(body, "data")
    if member is None or body[member.end - 1 : member.end] != b"]":
        return body
    rows = b",".join(json.dumps(row).encode() for row in mine.values())
    comma = b"" if body[member.value + 1 : member.end - 1].strip() == b"" else b","
    return body[: member.end - 1] + comma + rows + body[member.end - 1 :]
