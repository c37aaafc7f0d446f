"""What an address says: whom to reach, and what to write into the request line. It must never change a path or a query."""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from yarl import URL

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ASKED = re.compile(rb"/[^\x00-\x20\x7f]*")
_HOST = re.compile(r"[^\x00-\x20\x7f/?#@\\]+")
PORTS = {"http": 80, "https": 443}


class BadTarget(ValueError):
    """The address cannot be asked; the text says why, without it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom to reach. host: a name in ASCII, or an IP address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"

    @property
    def certified_name(self) -> str:
        """Whose certificate is asked for."""
        return self.host.rstrip(".")


@dataclass(slots=True)
class Target:
    """One address, taken apart once. shown: for messages, without credentials. credentials: of the address itself, as a header's value."""

    origin: Origin
    shown: str
    asked: bytes
    host_line: bytes
    credentials: bytes | None = None
    _starts: dict[str, bytes] = field(default_factory=dict)

    def start(self, method: str) -> bytes:
        """The request line and the host, both with their line ends. Raises BadTarget."""
        start = self._starts.get(method)
        if start is None:
            if _METHOD.fullmatch(method) is None:
                raise BadTarget("the method is not a word")
            start = self._starts[method] = method.encode() + b" " + self.asked + b" HTTP/1.1\r\n" + self.host_line
        return start


def target_of(text: str) -> Target:
    """The address taken apart; its path and query stay as they are written. Raises BadTarget."""
    url = _parsed(text)
    host, port = url.raw_host, url.port
    if url.scheme not in PORTS or not host or port is None:
        raise BadTarget("the address has no scheme http or https, no host or no port")
    host = _in_ascii(host)
    literal = f"[{host}]" if ":" in host else host
    shown = literal if port == PORTS[url.scheme] else f"{literal}:{port}"
    path = url.raw_path or "/"
    asked = _bytes(f"{path}?{url.raw_query_string}" if url.raw_query_string else path)
    if _ASKED.fullmatch(asked) is None:
        raise BadTarget("the path or the query holds a space or a control character")
    return Target(Origin(url.scheme, host, port), shown, asked, b"host: " + shown.encode() + b"\r\n", _credentials(url))


def _parsed(text: str) -> URL:
    try:
        url = URL(text, encoded=True)
        _ = url.port, url.raw_host
    except (ValueError, IndexError) as error:  # yarl trips over an empty host behind credentials
        raise BadTarget("the address is no URL") from error
    return url


def _in_ascii(host: str) -> str:
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise BadTarget("the host's name is none") from error
    if _HOST.fullmatch(host) is None:
        raise BadTarget("the host's name holds a space or a control character")
    return host.lower()


def _bytes(asked: str) -> bytes:
    """A caller's bytes are latin-1 text here; what a configuration writes beyond that is UTF-8."""
    try:
        return asked.encode("latin-1")
    except UnicodeEncodeError:
        return asked.encode()


def _credentials(url: URL) -> bytes | None:
    user, password = url.raw_user, url.raw_password
    if user is None and password is None:
        return None
    return b"Basic " + b64encode(unquote_to_bytes(user or "") + b":" + unquote_to_bytes(password or ""))
