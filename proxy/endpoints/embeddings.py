"""The embeddings endpoint: a prompt is read, nothing is written. It must never see a provider."""

from proxy.endpoints.base import Endpoint, Prompt
from proxy.endpoints.reading import decoded as _decoded
from proxy.endpoints.reading import no_event_text, no_text


def _prompt(body: bytes) -> Prompt:
    request = _decoded(body)
    given = request.get("input") if isinstance(request, dict) else None
    if isinstance(given, str):
        return Prompt(texts=(given,))
    parts = given if isinstance(given, list) else []
    tokens = sum(1 for part in parts if isinstance(part, int)) + sum(len(part) for part in parts if isinstance(part, list))
    return Prompt(texts=tuple(part for part in parts if isinstance(part, str)), overhead_tokens=tokens)


EMBEDDINGS = Endpoint(
    path="/v1/embeddings",
    operation="embeddings",
    weighed_as="embeddings",
    content="input",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
)
