"""The admin API of issued keys: made, listed, rotated, revoked. It must never answer anyone but an admin, nor show a key twice."""

import logging
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.call import Role
from proxy.errors import BadRequest, LedgerDown, NotFound, UnsupportedMediaType
from proxy.keys.desk import DEFAULT_GRACE, Desk, UnknownKey
from proxy.keys.issue import LARGEST_LIMIT, BadKey, NewKey, Terms
from proxy.keys.moment import moment_ms, span_ms
from proxy.keys.show import described
from proxy.ledger.base import LedgerUnavailable
from proxy.web.access import check_admin
from proxy.web.body import read_body
from proxy.web.refusal import first_fault, refusal
from proxy.web.reply import json_reply
from proxy.web.rooms import WebRooms

_log = logging.getLogger("grammage.keys")
PATH = "/admin/keys"
TRUSTED = "admin.listen"
T = TypeVar("T")


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class KeyRequest(_Wish):
    """A key to be made."""

    name: str = Field(description="What records and reports call its holder; unique.")
    role: Role = Field(default="caller", description="caller, viewer (figures), observer (hands in calls made elsewhere) or admin.")
    tags: dict[str, str] = Field(default={}, description="Bound to its calls; callers cannot override them.")
    models: list[str] | None = Field(default=None, description="Aliases it may use, such as gpt-4o*; null: all.")
    brands: list[str] | None = Field(default=None, description="For a viewer: whose figures it sees; null: all.")
    expires: str | None = Field(default=None, description="90d, 24h, a last day (2027-01-31, UTC) or an instant; null: never.")
    requests_per_minute: int | None = Field(default=None, ge=1, le=LARGEST_LIMIT, description="Most requests in a minute.")
    tokens_per_minute: int | None = Field(default=None, ge=1, le=LARGEST_LIMIT, description="Most tokens in a minute, in and out.")
    note: str | None = Field(default=None, description="A word for whoever reads the list.")


class RotateRequest(_Wish):
    """How a key is replaced."""

    grace: str = Field(default=DEFAULT_GRACE, description="How long the old key works beside the new one.")
    expires: str | None = Field(default=None, description="As for a new key; null: as long anew as the old key was made for.")


class KeysWeb:
    """The routes. trusted: whoever can reach the address is an admin; a browser's page is not."""

    def __init__(self, rooms: WebRooms, desk: Desk, trusted: bool) -> None:
        self._rooms = rooms
        self._desk = desk
        self._trusted = trusted

    def routes(self) -> list[Route]:
        """Where they stand."""
        return [
            Route(PATH, self.list, methods=["GET"]),
            Route(PATH, self.create, methods=["POST"]),
            Route(PATH + "/{key_id}", self.one, methods=["GET"]),
            Route(PATH + "/{key_id}", self.revoke, methods=["DELETE"]),
            Route(PATH + "/{key_id}/rotate", self.rotate, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """Every key, ended ones too."""
        self._check(request)
        found = await self._at(lambda desk: desk.all())
        return json_reply({"object": "list", "data": [self._shown(described(key, self._rooms.now_ms())) for key in found]})

    async def one(self, request: Request) -> Response:
        """One key by its id or name."""
        self._check(request)
        key = await self._at(lambda desk: desk.find(request.path_params["key_id"]))
        return json_reply(self._shown(described(key, self._rooms.now_ms())))

    async def create(self, request: Request) -> Response:
        """A new key, shown this once."""
        admin = self._check(request)
        asked = _read(KeyRequest, await _json_body(request))
        terms = Terms(
            name=asked.name,
            role=asked.role,
            tags=tuple(asked.tags.items()),
            models=None if asked.models is None else tuple(asked.models),
            brands=None if asked.brands is None else tuple(asked.brands),
            requests_per_minute=asked.requests_per_minute,
            tokens_per_minute=asked.tokens_per_minute,
            note=asked.note,
        )
        expires_ms = self._moment(asked.expires)
        made = await self._change(lambda desk: desk.create(terms, expires_ms))
        _log.info("key %s (%s, %s) issued by %s", made.kept.key_id, terms.name, terms.role, admin)
        return self._new(made)

    async def rotate(self, request: Request) -> Response:
        """A key that takes over, shown this once; the old one works until its grace ends."""
        admin = self._check(request)
        wanted = request.path_params["key_id"]
        asked = _read(RotateRequest, await _json_body(request, empty=b"{}"))
        expires_ms = self._moment(asked.expires)
        grace_ms = _understood(lambda: span_ms(asked.grace), "grace")
        made = await self._change(lambda desk: desk.rotate(wanted, grace_ms=grace_ms, expires_ms=expires_ms))
        _log.info("key %s (%s) takes over, rotated by %s", made.kept.key_id, made.kept.terms.name, admin)
        return self._new(made)

    async def revoke(self, request: Request) -> Response:
        """The end of a key, or of every key of a name."""
        admin = self._check(request)
        wanted = request.path_params["key_id"]
        over = await self._change(lambda desk: desk.revoke(wanted))
        for key in over:
            _log.info("key %s (%s) revoked by %s", key.key_id, key.terms.name, admin)
        return json_reply({"object": "list", "data": [self._shown(described(key, self._rooms.now_ms())) for key in over]})

    def _check(self, request: Request) -> str:
        """Who asks. Raises Unauthorized, Forbidden. A browser's page always needs a key: it may be a stranger's, led here by a name."""
        if self._trusted and "origin" not in request.headers:
            return TRUSTED
        caller = self._rooms.authorise(request.scope)
        check_admin(caller, request.url.path)
        return caller.id

    def _shown(self, key: dict[str, object]) -> dict[str, object]:
        return {"object": "key", **key}

    def _new(self, made: NewKey) -> Response:
        return json_reply({"object": "key", "key": made.secret, **described(made.kept, self._rooms.now_ms())}, 201)

    def _moment(self, text: str | None) -> int | None:
        return None if text is None else _understood(lambda: moment_ms(text, self._rooms.now_ms()), "expires")

    async def _change(self, work: Callable[[Desk], T]) -> T:
        """As _at, and this process knows of it before the answer leaves."""
        done = await self._at(work)
        await self._rooms.keys_changed()
        return done

    async def _at(self, work: Callable[[Desk], T]) -> T:
        """What the desk does, in a thread; its refusals as errors of ours."""
        try:
            return await to_thread.run_sync(work, self._desk)
        except UnknownKey as error:
            raise NotFound(f"{error}.", code="unknown_key", param="key_id") from error
        except BadKey as error:
            raise BadRequest(f"{error}.", code="invalid_key_terms", param=error.field) from error
        except LedgerUnavailable as error:
            raise LedgerDown("the ledger, which holds the keys, cannot be reached now; try again later.") from error


W = TypeVar("W", bound=_Wish)


def _read(kind: type[W], body: bytes) -> W:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise refusal(first_fault(error), "see /openapi.json.") from error


async def _json_body(request: Request, empty: bytes = b"") -> bytes:
    """The body; a page of another site cannot send this type unasked, so it cannot use a browser that reaches the admin address."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("send the request as application/json, with that content-type.", code="unsupported_content_type")
    return await read_body(request) or empty


def _understood(read: Callable[[], T], param: str) -> T:
    try:
        return read()
    except ValueError as error:
        raise BadRequest(f"{param}: {error}.", code="invalid_key_terms", param=param) from error
