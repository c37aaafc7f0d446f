"""The table of sockets that the simulated provider speaks, by path. It must never hold one itself."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import parse_qs

from proxy.simulate.endpoints.sampling import model_of
from proxy.simulate.exchange import Asked, Refused
from proxy.simulate.faults import Mood
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.live import LiveSession
from proxy.simulate.sockets.realtime import RealtimeSession
from proxy.simulate.sockets.responses import ResponsesSession
from proxy.simulate.sockets.session import Session

SPOKEN: Mapping[str, Callable[[SimulatedProvider, Asked, Mood, str | None], Session]] = MappingProxyType(
    {"/v1/realtime": RealtimeSession, "/v1/responses": ResponsesSession, "/v1/live/sessions": LiveSession}
)


def session_at(provider: SimulatedProvider, asked: Asked) -> Session:
    """The session that a handshake opens. Raises Refused for an unknown address or model, or an error that was ordered."""
    mood = provider.mood(asked)
    make = SPOKEN.get(asked.path.partition("?")[0])
    if make is None:
        raise Refused(404, f"Simulated: no WebSocket at {asked.path}.", code="unknown_url")
    named = parse_qs(asked.query).get("model")
    model = model_of({"model": named[0]}) if named else None
    return make(provider, asked, mood, model)
