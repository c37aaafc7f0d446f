"""Answers that the simulated provider does not give: an error in the midst of a stream, and objects of kinds it does not keep.

It must never answer a path that the simulated provider speaks, unless a header asks for it.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.simulate.endpoints.table import spoken_at
from proxy.simulate.exchange import Asked, Refused

HEADER = b"x-test-answer"
Answer = Callable[[Asked, Any], Awaitable[None]]
_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
_SAID = {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Half "}, "finish_reason": None}]}
_ERROR = {"error": {"message": "The server had an error", "type": "server_error", "param": None, "code": "internal_error"}}
_UNKNOWN_EXTRA = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x", "novel": [1]}, "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "novel_details": {"a": 1}},
    "big": 12345678901234567890,
    "new_field": {"nested": "\u00e9"},
}


def canned(scope: Any) -> Answer | None:
    """The answer to a request that the simulated provider would refuse as unknown, or that asks for one by name."""
    asked = dict(scope["headers"]).get(HEADER)
    if asked is not None:
        return _NAMED[asked.decode()]
    try:
        spoken_at(scope["method"], scope["path"])
    except Refused as refused:
        return _thing if refused.status == 404 and scope["path"].startswith("/v1/") else None
    return None


async def _error_event(asked: Asked, send: Any) -> None:
    await _send(send, f"data: {json.dumps(_SAID)}\n\ndata: {json.dumps(_ERROR)}\n\n".encode(), kind=b"text/event-stream")


async def _unknown_fields(asked: Asked, send: Any) -> None:
    await _send(send, json.dumps(_UNKNOWN_EXTRA).encode())


async def _should_not_retry(asked: Asked, send: Any) -> None:
    await _send(send, json.dumps(_ERROR).encode(), status=500, extra=((b"x-should-retry", b"false"),))


async def _thing(asked: Asked, send: Any) -> None:
    """An object of the kind that the path names; a list for a bare GET; bytes for `/content`."""
    parts = asked.path.strip("/").split("/")[1:]
    if parts[-1] == "content":
        await _send(send, bytes(range(256)) * 64, kind=b"application/octet-stream")
        return
    digest = hashlib.sha256(asked.body).hexdigest()
    thing = {
        "id": f"{parts[0]}_{digest[:8]}",
        "object": parts[0],
        "created_at": 1,
        "status": "completed",
        "sha256": digest,
        "new": {"a": 1},
    }
    listed = asked.method == "GET" and len(parts) == 1
    await _send(send, json.dumps({"object": "list", "data": [thing], "has_more": False} if listed else thing).encode())


async def _send(
    send: Any, body: bytes, *, status: int = 200, kind: bytes = b"application/json", extra: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    headers = [(b"content-type", kind), (b"x-request-id", b"req_canned"), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_NAMED: dict[str, Answer] = {"error-event": _error_event, "unknown-fields": _unknown_fields, "should-not-retry": _should_not_retry}
