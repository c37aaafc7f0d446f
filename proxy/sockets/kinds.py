"""Which sockets there are, and whose address is whose: the table of paths. It must never open one."""

import re
from dataclasses import dataclass
from typing import Literal

from proxy.endpoints.base import Endpoint
from proxy.endpoints.realtime import LIVE, REALTIME
from proxy.endpoints.responses import RESPONSES

Says = Literal["realtime", "responses", "live", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketKind:
    """One kind. endpoint: what its calls are, None where nothing is metered. says: how its frames tell what was used.

    model_in: where its model stands: in the address, or in each frame that asks.
    """

    endpoint: Endpoint | None
    says: Says
    model_in: Literal["query", "frames"] = "query"


KINDS: dict[str, SocketKind] = {
    "/v1/realtime": SocketKind(endpoint=REALTIME, says="realtime"),
    "/v1/responses": SocketKind(endpoint=RESPONSES, says="responses", model_in="frames"),
    "/v1/live/sessions": SocketKind(endpoint=LIVE, says="live"),
}
UNMETERED = SocketKind(endpoint=None, says="nothing")
_LIVE_FORK = re.compile(r"/v1/live/(?:[^/]+/){1,3}fork")


def kind_at(path: str) -> SocketKind:
    """The kind of socket at `path`, which begins with /v1/."""
    found = KINDS.get(path)
    if found is None and ("//" in path or path.endswith("/")):
        found = KINDS.get("/" + "/".join(part for part in path.split("/") if part))
    if found is None and _LIVE_FORK.fullmatch(path):
        found = KINDS["/v1/live/sessions"]
    return found or UNMETERED
