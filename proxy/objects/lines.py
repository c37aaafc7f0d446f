"""Sums what the lines of a batch's output tell, as they pass. It must never hold more than one line."""

from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Usage
from proxy.endpoints.messages import read_usage as read_message_usage
from proxy.meter.usage import read_usage
from proxy.objects.work import Part

LONGEST_LINE_BYTES = 8 * 1024 * 1024
MOST_MODELS = 16
_EMPTY = msgspec.Raw(b"")
_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "image_input_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
)


class _Answer(msgspec.Struct):
    object: Any = None
    model: Any = None
    usage: msgspec.Raw = _EMPTY


class _Response(msgspec.Struct):
    body: _Answer | None = None


class _Result(msgspec.Struct):
    message: _Answer | None = None


class _Line(msgspec.Struct):
    custom_id: Any = None
    response: _Response | None = None
    result: _Result | None = None


_LINE = msgspec.json.Decoder(_Line)
_READ_ONLY = "list"
"""The object of an answer that wrote nothing: embeddings."""


class OutputLines:
    """Fed with a file's bytes; is_output turns False at the first line that is no answer of a batch, and nothing is read after it."""

    def __init__(self) -> None:
        self.is_output = True
        self.is_whole = True
        self.lines = 0
        self._rest = b""
        self._skipping = False
        self._sums: dict[tuple[str | None, str], Usage] = {}

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        if not self.is_output:
            return
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = self._rest + lines[0]
            if self._skipping:
                self._skipping = False
                lines = lines[1:]
            for line in lines:
                self._take(line)
        else:
            rest = self._rest + rest
        if len(rest) > LONGEST_LINE_BYTES:
            self._skipping, self.is_whole, rest = True, False, b""
        self._rest = b"" if self._skipping else rest

    def parts(self) -> tuple[Part, ...]:
        """What all lines took, by model; the file has ended."""
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        if not self.is_output:
            return ()
        return tuple(
            Part(model=model, weighed_as=weighed_as, usage=replace(usage, partial=not self.is_whole))
            for (model, weighed_as), usage in self._sums.items()
        )

    def _take(self, line: bytes) -> None:
        if not self.is_output or not line.strip():
            return
        try:
            found = _LINE.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = _Line()
        if not isinstance(found.custom_id, str):
            self.is_output = False
            return
        self.lines += 1
        message = found.result.message if found.result is not None else None
        answer = found.response.body if found.response is not None else message
        if answer is None or answer.usage is _EMPTY:
            return
        usage = read_usage(bytes(answer.usage)) if message is None else read_message_usage(bytes(answer.usage))
        if usage is None:
            return
        key = (answer.model[:256] if isinstance(answer.model, str) else None, "embeddings" if answer.object == _READ_ONLY else "chat")
        if key not in self._sums and len(self._sums) >= MOST_MODELS:
            key = next(iter(self._sums))
        before = self._sums.get(key)
        self._sums[key] = usage if before is None else _sum(before, usage)


def _sum(a: Usage, b: Usage) -> Usage:
    """The counts of both, and of how many calls they are."""
    return Usage(**{name: getattr(a, name) + getattr(b, name) for name in _COUNTS}, calls=a.calls + b.calls)
