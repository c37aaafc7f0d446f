"""Answers of our own API: JSON bodies and errors. It must never answer an error in another shape than the OpenAI envelope."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from proxy.errors import GrammageError, MethodNotAllowed, NotFound
from proxy.tag import plain

JSON = "application/json"


def figure(number: float | None) -> msgspec.Raw | None:
    """A number as JSON with 4 significant digits and no exponent; None stays null."""
    return None if number is None else msgspec.Raw(plain(number).encode())


def json_reply(body: Any, status: int = 200) -> Response:
    """`body` as JSON, not to be kept by caches."""
    return Response(msgspec.json.encode(body), status, {"cache-control": "no-store"}, media_type=JSON)


async def on_our_error(_: Request, error: Exception) -> Response:
    """An error of ours in its envelope."""
    ours = error if isinstance(error, GrammageError) else GrammageError("the proxy failed on this request; its log says why.")
    headers = {name.decode(): value.decode() for name, value in ours.headers}
    return Response(ours.envelope(), ours.status, {"cache-control": "no-store", **headers}, media_type=JSON)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the router refuses, in the same envelope."""
    path, method = request.url.path, request.method
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == MethodNotAllowed.status:
        refused: GrammageError = MethodNotAllowed(f"{path} does not take {method}; see /openapi.json.")
    elif status == NotFound.status:
        refused = NotFound(f"there is nothing at {path}; see /openapi.json.", code="unknown_path")
    else:
        refused = GrammageError(f"{method} {path} could not be answered.")
        refused.status = status
    reply = await on_our_error(request, refused)
    reply.headers.update(getattr(error, "headers", None) or {})
    return reply
