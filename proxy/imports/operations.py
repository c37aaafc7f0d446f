"""What the words of other tools mean as operations of ours. It must never take a word that it does not know for a call of text."""

from collections.abc import Mapping
from typing import Final

from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Endpoint


def _by_operation() -> dict[str, Endpoint]:
    """The first endpoint of each operation."""
    found: dict[str, Endpoint] = {}
    for endpoint in ENDPOINTS:
        found.setdefault(endpoint.operation, endpoint)
    return found


OPERATIONS: Final[Mapping[str, Endpoint]] = _by_operation()

_OTHER_WORDS: Final = {
    "completion": "chat",
    "chat_completion": "chat",
    "text_completion": "completions",
    "embedding": "embeddings",
    "image_generation": "images",
    "image_edit": "images",
    "image_variation": "images",
    "image": "images",
    "speech": "audio",
    "text_to_speech": "audio",
    "transcriptions": "transcription",
    "translations": "translation",
    "anthropic_messages": "messages",
    "message": "messages",
    "generate_content": "generate_content",
    "moderations": "moderation",
    "create_video": "videos",
    "video": "videos",
    "generation": "chat",
}

NOT_GENERATIVE: Final = frozenset(
    {"rerank", "search", "pass_through_endpoint", "create_file", "list_batches", "retrieve_batch", "create_batch", "vector_store_search"}
)
"""Kinds of calls that are told and that no method weighs."""


def operation_of(word: str) -> str | None:
    """The operation, None for a word that is none of ours; LiteLLM's `a` of asynchronous calls is left out."""
    plain = word.strip().lower().replace("-", "_")
    for name in (plain, plain.removeprefix("a")):
        known = _OTHER_WORDS.get(name, name)
        if known in OPERATIONS:
            return known
    return None


def is_known_not_generative(word: str) -> bool:
    """True for a kind of call that is told and not weighed."""
    plain = word.strip().lower()
    return plain in NOT_GENERATIVE or plain.removeprefix("a") in NOT_GENERATIVE
