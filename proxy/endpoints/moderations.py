"""The moderations endpoint: texts and pictures are judged, nothing is written, no usage is told. It must never see a provider."""

from typing import Any

from proxy.endpoints.base import Endpoint, Prompt
from proxy.endpoints.reading import DEEPEST_CONTENT, decoded, no_event_text, no_text


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    texts, images = _parts(request.get("input") if isinstance(request, dict) else None)
    return Prompt(texts=texts, images=images)


def _parts(given: Any, depth: int = 0) -> tuple[tuple[str, ...], int]:
    """Texts and pictures of an input: a string, or a list of strings, of parts, or of lists of them."""
    if isinstance(given, str):
        return (given,), 0
    if isinstance(given, dict):
        text = given.get("text")
        return (text,) if isinstance(text, str) else (), 1 if given.get("type") == "image_url" else 0
    if not isinstance(given, list) or depth > DEEPEST_CONTENT:
        return (), 0
    found = [_parts(part, depth + 1) for part in given]
    return tuple(text for texts, _ in found for text in texts), sum(images for _, images in found)


MODERATIONS = Endpoint(
    path="/v1/moderations",
    operation="moderation",
    weighed_as="moderation",
    content="input",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
    default_alias="omni-moderation-latest",
)
