"""One streamed answer of LiteLLM's as bytes of the caller's dialect. It must never end cleanly a stream that the provider cut."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from proxy.errors import UpstreamTimeout
from proxy.upstream.base import Headers
from proxy.upstream.litellm_errors import broken

Write = Callable[[Any, str, int], bytes]
_END = object()
EVENT_STREAM = (b"content-type", b"text/event-stream")


class Hold:
    """Keeps track of streams that are being let go, so that none is forgotten."""

    def __init__(self) -> None:
        self._closing: set[asyncio.Task[None]] = set()

    def release(self, source: Any) -> None:
        """Closes what LiteLLM reads from, without waiting for it."""
        close = getattr(source, "aclose", None)
        if close is None:
            return
        task = asyncio.get_running_loop().create_task(_closed(close))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def settled(self) -> None:
        """Returns when everything that was let go is closed."""
        if self._closing:
            await asyncio.wait(self._closing)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    try:
        await close()
    except Exception:  # noqa: BLE001  # a vendor's clean-up of a stream nobody reads any more; there is nobody to tell
        return


class TranslatedStream:
    """A stream behind the `UpstreamReply` shape. `first` was read already: a refusal comes before the head leaves.

    write: makes an event of what LiteLLM yields. last: what ends the stream once the provider's has ended.
    """

    status = 200

    def __init__(
        self,
        source: Any,
        events: AsyncIterator[Any],
        first: Any,
        *,
        write: Write,
        last: bytes,
        model: str,
        provider: str,
        headers: Headers,
        silence_s: float,
        hold: Hold,
    ) -> None:
        self.headers: Headers = [EVENT_STREAM, *headers]
        self._source = source
        self._events = events
        self._first = first
        self._write = write
        self._last = last
        self._model = model
        self._provider = provider
        self._silence_s = silence_s
        self._hold = hold
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The events as they come. Raises UpstreamUnreachable (code upstream_broke) when it is cut, UpstreamTimeout when silent."""
        number = 0
        yield self._write(self._first, self._model, number)
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    event = await anext(self._events)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                raise too_slow(self._provider) from error
            except Exception as error:
                raise broken(error, self._provider) from error
            number += 1
            if out := self._write(event, self._model, number):
                yield out
        self._ended = True
        if self._last:
            yield self._last

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def ended(self) -> bool:
        """True when the provider's stream has come to its end."""
        return self._ended

    def close(self, *, broken: bool = False) -> None:
        """Lets go of the provider's connection when it was not read to its end."""
        if broken or not self._ended:
            self._hold.release(self._source)


def too_slow(provider: str) -> UpstreamTimeout:
    """The provider said nothing for too long."""
    return UpstreamTimeout(f"{provider} stayed silent longer than the read timeout; try again or raise it.")


class Watched:
    """LiteLLM's chat stream, made honest: what breaks it is kept in `trouble`, and a usage that no provider told is left out.

    LiteLLM's writers of other dialects take an exception for the end, and LiteLLM counts tokens itself where it was told none.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._events = aiter(stream)
        self._first: Any = _END
        self.trouble: list[BaseException] = []

    async def begin(self) -> "Watched":
        """Reads the first chunk. Raises what LiteLLM does when the provider refuses."""
        self._first = await anext(self._events)
        return self

    def __aiter__(self) -> "Watched":
        return self

    async def __anext__(self) -> Any:
        first, self._first = self._first, _END
        if first is not _END:
            return first
        while True:
            try:
                chunk = await anext(self._events)
            except StopAsyncIteration:
                raise
            except Exception as error:  # noqa: BLE001  # kept, and raised again by `Checked`
                self.trouble.append(error)
                raise StopAsyncIteration from None
            if getattr(chunk, "usage", None) is None or self._was_told():
                return chunk

    def _was_told(self) -> bool:
        """True when some chunk of the provider's held a usage."""
        return any(_usage_in(chunk) for chunk in getattr(self._stream, "chunks", None) or ())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def aclose(self) -> None:
        """Lets go of the provider's connection."""
        await self._stream.aclose()


def _usage_in(chunk: Any) -> bool:
    hidden = getattr(chunk, "_hidden_params", None)
    return getattr(chunk, "usage", None) is not None or (isinstance(hidden, dict) and hidden.get("usage") is not None)


async def with_late_usage(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Chat chunks whose last one carries the usage that comes after it: LiteLLM's Gemini writer looks for it there."""
    held: Any = None
    async for chunk in chunks:
        usage = getattr(chunk, "usage", None)
        if held is not None and usage is not None:
            held.usage = usage
            continue
        if held is not None:
            yield held
            held = None
        choices = getattr(chunk, "choices", None) or []
        if choices and choices[0].finish_reason:
            held = chunk
        else:
            yield chunk
    if held is not None:
        yield held


class Checked:
    """Events made of a watched stream: what broke it comes before anything that LiteLLM made of the break."""

    def __init__(self, events: Any, source: Watched) -> None:
        self._events = aiter(events)
        self._source = source

    def __aiter__(self) -> "Checked":
        return self

    async def __anext__(self) -> Any:
        event = await anext(self._events, _END)
        if self._source.trouble:
            raise self._source.trouble[0]
        if event is _END:
            raise StopAsyncIteration
        return event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def aclose(self) -> None:
        """Closes what the events are made of."""
        await self._source.aclose()


async def only_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The data of Cohere's events, a line each: as they are, and as an older version of them nested their members."""
    async for line in lines:
        text = line.removeprefix("data:").strip()
        if not text.startswith("{"):
            continue
        event = json.loads(text)
        yield json.dumps({"event": event.get("type"), "data": event, **event})


def mended(stream: Any) -> Any:
    """`stream`, made to read Cohere's v2 events: LiteLLM's reader takes each line for JSON, and looks for usage where it once stood."""
    source: Any = getattr(stream, "completion_stream", None)
    if type(source).__name__ == "CohereV2ModelResponseIterator":
        source.streaming_response = only_data(source.streaming_response)
    return stream
