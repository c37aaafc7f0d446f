"""Carries a form too large to be held: it streams through, or waits in an unlinked file. It must never hold more than its beginning.

Its fields are read while it passes, so that the call is metered as a small form's is. It waits in a file only where its model has to be
known before it leaves, or where it may have to be sent twice.
"""

import asyncio
import os
import tempfile
import weakref
from collections.abc import AsyncIterator, Callable
from typing import IO

from proxy.asgi import Upload
from proxy.endpoints.base import Ask, Endpoint
from proxy.endpoints.form import Form, boundary_of, malformed, with_model
from proxy.endpoints.form_stream import FormReader
from proxy.endpoints.parse import parse, parse_fields
from proxy.errors import BadRequest, GrammageError, UpstreamUnreachable
from proxy.upstream.base import Headers

BEGINNING_BYTES = 1024 * 1024
"""Held of a form while its model is looked for; one that ends here is small."""

SLICE_BYTES = 256 * 1024


class LargeForm:
    """One form on its way. model_is_known: its alias is the caller's word, not yet to come.

    done: set once the client's body has been read. ended: called then, with its size.
    """

    __slots__ = (
        "__weakref__",
        "_ask",
        "_beginning",
        "_endpoint",
        "_file",
        "_form",
        "_length",
        "_let_go",
        "_model",
        "_reader",
        "_refused",
        "_rest",
        "_sent",
        "_upload",
        "done",
        "ended",
    )

    def __init__(self, endpoint: Endpoint, upload: Upload, content_type: bytes, length: int | None) -> None:
        """length: as the client states it, None where it does not. Raises BadRequest (malformed_form)."""
        self._endpoint = endpoint
        self._upload = upload
        self._length = length
        self._form = Form(boundary=boundary_of(content_type), parts=())
        self._reader = FormReader(self._form.boundary)
        self._beginning = b""
        self._rest = upload.chunks()
        self._file: IO[bytes] | None = None
        self._sent = False
        self._let_go: weakref.finalize[..., LargeForm] | None = None
        self._refused: BadRequest | None = None
        self._model: str | None = None
        self._ask: Ask | None = None
        self.done = upload.done
        self.ended: Callable[[int], None] = _nothing

    @property
    def trouble(self) -> GrammageError | asyncio.CancelledError | None:
        """Why the body did not come to its end: refused on its way, or its client left; None while all is well."""
        trouble = self._refused or self._upload.trouble
        return trouble if trouble is None or isinstance(trouble, GrammageError) else asyncio.CancelledError()

    @property
    def model_is_known(self) -> bool:
        """True once the field that names the model has come, or the whole form without one."""
        return self._model is not None or self._reader.model is not None or self.done.is_set()

    @property
    def size(self) -> int:
        """Bytes that have come, or that the client said would."""
        return self._reader.size if self.done.is_set() else self._length or 0

    @property
    def can_be_sent(self) -> bool:
        """False once a body that waits nowhere has begun to leave."""
        return self._file is not None or not self._sent

    async def begin(self, content_type: bytes, model: str | None = None) -> tuple[Ask, bool]:
        """The request as far as its beginning tells, and True where that is all of it. model: as its path names it.

        Raises TooLarge, ClientGone, BadRequest.
        """
        self._model = model
        parts, size = [], 0
        async for part in self._rest:
            parts.append(part)
            size += len(part)
            self._read(part)
            if size >= BEGINNING_BYTES or (self._length is not None and self._length > BEGINNING_BYTES and self.model_is_known):
                break
        else:
            return parse(self._endpoint, b"".join(parts), content_type, model=model), True
        self._beginning = b"".join(parts)
        self._ask = parse_fields(self._endpoint, self._reader.asked(), self._form, model=model, complete=self.model_is_known)
        return self._ask, False

    async def wait_in_file(self) -> None:
        """Reads the rest of the body into a file that has no name, once. Raises TooLarge, ClientGone, BadRequest."""
        if self._file is not None:
            return
        file = self._file = await asyncio.to_thread(tempfile.TemporaryFile)
        self._let_go = weakref.finalize(self, file.close)
        held, self._beginning = [self._beginning], b""
        size = len(held[0])
        async for part in self._rest:
            self._read(part)
            held.append(part)
            size += len(part)
            if size >= BEGINNING_BYTES:
                await asyncio.to_thread(file.writelines, held)
                held, size = [], 0
        await asyncio.to_thread(file.writelines, held)
        self._end()

    def length(self, model: str | None) -> int | None:
        """Bytes that leave when `model` stands in the form (None: its own); None where they are not known before."""
        size = self._reader.size if self.done.is_set() else self._length
        if size is None or model is None:
            return size
        begin, end, new = self._change(model)
        return size + len(new) - (end - begin)

    def body(self, model: str | None) -> AsyncIterator[bytes]:
        """The body with `model` in it (None: as it came). Raises UpstreamUnreachable (upload_gone) when it has left already.

        On its way it raises TooLarge, ClientGone, BadRequest; they are kept as `trouble`.
        """
        if not self.can_be_sent:
            raise UpstreamUnreachable("the upload was passed on once and is held nowhere; send it again.", code="upload_gone")
        source = self._passing() if self._file is None else _slices(self._file)
        return source if model is None else _changed(source, *self._change(model))

    def close(self) -> None:
        """Lets the file go."""
        if self._let_go is not None:
            self._let_go()

    async def _passing(self) -> AsyncIterator[bytes]:
        """What was held, then what comes, read on its way."""
        self._sent = True
        try:
            beginning, self._beginning = self._beginning, b""
            if beginning:
                yield beginning
            async for part in self._rest:
                self._read(part)
                yield part
            self._end()
        finally:
            await self._rest.aclose()
            self.done.set()

    def _read(self, part: bytes) -> None:
        """Raises BadRequest (malformed_form) where the form turns out to name two models: the caller may use one of them only."""
        self._reader.feed(part)
        if self._reader.names_two_models:
            self._refused = malformed("it names the model more than once")
            raise self._refused

    def _end(self) -> None:
        """All has come: what the request asks is known. A form that left before that is its provider's to judge."""
        self.ended(self._reader.size)
        if self._ask is None:
            return
        asked = self._reader.asked()
        known = parse_fields(self._endpoint, asked, self._form, model=self._model, complete=self._file is not None)
        self._ask.alias, self._ask.stream, self._ask.head, self._ask.asked = known.alias, known.stream, known.head, known.asked

    def _change(self, model: str) -> tuple[int, int, bytes]:
        """(from, to, new bytes): what stands in the body where the model is named, or is to be."""
        part = self._reader.model
        if part is None:
            new = with_model(self._form, b"--" + self._form.boundary, model)
            return 0, 0, new[: -len(self._form.boundary) - 2]
        return part.start, part.end, model.encode()


def _nothing(size: int) -> None:
    """Nobody asked."""


async def _slices(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file from its beginning, in slices read in a thread."""
    at, number = 0, file.fileno()
    while part := await asyncio.to_thread(os.pread, number, SLICE_BYTES, at):
        at += len(part)
        yield part


async def _changed(source: AsyncIterator[bytes], begin: int, end: int, new: bytes) -> AsyncIterator[bytes]:
    """`source` with `new` in the place of its bytes from `begin` to `end`."""
    at, is_due = 0, True
    async for part in source:
        if is_due and begin < at + len(part):
            yield part[: begin - at] + new
            is_due = False
            part, at = part[begin - at :], begin
        if not is_due and at < end:
            skipped = min(end - at, len(part))
            part, at = part[skipped:], at + skipped
        if part:
            yield part
            at += len(part)


def length_header(form: LargeForm, model: str | None) -> Headers:
    """The content-length of what leaves, where it is known."""
    size = form.length(model)
    return [] if size is None else [(b"content-length", b"%d" % size)]
