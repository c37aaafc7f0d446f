"""The first fork of every request: metered endpoints, other paths of the provider, our own API. It must never read a body."""

import dataclasses
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.asgi import send_error
from proxy.counting import count_tokens
from proxy.endpoints import ENDPOINT_BY_PATH
from proxy.errors import NotFound
from proxy.headers import told_dialect
from proxy.models import list_models, lists_models
from proxy.passthrough import pass_through
from proxy.pipeline import carry
from proxy.rooms import Rooms
from proxy.route import ADDRESS, Address, address_of
from proxy.sockets.carry import carry_socket

OWN_PREFIXES = ("/v1/footprint/", "/v1/impact")


@dataclasses.dataclass(frozen=True, slots=True)
class Front:
    """The first fork: metered endpoints, other paths of the provider, our own API. beside: further applications, by their path."""

    rooms: Rooms
    web: ASGIApp
    beside: Mapping[str, ASGIApp] = dataclasses.field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await carry_socket(self.rooms, scope, receive, send)
            return
        if scope["type"] != "http":
            return
        base = self.rooms.settings.server.base_path
        path: str = scope["path"]
        if base:
            if not path.startswith(base + "/"):
                await send_error(
                    send, NotFound(f"nothing is served at {path[:80]!r}; this proxy's paths begin with {base}/v1.", code="unknown_path")
                )
                return
            scope = _below(scope, base)
            path = scope["path"]
        endpoint = ENDPOINT_BY_PATH.get(path) if scope["method"] == "POST" else None
        if endpoint is None and (address := address_of(scope["method"], path)) is not None:
            endpoint, scope = address.endpoint, _addressed(scope, address)
            path = scope["path"]
        if endpoint is not None:
            await (count_tokens if endpoint.counts else carry)(self.rooms, endpoint, scope, receive, send)
        elif path in self.beside:
            await self.beside[path](scope, receive, send)
        elif (ADDRESS not in scope and not path.startswith("/v1/")) or path.startswith(OWN_PREFIXES):
            await self.web(scope, receive, send)
        elif scope["method"] == "GET" and lists_models(path):
            await list_models(self.rooms, scope, receive, send)
        else:
            await pass_through(self.rooms, scope, receive, send)


def _below(scope: Scope, base: str) -> Scope:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": scope["path"][len(base) :], "raw_path": raw[len(base) :]}


def _addressed(scope: Scope, address: Address) -> Scope:
    """The scope of a call whose path means `address`; where the path alone does not tell the dialect, the headers do."""
    if address.endpoint is None and address.dialect == "openai":
        address = dataclasses.replace(address, dialect=told_dialect(scope["headers"]))
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": address.path, "raw_path": address.raw(raw), ADDRESS: address}
