"""The table of what the simulated provider speaks, one file an endpoint. It must never hold an endpoint itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.simulate.endpoints.chat import chat
from proxy.simulate.endpoints.completions import completions
from proxy.simulate.endpoints.echo import echo
from proxy.simulate.endpoints.embeddings import embeddings
from proxy.simulate.endpoints.models import model, models
from proxy.simulate.exchange import Ask, Draft, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One endpoint: its function, its methods (empty: any) and whether its body is JSON."""

    answer: Callable[[Ask], Draft]
    methods: tuple[str, ...] = ("POST",)
    json_body: bool = True


# path -> endpoint; a path that ends in /* takes one more segment
SPOKEN: Mapping[str, Spoken] = MappingProxyType(
    {
        "/v1/chat/completions": Spoken(answer=chat),
        "/v1/completions": Spoken(answer=completions),
        "/v1/embeddings": Spoken(answer=embeddings),
        "/v1/models": Spoken(answer=models, methods=("GET",), json_body=False),
        "/v1/models/*": Spoken(answer=model, methods=("GET",), json_body=False),
        "/v1/simulate/echo": Spoken(answer=echo, methods=(), json_body=False),
    }
)


def spoken_at(method: str, path: str) -> Spoken:
    """The endpoint for a request; refused as the provider refuses an unknown address."""
    spoken = SPOKEN.get(path) or SPOKEN.get(path.rpartition("/")[0] + "/*")
    if spoken is None:
        raise Refused(404, f"Simulated: unknown request URL: {method} {path}.", code="unknown_url")
    if spoken.methods and method not in spoken.methods:
        raise Refused(405, f"Simulated: {method} is not allowed here; use {', '.join(spoken.methods)}.", code="method_not_supported")
    return spoken
