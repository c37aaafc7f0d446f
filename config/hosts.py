"""Which provider, and which region, an API host name tells. It must never guess: a host that fits no pattern tells nothing."""

import re
from collections.abc import Iterable

_REGION = r"(?P<region>[a-z0-9-]+)"
_ANY = r"[a-z0-9.-]+"
HOST_LIMIT = 253
"""Longest host name (RFC 1035)."""


class Hosts:
    """Host patterns of all providers: exact names, `*.suffix`, and `{region}` where the region stands in the name."""

    __slots__ = ("_exact", "_patterns")

    def __init__(self, patterns: Iterable[tuple[str, str]], fixed: Iterable[tuple[str, str, str]] = ()) -> None:
        """patterns: (provider, pattern); fixed: (provider, host, region) for hosts that stand for one region."""
        self._exact: dict[str, tuple[str, str | None]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for provider, pattern in patterns:
            if "*" in pattern or "{" in pattern:
                form = re.escape(pattern).replace(r"\{region\}", _REGION).replace(r"\*", _ANY)
                self._patterns.append((re.compile(form), provider))
            else:
                self._exact[pattern] = (provider, None)
        for provider, host, region in fixed:
            self._exact[host] = (provider, region)

    def find(self, host: str) -> tuple[str, str | None] | None:
        """(provider, region or None) of a host, a host:port or a URL; None when it tells nothing. Never raises."""
        name = _bare(host)
        known = self._exact.get(name)
        if known is not None or not name:
            return known
        for form, provider in self._patterns:
            match = form.fullmatch(name)
            if match:
                return provider, match.groupdict().get("region")
        return None


def _bare(host: str) -> str:
    """The host name alone, lower case, without scheme, user, port and path; empty when there is none."""
    text = host[: 8 * HOST_LIMIT].strip().lower()
    text = text.partition("://")[2] or text
    text = re.split(r"[/?#]", text, maxsplit=1)[0].rpartition("@")[2]
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name = text if text.count(":") > 1 else text.partition(":")[0]
    return name.rstrip(".") if len(name) <= HOST_LIMIT else ""
