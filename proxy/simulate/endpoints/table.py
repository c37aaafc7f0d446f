"""The table of what the simulated provider speaks, one file an endpoint. It must never hold an endpoint itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from proxy.simulate.endpoints.batches import batch, batches, cancel_batch
from proxy.simulate.endpoints.chat import chat
from proxy.simulate.endpoints.completions import completions
from proxy.simulate.endpoints.decisions import decisions
from proxy.simulate.endpoints.echo import echo
from proxy.simulate.endpoints.embeddings import embeddings
from proxy.simulate.endpoints.files import content, file, files
from proxy.simulate.endpoints.fine_tuning import cancel_job, job, job_events, jobs
from proxy.simulate.endpoints.gemini import batch_embed, embed, generate, stream
from proxy.simulate.endpoints.gemini import count_tokens as count_gemini_tokens
from proxy.simulate.endpoints.images import drawn, edits, generations, variations
from proxy.simulate.endpoints.messages import count_tokens as count_message_tokens
from proxy.simulate.endpoints.messages import messages
from proxy.simulate.endpoints.models import model, models
from proxy.simulate.endpoints.moderations import moderations
from proxy.simulate.endpoints.responses import cancel, compact, input_tokens, kept, responses
from proxy.simulate.endpoints.speech import speech
from proxy.simulate.endpoints.transcriptions import transcriptions, translations
from proxy.simulate.endpoints.videos import from_video, remix, video, video_content, videos
from proxy.simulate.exchange import Ask, Draft, Refused

_GET = ("GET",)
_BOTH = ("GET", "POST")
_GEMINI_VERSIONS = ("v1", "v1beta", "v1alpha")
_GEMINI_VERBS: tuple[tuple[str, Callable[[Ask], Draft]], ...] = (
    ("generateContent", generate),
    ("streamGenerateContent", stream),
    ("countTokens", count_gemini_tokens),
    ("embedContent", embed),
    ("batchEmbedContents", batch_embed),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One endpoint: its function, its methods (empty: any) and how its body is read."""

    answer: Callable[[Ask], Draft]
    methods: tuple[str, ...] = ("POST",)
    body: Literal["json", "form", "form_or_json", "none"] = "json"


# path -> endpoint; * stands for one segment or its beginning, a path without one goes first
SPOKEN: Mapping[str, Spoken] = MappingProxyType(
    {
        "/v1/chat/completions": Spoken(answer=chat),
        "/v1/completions": Spoken(answer=completions),
        "/v1/responses": Spoken(answer=responses),
        "/v1/responses/compact": Spoken(answer=compact),
        "/v1/responses/input_tokens": Spoken(answer=input_tokens),
        "/v1/responses/*": Spoken(answer=kept, methods=("GET", "DELETE"), body="none"),
        "/v1/responses/*/cancel": Spoken(answer=cancel, body="none"),
        "/v1/decisions": Spoken(answer=decisions),
        "/v1/files": Spoken(answer=files, methods=_BOTH, body="none"),
        "/v1/files/*": Spoken(answer=file, methods=("GET", "DELETE"), body="none"),
        "/v1/files/*/content": Spoken(answer=content, methods=_GET, body="none"),
        "/v1/batches": Spoken(answer=batches, methods=_BOTH, body="none"),
        "/v1/batches/*": Spoken(answer=batch, methods=_GET, body="none"),
        "/v1/batches/*/cancel": Spoken(answer=cancel_batch, body="none"),
        "/v1/fine_tuning/jobs": Spoken(answer=jobs, methods=_BOTH, body="none"),
        "/v1/fine_tuning/jobs/*": Spoken(answer=job, methods=_GET, body="none"),
        "/v1/fine_tuning/jobs/*/cancel": Spoken(answer=cancel_job, body="none"),
        "/v1/fine_tuning/jobs/*/events": Spoken(answer=job_events, methods=_GET, body="none"),
        "/v1/videos": Spoken(answer=videos, methods=_BOTH, body="none"),
        "/v1/videos/edits": Spoken(answer=from_video, body="none"),
        "/v1/videos/extensions": Spoken(answer=from_video, body="none"),
        "/v1/videos/*": Spoken(answer=video, methods=("GET", "DELETE"), body="none"),
        "/v1/videos/*/remix": Spoken(answer=remix, body="none"),
        "/v1/videos/*/content": Spoken(answer=video_content, methods=_GET, body="none"),
        "/v1/embeddings": Spoken(answer=embeddings),
        "/v1/moderations": Spoken(answer=moderations),
        "/v1/images/generations": Spoken(answer=generations),
        "/v1/images/edits": Spoken(answer=edits, body="form_or_json"),
        "/v1/images/variations": Spoken(answer=variations, body="form"),
        "/v1/audio/speech": Spoken(answer=speech),
        "/v1/audio/transcriptions": Spoken(answer=transcriptions, body="form"),
        "/v1/audio/translations": Spoken(answer=translations, body="form"),
        "/v1/messages": Spoken(answer=messages),
        "/v1/messages/count_tokens": Spoken(answer=count_message_tokens),
        **{f"/{version}/models/*:{verb}": Spoken(answer=answer) for version in _GEMINI_VERSIONS for verb, answer in _GEMINI_VERBS},
        **{f"/{version}/models": Spoken(answer=models, methods=_GET, body="none") for version in _GEMINI_VERSIONS[1:]},
        **{f"/{version}/models/*": Spoken(answer=model, methods=_GET, body="none") for version in _GEMINI_VERSIONS[1:]},
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
    return len(wanted) == len(given) and all(_fits(want, found) for want, found in zip(wanted, given, strict=True))


def _fits(want: str, found: str) -> bool:
    return want in ("*", found) or (want.startswith("*:") and found.endswith(want[1:]))
