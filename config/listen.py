"""host:port as people write it. It must never resolve a name."""

import ipaddress
import re
from urllib.parse import urlsplit

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]]*)):(?P<port>[0-9]{1,5})")
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080` or `:8080` (every interface). Raises ValueError with a remedy."""
    found = _LISTEN.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65_535:
        raise ValueError("write it as host:port, such as 127.0.0.1:8080 or [::1]:8080, with a port up to 65535")
    return found["six"] or found["host"] or "0.0.0.0", int(found["port"])


def is_loopback(host: str) -> bool:
    """True when only this machine can reach `host`; an unknown name counts as reachable by others."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def points_at(url: str, listen: tuple[str, int]) -> bool:
    """True when `url` names the address we listen on, as far as its text tells."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host, here = (parts.hostname or "").lower(), listen[0].lower()
    same = host == here or (is_loopback(host) and (is_loopback(here) or here in _EVERYWHERE))
    return same and port == listen[1] != 0


def url_fault(url: str) -> str | None:
    """What is wrong with a base URL, else None. A user name or key inside a URL is refused, for it would be shown in messages."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL; write https://host/v1"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "not a URL; it begins with https:// or http:// and names a host, such as https://api.openai.com/v1"
    if parts.username is not None or parts.query or parts.fragment or port == 0:
        return "a base URL holds no user name, query or fragment; put the key in api_key"
    return None
