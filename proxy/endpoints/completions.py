"""The legacy text completions endpoint. It must never see a provider."""

from typing import Any

from proxy.endpoints.base import Endpoint, Prompt
from proxy.endpoints.reading import decoded


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    prompt = request.get("prompt") if isinstance(request, dict) else None
    return Prompt(texts=_texts(prompt), overhead_tokens=_given_tokens(prompt))


def _texts(prompt: Any) -> tuple[str, ...]:
    if isinstance(prompt, str):
        return (prompt,)
    return tuple(part for part in prompt if isinstance(part, str)) if isinstance(prompt, list) else ()


def _given_tokens(prompt: Any) -> int:
    """Prompts may be token ids already: one list of them, or a list of lists."""
    if not isinstance(prompt, list):
        return 0
    return sum(1 for part in prompt if isinstance(part, int)) + sum(len(part) for part in prompt if isinstance(part, list))


def _reply_text(body: bytes) -> tuple[str, ...]:
    reply = decoded(body)
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list):
        return ()
    texts = (choice.get("text") for choice in choices if isinstance(choice, dict))
    return tuple(text for text in texts if isinstance(text, str))


def _event_text(payload: bytes) -> str:
    return "".join(_reply_text(payload))


COMPLETIONS = Endpoint(
    path="/v1/completions",
    operation="completions",
    weighed_as="completions",
    content="prompt",
    writes=True,
    forces_usage=True,
    prompt=_prompt,
    reply_text=_reply_text,
    event_text=_event_text,
)
