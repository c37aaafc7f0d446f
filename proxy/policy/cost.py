"""What usage costs by the owner's own prices. It must never guess a price: what is used and not priced makes the cost unknown."""

import math

from config.price import Price
from estimators.usage import Media, Usage

PER_MILLION = 1e-6
_QUANTITIES = ("input_per_million", "output_per_million", "per_image", "per_second")


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """Cost of the usage, in the currency of the prices; None: not known.

    A price per picture or second contains the tokens that have no price of their own, and prices of tokens contain the pictures and
    seconds that have none. `per_call` alone is a flat rate. Sound of unknown length has no cost where its length is what is billed.
    """
    if price is None:
        return None
    media = _media_cost(price, usage)
    tokens = _token_cost(price, usage, unpriced_is_free=media is not None and _has_media(usage.media))
    flat = price.per_call
    if media is None or tokens is None:
        is_flat = flat is not None and all(getattr(price, name) is None for name in _QUANTITIES)
        return flat * usage.calls if is_flat and flat is not None else None
    return tokens + media + (flat or 0.0) * usage.calls


def cost_ratio(price: Price | None, baseline: Price | None, usage: Usage) -> float | None:
    """Cost as a multiple of the baseline's for the same usage; None where either is not known."""
    cost, base = cost_of(price, usage), cost_of(baseline, usage)
    if cost is None or base is None:
        return None
    if base == 0:
        return 1.0 if cost == 0 else math.inf
    return cost / base


def _token_cost(price: Price, usage: Usage, *, unpriced_is_free: bool) -> float | None:
    cached = usage.cached_input_tokens
    read, written, again = price.input_per_million, price.output_per_million, price.cached_input_per_million
    if not unpriced_is_free:
        if read is None and (usage.input_tokens > cached or (cached and again is None)):
            return None
        if written is None and usage.output_tokens:
            return None
        if read is None and written is None:
            return None
    read = read or 0.0
    fresh = (usage.input_tokens - cached) * read + cached * (read if again is None else again)
    return (fresh + usage.output_tokens * (written or 0.0)) * PER_MILLION


def _media_cost(price: Price, usage: Usage) -> float | None:
    """0 where nothing of it is billed apart; None where it is, and what was made has no price, or its length is not known."""
    media = usage.media
    if media is None:
        return 0.0
    if media.characters and not usage.output_tokens and not _seconds(media) and (price.output_per_million or price.per_second):
        return None
    by_tokens = price.input_per_million is not None or price.output_per_million is not None
    found = 0.0
    for amount, each in ((media.images, price.per_image), (_seconds(media), price.per_second)):
        if each is not None:
            found += amount * each
        elif amount and not by_tokens:
            return None
    if price.per_second is not None and not by_tokens and _is_timed(media) and not _seconds(media):
        return None
    return found


def _seconds(media: Media) -> float:
    return (media.video_seconds or 0.0) + (media.audio_input_seconds or 0.0) + (media.audio_output_seconds or 0.0)


def _is_timed(media: Media) -> bool:
    """True for what is billed by its length, whether that is known or not."""
    return not media.images


def _has_media(media: Media | None) -> bool:
    return media is not None and bool(media.images or _seconds(media))
