"""Faults to order: what may go wrong at a provider, by name, for tests and for users' staging.

It must never act unless a call or a caller asks.

A call asks with the header `x-simulate-fault: name[=value][,name...]`; a `Faults` object asks for every call or for the next ones in
turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.simulate.exchange import Refused, UsagePlace

HEADER = "x-simulate-fault"

# name -> what it does; the value after `=` in brackets
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "cut": "the connection breaks after [2] events of a stream, or in the middle of a body",
        "stall": "after [2] events, or before the first byte of a body, nothing more comes until the client leaves",
        "slow-first-byte": "the first byte comes after [250] milliseconds",
        "malformed-chunk": "the second event is broken JSON, or the body lacks its last third",
        "no-usage": "no usage is given, even when asked for",
        "usage-last-chunk": "usage comes on the last chunk that has choices; chat and completions only",
        "usage-every-chunk": "usage comes on every chunk, growing; chat and completions only",
        "refuse-stream-options": "`stream_options` is answered by 400",
        "split-utf8": "bytes are split inside multi-byte characters",
        "azure-first-chunk": "a first chunk with `choices: []` and prompt_filter_results; chat and completions only",
        "crlf": "lines of a stream end in CR LF",
        "gzip": "the body is compressed, whatever the client accepts",
    }
)

# status -> type, code, message; the value of 429 and 503 is the seconds to wait
ERRORS: Mapping[str, tuple[str, str | None, str]] = MappingProxyType(
    {
        "400": ("invalid_request_error", None, "Simulated: the request was not understood."),
        "401": ("invalid_request_error", "invalid_api_key", "Simulated: Incorrect API key provided."),
        "403": ("invalid_request_error", "unsupported_country_region_territory", "Simulated: not permitted."),
        "404": ("invalid_request_error", "model_not_found", "Simulated: this model does not exist or you may not use it."),
        "409": ("conflict_error", None, "Simulated: the resource is in use."),
        "422": ("invalid_request_error", None, "Simulated: the request cannot be processed."),
        "429": ("requests", "rate_limit_exceeded", "Simulated: rate limit reached, try again later."),
        "500": ("server_error", None, "Simulated: the server had an error."),
        "503": ("server_error", None, "Simulated: the server is overloaded."),
    }
)
_USAGE_PLACES: Mapping[str, UsagePlace] = MappingProxyType(
    {"no-usage": "nowhere", "usage-last-chunk": "last_chunk", "usage-every-chunk": "every_chunk"}
)


@dataclass(slots=True, kw_only=True)
class Faults:
    """Faults for calls that ask for none themselves: `script` first, one entry a call (empty: none), then `always`."""

    always: str = ""
    script: list[str] = field(default_factory=list)

    def next(self) -> str:
        """The fault text of the next call."""
        return self.script.pop(0) if self.script else self.always


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """The faults of one call, read."""

    named: Mapping[str, str]

    def has(self, name: str) -> bool:
        """Whether the fault was ordered."""
        return name in self.named

    def number(self, name: str, default: int) -> int:
        """The fault's value as a whole number, or the default."""
        text = self.named.get(name, "")
        return int(text) if text.isdecimal() else default

    @property
    def usage_place(self) -> UsagePlace:
        """Where usage goes in this call."""
        return next((place for name, place in _USAGE_PLACES.items() if name in self.named), "as_asked")

    @property
    def error(self) -> tuple[Refused, tuple[tuple[str, str], ...]] | None:
        """The ordered error with its extra headers, if any."""
        status = next((name for name in self.named if name in ERRORS), None)
        if status is None:
            return None
        kind, code, message = ERRORS[status]
        wait_s = self.number(status, 1)
        waits = (("retry-after", str(wait_s)), ("retry-after-ms", str(wait_s * 1000)))
        return Refused(int(status), message, kind=kind, code=code), waits if status in ("429", "503") else ()


def read_mood(text: str) -> Mood:
    """The ordered faults; an unknown name is refused with the known ones."""
    named: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in FAULTS and name not in ERRORS:
            known = ", ".join([*ERRORS, *FAULTS])
            raise Refused(400, f"Simulated: unknown fault '{name}' in {HEADER}; known: {known}.", code="unknown_fault", param=HEADER)
        named[name] = value
    return Mood(named=MappingProxyType(named))
