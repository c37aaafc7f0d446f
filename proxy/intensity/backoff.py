"""When a source is asked next. It must never ask before the source has published anew, nor read a clock or a die."""

import hashlib
import math

from proxy.http_client import FetchError

FIRST_PAUSE_S = 30.0
REFUSED_PAUSE_S = 900.0
"""After a 4xx: asking again at once would not change a wrong token, a plan that does not cover a zone, or a zone that is not there."""

LONGEST_PAUSE_S = 3600.0
LONGEST_REST_S = 86_400.0
"""The longest rest that a source is given at its own word."""

SPREAD_RATIO = 0.1
TOO_MANY = 429
TIMEOUT = 408
CLIENT_ERROR, SERVER_ERROR = 400, 500


def next_publication_s(now_s: float, every_s: float, name: str) -> float:
    """When to ask after an answer: at the beginning of the next period, and up to a tenth of it later, so that not all ask at once."""
    return float((math.floor(now_s / every_s) + 1) * every_s + math.floor(SPREAD_RATIO * every_s * _share(name)))


def pause_s(failures: int, error: Exception, rest_s: float | None, name: str) -> float:
    """Whole seconds to wait after so many failures in a row: doubling, up to half as long again by name; more if the source says so."""
    first_s = REFUSED_PAUSE_S if is_refusal(error) else FIRST_PAUSE_S
    doubled_s = min(first_s * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_S)
    return float(math.ceil(max(doubled_s * (1 + 0.5 * _share(f"{name} {failures}")), min(rest_s or 0.0, LONGEST_REST_S))))


def is_refusal(error: Exception) -> bool:
    """True for a 4xx that asking again soon will not change."""
    status = error.status if isinstance(error, FetchError) and error.status is not None else 0
    return CLIENT_ERROR <= status < SERVER_ERROR and status not in (TOO_MANY, TIMEOUT)


def is_too_many(error: Exception) -> bool:
    """True when the source, not the one page, wants to be left alone."""
    return isinstance(error, FetchError) and error.status == TOO_MANY


def _share(name: str) -> float:
    """A share in 0..1 that follows from the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
