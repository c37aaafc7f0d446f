"""Under which addresses this proxy is reached. It must never resolve a name."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from config.listen import is_loopback

USUAL_PORTS = (None, 80, 443)


@dataclass(frozen=True, slots=True)
class Address:
    """A host in small letters, and a port; None: any."""

    host: str
    port: int | None


def address(text: str) -> Address | None:
    """host, host:port or URL as an address, None: it is none."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        return Address(parts.hostname.rstrip("."), parts.port) if parts.hostname else None
    except ValueError:
        return None


def points_here(host: str | None, port: int | None, ours: Iterable[Address]) -> bool:
    """Whether a call to this host and port came to one of our addresses; a port that is not told is a usual one."""
    return host is not None and any(_same(host, each.host) and _fits(port, each.port) for each in ours)


def _same(host: str, ours: str) -> bool:
    return host == ours or (is_loopback(host) and (is_loopback(ours) or ours == "0.0.0.0"))


def _fits(port: int | None, ours: int | None) -> bool:
    return ours is None or port == ours or (port in USUAL_PORTS and ours in USUAL_PORTS)
