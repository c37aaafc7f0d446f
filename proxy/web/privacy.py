"""The admin API of erasure: what leads to a person goes out of ledger, memory and kept answers. It must never repeat whom it was about."""

import logging
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.erasing import Erased, Eraser
from proxy.errors import BadRequest, LedgerDown, StartError, UnsupportedMediaType
from proxy.keys.moment import shown
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.personal import LiveKey
from proxy.web.access import check_admin
from proxy.web.body import read_body
from proxy.web.refusal import first_fault, refusal
from proxy.web.reply import json_reply
from proxy.web.rooms import WebRooms

_log = logging.getLogger("grammage.privacy")
PATH = "/admin/privacy/erase"
TRUSTED = "admin.listen"


class ErasureRequest(BaseModel):
    """Who is to be erased."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    scope: Literal["user", "key", "caller"] = Field(
        description="user: what clients send as `user`; key: a key's name, once it has ended; caller: any other caller's id."
    )
    name: str = Field(min_length=1, max_length=512, description="The user, the key's name, or the caller's id, exactly.")


class PrivacyWeb:
    """The route. trusted: whoever can reach the address is an admin; a browser's page is not."""

    def __init__(self, rooms: WebRooms, eraser: Eraser, trusted: bool) -> None:
        self._rooms = rooms
        self._eraser = eraser
        self._trusted = trusted

    def routes(self) -> list[Route]:
        """Where it stands."""
        return [Route(PATH, self.erase, methods=["POST"])]

    async def erase(self, request: Request) -> Response:
        """Erases, and tells how much that was."""
        admin = self._check(request)
        asked = await _read(request)
        if asked.scope == "key" and any(key.name == asked.name for key in self._rooms.settings.keys):
            raise BadRequest("the key stands in the configuration; take it out there first.", code="key_is_live", param="name")
        try:
            done = await self._eraser.erase(asked.scope, asked.name)
        except LiveKey as error:
            raise BadRequest("the key still works; revoke it first.", code="key_is_live", param="name") from error
        except (StartError, LedgerUnavailable, ConnectionError) as error:
            raise LedgerDown("the ledger, or Redis where answers are kept, cannot be reached now; send it again later.") from error
        _log.info("an erasure (%s, %d calls) was asked for by %s", asked.scope, done.ledger.calls, admin)
        return json_reply(_shown(done))

    def _check(self, request: Request) -> str:
        if self._trusted and "origin" not in request.headers:
            return TRUSTED
        caller = self._rooms.authorise(request.scope)
        check_admin(caller, request.url.path)
        return caller.id


async def _read(request: Request) -> ErasureRequest:
    """The request; a page of another site cannot send this type unasked."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("send the request as application/json, with that content-type.", code="unsupported_content_type")
    try:
        return ErasureRequest.model_validate_json(await read_body(request))
    except ValidationError as error:
        raise refusal(first_fault(error), 'send {"scope": "user", "name": "..."}; see /openapi.json.') from error


def _shown(done: Erased) -> dict[str, object]:
    return {
        "object": "privacy.erasure",
        "scope": done.ledger.scope,
        "recorded": shown(done.number),
        "calls": done.ledger.calls,
        "verdicts": done.ledger.verdicts,
        "keys": done.ledger.keys,
        "answers": done.answers,
        "unsearched_calls": done.unsearched,
    }
