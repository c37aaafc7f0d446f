"""For programs with the openai package: calls go through the proxy, and to the provider itself while the proxy cannot be reached.

    import httpx, openai
    from openai_client import FailOpen

    client = openai.OpenAI(
        base_url="http://grammage:8080/v1",
        api_key=KEY_OF_THE_PROXY,
        http_client=httpx.Client(transport=FailOpen(provider="https://api.openai.com/v1", provider_key=KEY_OF_THE_PROVIDER)),
    )

Copy the file: it needs httpx alone, which openai brings. It must never repeat a call that the proxy may have passed on.
"""

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

log = logging.getLogger("fail_open")

AWAY = (502, 503)
"""What a load balancer answers where no proxy is; an answer of the proxy itself carries a call id, and stands."""

CALL_ID = "x-grammage-call-id"


class FailOpen(httpx.BaseTransport):
    """Sends through the proxy. Where no connection comes about, it sends to `provider` (a base URL) with `provider_key`.

    For pause_s seconds after that the proxy is left alone, so that not every call waits for it. provider_key None: the call's own key.
    """

    def __init__(
        self,
        *,
        provider: str,
        provider_key: str | None = None,
        proxy_base_path: str = "/v1",
        connect_s: float = 1.0,
        pause_s: float = 15.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = httpx.HTTPTransport()
        self._provider = urlsplit(provider.rstrip("/"))
        self._key = provider_key
        self._base_path = proxy_base_path.rstrip("/")
        self._connect_s = connect_s
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._away_until = 0.0
        self.direct_calls = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One call, whole or streamed."""
        request.read()  # a body that is kept can be sent again
        if self._monotonic() >= self._away_until:
            try:
                answer = self._inner.handle_request(self._through(request))
                if answer.status_code not in AWAY or CALL_ID in answer.headers:
                    return answer
                answer.close()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                log.warning("the proxy is away (%s): calls go to %s, unweighed", type(error).__name__, self._provider.hostname)
            self._away_until = self._monotonic() + self._pause_s
        self.direct_calls += 1
        return self._inner.handle_request(self._direct(request))

    def close(self) -> None:
        """Gives back the connections."""
        self._inner.close()

    def _through(self, request: httpx.Request) -> httpx.Request:
        """The same, with little patience for a proxy that does not answer the telephone."""
        patience = {**request.extensions.get("timeout", {}), "connect": self._connect_s}
        extensions = {**request.extensions, "timeout": patience}
        return httpx.Request(request.method, request.url, headers=request.headers, content=request.content, extensions=extensions)

    def _direct(self, request: httpx.Request) -> httpx.Request:
        """The same call as the provider takes it: its address, its key, and nothing that is meant for the proxy."""
        kept = [(name, value) for name, value in request.headers.items() if name != "host" and not name.startswith("x-grammage-")]
        headers = httpx.Headers(kept)
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        path = self._provider.path + request.url.raw_path.decode("ascii").removeprefix(self._base_path)
        url = f"{self._provider.scheme}://{self._provider.netloc}{path}"
        return httpx.Request(request.method, url, headers=headers, content=request.content, extensions=request.extensions)
