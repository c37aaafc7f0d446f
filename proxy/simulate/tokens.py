"""The simulated provider's own tokens: every text it writes is cut into pieces and each piece is one token.

It must never call a real tokenizer.

Rule: a piece is up to seven letters or digits with one space before them, one ideograph, one other sign, or a run of white space. On
English, French and German prose this gives about four to five characters a token. Prompts add 3 tokens a message and 3 for the reply; an
image costs 85 (low detail) or 765.
"""

import re
from collections.abc import Iterable

from proxy.simulate.exchange import JsonObject

_PIECE = re.compile(r"[\u3040-\u9fff\uac00-\ud7af]| ?[^\W_]{1,7}|\n+| ?[^\w\s]|_|\s+")
_EXACT_CHARACTERS = 200_000
_CHARACTERS_PER_PIECE = 5
_PER_MESSAGE = 3
_REPLY_PRIMING = 3
_IMAGE = {"low": 85}
_IMAGE_DEFAULT = 765


def pieces(text: str) -> list[str]:
    """The text in pieces, one a token; joined they are the text again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Tokens of a text; beyond 200,000 characters the rest counts as one token for five characters."""
    exact = sum(1 for _ in _PIECE.finditer(text, 0, _EXACT_CHARACTERS))
    return exact + max(0, len(text) - _EXACT_CHARACTERS) // _CHARACTERS_PER_PIECE


def text_of(content: object) -> str:
    """The text in a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def count_messages(messages: Iterable[JsonObject], tools: str = "") -> int:
    """Prompt tokens of a chat: texts, image parts, 3 a message, 3 for the reply, and the tools' JSON."""
    total = _REPLY_PRIMING + count(tools)
    for message in messages:
        total += _PER_MESSAGE + count(text_of(message.get("content"))) + _count_images(message.get("content"))
    return total


def _count_images(content: object) -> int:
    if not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        image = part.get("image_url") if isinstance(part, dict) else None
        if image is not None:
            detail = image.get("detail") if isinstance(image, dict) else None
            total += _IMAGE.get(detail, _IMAGE_DEFAULT) if isinstance(detail, str) else _IMAGE_DEFAULT
    return total
