"""How many tokens the provider counts for what a model hears inside a chat. It must never hear it.

Sources: OpenAI's guide "Managing costs" of its audio models (a token for each tenth of a second that a user says); Google's "Understand and
count tokens" (32 a second); Mistral's page on Voxtral and its tokenizer (12.5 frames a second).
"""

import math
import re

TOKENS_PER_S: tuple[tuple[str, float], ...] = (
    (r"gpt-|o[1-9](?!\d)", 10.0),
    (r"gemini|gemma", 32.0),
    (r"voxtral|mistral", 12.5),
    (r"qwen", 25.0),
)
USUAL_TOKENS_PER_S = 10.0
_RATES = tuple((re.compile(rf"(?:^|[/.:@_\-])(?:{pattern})"), rate) for pattern, rate in TOKENS_PER_S)


def sound_tokens(model: str, seconds: float) -> int:
    """Input tokens of `seconds` of sound."""
    if seconds <= 0:
        return 0
    name = model.lower()
    return math.ceil(seconds * next((rate for pattern, rate in _RATES if pattern.search(name)), USUAL_TOKENS_PER_S))
