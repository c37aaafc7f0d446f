"""The table of what the simulated provider speaks, one file an endpoint. It must never hold an endpoint itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from proxy.simulate.endpoints.chat import chat
from proxy.simulate.endpoints.completions import completions
from proxy.simulate.endpoints.echo import echo
from proxy.simulate.endpoints.embeddings import embeddings
from proxy.simulate.endpoints.images import drawn, edits, generations, variations
from proxy.simulate.endpoints.models import model, models
from proxy.simulate.endpoints.moderations import moderations
from proxy.simulate.endpoints.responses import cancel, compact, input_tokens, kept, responses
from proxy.simulate.endpoints.speech import speech
from proxy.simulate.endpoints.transcriptions import transcriptions, translations
from proxy.simulate.exchange import Ask, Draft, Refused

_GET = ("GET",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One endpoint: its function, its methods (empty: any) and how its body is read."""

    answer: Callable[[Ask], Draft]
    methods: tuple[str, ...] = ("POST",)
    body: Literal["json", "form", "form_or_json", "none"] = "json"


# path -> endpoint; * stands for one segment, and a path without one goes first
SPOKEN: Mapping[str, Spoken] = MappingProxyType(
    {
        "/v1/chat/completions": Spoken(answer=chat),
        "/v1/completions": Spoken(answer=completions),
        "/v1/responses": Spoken(answer=responses),
        "/v1/responses/compact": Spoken(answer=compact),
        "/v1/responses/input_tokens": Spoken(answer=input_tokens),
        "/v1/responses/*": Spoken(answer=kept, methods=("GET", "DELETE"), body="none"),
        "/v1/responses/*/cancel": Spoken(answer=cancel, body="none"),
        "/v1/embeddings": Spoken(answer=embeddings),
        "/v1/moderations": Spoken(answer=moderations),
        "/v1/images/generations": Spoken(answer=generations),
        "/v1/images/edits": Spoken(answer=edits, body="form_or_json"),
        "/v1/images/variations": Spoken(answer=variations, body="form"),
        "/v1/audio/speech": Spoken(answer=speech),
        "/v1/audio/transcriptions": Spoken(answer=transcriptions, body="form"),
        "/v1/audio/translations": Spoken(answer=translations, body="form"),
        "/v1/models": Spoken(answer=models, methods=_GET, body="none"),
        "/v1/models/*": Spoken(answer=model, methods=_GET, body="none"),
        "/v1/simulate/images/*": Spoken(answer=drawn, methods=_GET, body="none"),
        "/v1/simulate/echo": Spoken(answer=echo, methods=(), body="none"),
    }
)


def spoken_at(method: str, path: str) -> Spoken:
    """The endpoint for a request; refused as the provider refuses an unknown address."""
    spoken = SPOKEN.get(path) or next((SPOKEN[pattern] for pattern in SPOKEN if _matches(pattern, path)), None)
    if spoken is None:
        raise Refused(404, f"Simulated: unknown request URL: {method} {path}.", code="unknown_url")
    if spoken.methods and method not in spoken.methods:
        raise Refused(405, f"Simulated: {method} is not allowed here; use {', '.join(spoken.methods)}.", code="method_not_supported")
    return spoken


def _matches(pattern: str, path: str) -> bool:
    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(want in ("*", found) for want, found in zip(wanted, given, strict=True))
