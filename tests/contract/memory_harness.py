"""A large upload beside many streams, and what the proxy's process holds meanwhile. It must never hold the upload itself.

The provider stands in the test's own process; every mebibyte of the upload that reaches it lets each stream go on by one event.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.contract.loss_harness import ANSWER_S, Proxy, running

MIB = 1024 * 1024
CHUNK = bytes(range(256)) * 256
EVENT_TEXT = "merino wool " * 100
"""Two hundred events of this length fill all that the proxy keeps of a stream."""

BOUNDARY = "upload-border"
HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: %b\r\n\r\n"
STREAM_END = (
    b'data: {"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}\n\ndata: [DONE]\n\n'
)
EVENT = b'data: {"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"%b"}}],"usage":null}\n\n' % EVENT_TEXT.encode()


@dataclass(slots=True)
class Provider:
    """What came to the provider. `came`: MiB of the upload; `ended`: no more will."""

    url: str = ""
    came: int = 0
    ended: bool = False
    digest: str = ""
    streams: int = 0
    turn: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def tell(self, *, came: int | None = None, ended: bool = False) -> None:
        """Wakes those who wait for the upload to go on."""
        async with self.turn:
            self.came = self.came if came is None else came
            self.ended = self.ended or ended
            self.turn.notify_all()

    async def wait_for_streams(self, count: int) -> None:
        """Returns once so many streams are open."""
        async with self.turn:
            await asyncio.wait_for(self.turn.wait_for(lambda: self.streams >= count), ANSWER_S)


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider of one transcription and any number of streams, on a port of its own."""
    made = Provider()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")))
            await (_write_down if b"/audio/" in head.split(b"\r\n", 1)[0] else _stream)(made, reader, writer, length)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MIB)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


async def _write_down(made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    digest, size = hashlib.sha256(), 0
    while size < length:
        part = await reader.read(256 * 1024)
        digest.update(part)
        size += len(part)
        if size // MIB > made.came:
            await made.tell(came=size // MIB)
    made.digest = digest.hexdigest()
    writer.write(HEAD % b"text/plain" + b"A merino jumper, knitted by hand.")
    await writer.drain()


async def _stream(made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    await reader.readexactly(length)
    writer.write(HEAD % b"text/event-stream" + EVENT)
    await writer.drain()
    async with made.turn:
        made.streams += 1
        made.turn.notify_all()
    told = 0
    while not made.ended:
        async with made.turn:
            while made.came <= told and not made.ended:
                await made.turn.wait()
            due, told = made.came - told, made.came
        writer.write(EVENT * due)
        await writer.drain()
    writer.write(STREAM_END)
    await writer.drain()


@dataclass(slots=True)
class Upload:
    """A form of `size_mb` MiB of file, with the model where it is wanted; `digest` and `peak_mb` once it has gone."""

    size_mb: int
    model_first: bool
    digest: str = ""
    peak_mb: float = 0.0

    async def chunks(self, proxy: Proxy) -> AsyncIterator[bytes]:
        """The form's bytes; what the proxy holds is looked at as they go."""
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
            yield part
            self.peak_mb = max(self.peak_mb, proxy.rss_mb())
        self.digest = digest.hexdigest()

    def _parts(self) -> list[bytes]:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
        model = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'.encode()
        sound = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\xff\xff\xff\xff"
        file = [sound, *[CHUNK] * (self.size_mb * 16), b"\r\n"]
        parts = [model, head, *file] if self.model_first else [head, *file, model]
        return [*parts, f"--{BOUNDARY}--\r\n".encode()]

    def length(self) -> int:
        """Bytes of the form."""
        return sum(len(part) for part in self._parts())


@dataclass(slots=True)
class Held:
    """What was measured, in MiB, and what came back."""

    before_mb: float
    peak_mb: float
    after_mb: float
    statuses: list[int]
    same_bytes: bool
    rows: Path

    @property
    def growth_mb(self) -> float:
        """The most that the process held beyond what it held before."""
        return self.peak_mb - self.before_mb


async def hold(folder: Path, *, upload_mb: int, streams: int, model_first: bool = True, config: str = "") -> Held:
    """Sends one upload of `upload_mb` beside `streams` open streams, through a proxy that has served one of each before.

    config: `PROVIDER` in it stands for the provider's address.
    """
    async with (
        provider() as made,
        running(folder, made.url, config=config.replace("PROVIDER", made.url)) as proxy,
        aiohttp.ClientSession() as session,
    ):
        await _send(session, proxy, made, Upload(2, model_first), streams=1)
        before = proxy.rss_mb()
        made.came, made.ended, made.streams = 0, False, 0
        upload = Upload(upload_mb, model_first)
        statuses = await _send(session, proxy, made, upload, streams=streams)
        after = proxy.rss_mb()
        assert await proxy.stop() == 0
    return Held(before, max(upload.peak_mb, after), after, statuses, made.digest == upload.digest, folder)


async def _send(session: aiohttp.ClientSession, proxy: Proxy, made: Provider, upload: Upload, *, streams: int) -> list[int]:
    reading = [asyncio.create_task(_read_stream(session, proxy)) for _ in range(streams)]
    await made.wait_for_streams(streams)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "content-length": str(upload.length())}
    async with session.post(f"{proxy.url}/v1/audio/transcriptions", data=upload.chunks(proxy), headers=headers) as answer:
        await answer.read()
    upload.peak_mb = max(upload.peak_mb, proxy.rss_mb())
    await made.tell(ended=True)
    return [answer.status, *await asyncio.gather(*reading)]


async def _read_stream(session: aiohttp.ClientSession, proxy: Proxy) -> int:
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "Describe it."}]}
    async with session.post(f"{proxy.url}/v1/chat/completions", json=body) as answer:
        async for _ in answer.content.iter_any():
            pass
        return answer.status
