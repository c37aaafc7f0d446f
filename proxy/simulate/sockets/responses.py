"""Speaks WS /v1/responses: each `response.create` is answered by the events of a stream. It must never word an answer of its own."""

import json
from collections.abc import Iterator

from proxy.simulate.exchange import Asked, JsonObject, Refused
from proxy.simulate.faults import Mood
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import as_ordered, read, written
from proxy.upstream.socket import Frame

PATH = "/v1/responses"


class ResponsesSession:
    """One socket; its model stands in each request, or in its address."""

    def __init__(self, provider: SimulatedProvider, asked: Asked, mood: Mood, model: str | None) -> None:
        self._provider = provider
        self._asked = asked
        self._mood = mood
        self._model = model
        self.headers = (("x-request-id", f"req_{provider.identity()[0]}"), ("x-simulated", "true"))
        pace = provider.paces(asked, model or "")
        self.pause_s = pace.per_token_s if pace else 0.0

    def greeting(self) -> list[str]:
        """Nothing."""
        return []

    def hear(self, frame: Frame) -> Iterator[str]:
        """The events of an answer, or an error."""
        event = read(frame)
        if event is None or event.get("type") != "response.create":
            message = "Simulated: send an event of type 'response.create'."
            yield _error(Refused(400, message, code="invalid_event", param="type"))
            return
        try:
            events = self._events(event)
        except Refused as refused:
            yield _error(refused)
            return
        yield from as_ordered(iter(events), self._mood)

    def _events(self, event: JsonObject) -> tuple[JsonObject, ...]:
        body = {"model": self._model, **event, "stream": True}
        del body["type"]
        asked = Asked(method="POST", path=PATH, headers=self._asked.headers, body=json.dumps(body).encode())
        return self._provider.draft(asked, self._mood).events or ()


def _error(refused: Refused) -> str:
    return written({"type": "error", "status": refused.status, **refused.document()})
