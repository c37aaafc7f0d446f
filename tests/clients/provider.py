"""The simulated provider, with an account of what reached it that a client in another process can ask for.

It must never change an answer of the simulated provider; it adds the few that it does not speak.
"""

import json
from typing import Any

from proxy.clock import Clock
from proxy.simulate.app import SimulatedProviderApp, create_simulated_provider
from proxy.simulate.exchange import Asked
from tests.clients.canned import canned

KEPT = 200
BODY_SHOWN = 20_000


class AccountableProvider:
    """Raw ASGI: `/control/seen`, `/control/left`, canned answers asked for by header, and the simulated provider."""

    def __init__(self) -> None:
        self._seen: list[Asked] = []
        self._simulated: SimulatedProviderApp = create_simulated_provider(clock=Clock(), seen=self._seen)
        self._left = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI connection."""
        path = scope.get("path", "")
        if path.startswith("/control/"):
            await _tell(send, self._left + self._simulated.left if path.endswith("left") else self._account())
        elif scope["type"] == "http" and (answer := canned(scope)) is not None:
            self._seen.append(await _read(scope, receive))
            await answer(self._seen[-1], send)
        else:
            await self._simulated(scope, receive, send)

    def _account(self) -> list[dict[str, Any]]:
        return [
            {
                "method": asked.method,
                "path": asked.path,
                "query": asked.query,
                "headers": dict(asked.headers),
                "bytes": len(asked.body),
                "body": asked.body[:BODY_SHOWN].decode("utf-8", "replace"),
            }
            for asked in self._seen[-KEPT:]
        ]


async def _read(scope: Any, receive: Any) -> Asked:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope.get("query_string", b"").decode("latin-1")
    return Asked(method=scope["method"], path=scope["path"], headers=headers, body=b"".join(parts), query=query)


async def _tell(send: Any, what: Any) -> None:
    body = json.dumps(what).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
