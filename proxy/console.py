"""Writes log lines for people who watch a terminal. It must never write a control character that a caller sent."""

import os
from collections.abc import Mapping
from typing import Final

from config.telemetry import LogFormat
from proxy.log import CallLine, Encode, MessageLine

STANDARD_ERROR: Final = 2
OK, REFUSED, DIM, STRONG = "32", "33", "2", "1"
LEVEL_COLOURS: Final[Mapping[str, str]] = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31", "DEBUG": DIM}
OUTCOME_COLOURS: Final[Mapping[str, str]] = {"ok": OK, "client_error": REFUSED, "client_left": REFUSED}
FAILED: Final = "31"
TIME: Final = slice(11, 23)
"""Of an RFC 3339 time: the hour to the millisecond."""


def encoder_for(form: LogFormat, environ: Mapping[str, str], descriptor: int = STANDARD_ERROR) -> Encode | None:
    """How to write lines to `descriptor`: None for JSON, which is also what `auto` means where nobody watches a terminal."""
    is_terminal = os.isatty(descriptor)
    if form == "json" or (form == "auto" and not is_terminal):
        return None
    return Console(colours=is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb").encode


class Console:
    """Lines in columns; colours only where they are wanted."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def encode(self, line: CallLine | MessageLine) -> bytes:
        """The line's text, times in UTC."""
        text = self._call(line) if isinstance(line, CallLine) else self._message(line)
        return text.encode("utf-8", "backslashreplace")

    def _call(self, line: CallLine) -> str:
        model = line.alias if line.model in (None, line.alias) else f"{line.alias} as {line.model}"
        state = self._in(OUTCOME_COLOURS.get(line.outcome, FAILED), f"{line.status or '-'} {line.outcome}")
        parts = [
            self._in(DIM, line.ts[TIME]),
            f"{self._in(STRONG, line.operation)} {model}",
            state,
            _seconds(line.ms),
            _tokens(line),
            _weight(line),
            _where(line),
            "" if line.instead is None else f"instead {line.instead}",
            "" if line.policy in ("none", "") else f"policy {line.policy}",
            f"{line.attempts} attempts" if line.attempts > 1 else "",
            self._in(DIM, " ".join(f"{name}={value}" for name, value in line.tags.items())) if line.tags else "",
            self._in(DIM, line.call_id),
        ]
        return "  ".join(part for part in parts if part)

    def _message(self, line: MessageLine) -> str:
        level = self._in(LEVEL_COLOURS.get(line.level, STRONG), line.level.lower())
        about = "" if line.call_id is None or line.call_id in line.message else "  " + self._in(DIM, line.call_id)
        text = f"{self._in(DIM, line.ts[TIME])}  {level}  {line.logger.removeprefix('grammage.')}: {line.message}{about}"
        return text if line.exception is None else f"{text}\n{_plain(line.exception)}"

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms"


def _tokens(line: CallLine) -> str:
    if line.input_tokens is None or line.output_tokens is None:
        return ""
    return f"{line.input_tokens:,}+{line.output_tokens:,} tokens"


def _weight(line: CallLine) -> str:
    """Expected grams with their range, two significant digits, and the quality tier."""
    if line.gco2e is None or line.gco2e_low is None or line.gco2e_high is None:
        return "not weighed"
    if not line.gco2e_high:
        return "0 gCO2e"
    return f"{_two(line.gco2e)} gCO2e ({_two(line.gco2e_low)} to {_two(line.gco2e_high)}) {line.quality or ''}".rstrip()


def _where(line: CallLine) -> str:
    if line.provider is None:
        return ""
    place = line.region or line.zone or ""
    return f"{line.provider} {place}".rstrip()


def _two(number: float) -> str:
    """Two significant digits, without an exponent."""
    text = f"{number:.2g}"
    if "e" not in text:
        return text
    if number >= 1:
        return f"{float(text):,.0f}"
    return f"{number:.{1 - int(text[text.index('e') + 1 :])}f}"


def _plain(text: str) -> str:
    """A traceback, indented, with every other control character written as an escape."""
    lines = ("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in text.split("\n"))
    return "\n".join("    " + line for line in lines)
