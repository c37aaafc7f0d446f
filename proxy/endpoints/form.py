"""Finds the fields and the files of a multipart form that lies in memory. It must never copy a file, nor write the form anew.

Only delimiters and part headers are looked for; a part is the place where its content stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from python_multipart.multipart import parse_options_header

from proxy.errors import BadRequest
from proxy.probe.glimpse import Glimpse, whole
from proxy.probe.picture_size import HEADER_BYTES, picture_size
from proxy.probe.sound_length import sound_seconds

MULTIPART = b"multipart/form-data"
MOST_PARTS = 1000
LONGEST_PART_HEAD = 16 * 1024
MOST_LOOKALIKES = 10_000
"""Texts in a file that begin like a boundary; looking through more would hold up other calls."""

FOLLOWS_BOUNDARY = (b"-", b"\r", b" ", b"\t")
LONGEST_FIELD_BYTES = 1024 * 1024
"""A longer field is nothing that is read here: it passes, and counts as not named."""

_LENGTH = re.compile(rb"(?im)^(content-length[ \t]*:[ \t]*)\d+")
_DISPOSITION = re.compile(rb"(?im)^content-disposition[ \t]*:[ \t]*([^\r\n]*)")
_WHOLE = ("n", "partial_images")
_TRUTH = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its name less `[]`, where its headers begin (`head`), where its content stands (`start` to `end`)."""

    name: str
    is_file: bool
    head: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """All parts of a form, in order."""

    boundary: bytes
    parts: tuple[Part, ...]

    def files(self, name: str) -> tuple[Part, ...]:
        """The files in field `name`."""
        return tuple(part for part in self.parts if part.is_file and part.name == name)

    def field(self, name: str) -> Part | None:
        """The text field `name`, the last one where it comes more than once."""
        found = [part for part in self.parts if not part.is_file and part.name == name]
        return found[-1] if found else None


def is_form(content_type: bytes) -> bool:
    """True when the body is said to be a multipart form."""
    return content_type.split(b";", 1)[0].strip().lower() == MULTIPART


def read_form(content_type: bytes, body: bytes) -> Form:
    """The form in `body`. Raises BadRequest (malformed_form) when it cannot be read to its end, or names two models."""
    boundary = boundary_of(content_type)
    mark = b"--" + boundary
    at = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    if at == 1:
        raise malformed("its boundary stands nowhere in it")
    parts = []
    while (begin := _after_delimiter(body, at + len(mark))) >= 0:
        part = _part(body, begin, b"\r\n" + mark)
        parts.append(part)
        if len(parts) > MOST_PARTS:
            raise malformed(f"it has more than {MOST_PARTS} parts")
        at = part.end + 2
    if sum(part.name == "model" for part in parts) > 1:
        raise malformed("it names the model more than once")
    return Form(boundary=boundary, parts=tuple(parts))


def boundary_of(content_type: bytes) -> bytes:
    """The form's boundary. Raises BadRequest (malformed_form) where none is stated."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise malformed("its content-type states no boundary")
    return boundary


def asked_in(form: Form, body: bytes) -> bytes:
    """The form's fields as a JSON object, as the same request would say them; of each file what it says of itself, in a list."""
    asked: dict[str, str] = {}
    files: dict[str, list[dict[str, int | float]]] = {}
    for part in form.parts:
        if part.is_file:
            files.setdefault(part.name, []).append(file_facts(whole(body, part.start, part.end)))
        elif part.end - part.start <= LONGEST_FIELD_BYTES:
            asked[part.name] = body[part.start : part.end].decode("utf-8", "replace")
    return asked_of(asked, files)


def asked_of(fields: Mapping[str, str], files: Mapping[str, list[dict[str, int | float]]]) -> bytes:
    """Fields and files as a JSON object."""
    return msgspec.json.encode({**{name: _typed(name, text) for name, text in fields.items()}, **files})


def file_facts(file: Glimpse) -> dict[str, int | float]:
    """Bytes of a file, and what its header says: a picture's width and height, a recording's seconds."""
    size = picture_size(file.at(0, HEADER_BYTES))
    if size is not None:
        return {"bytes": file.size, "width": size[0], "height": size[1]}
    seconds = sound_seconds(file)
    return {"bytes": file.size} if seconds is None else {"bytes": file.size, "seconds": seconds}


def with_model(form: Form, body: bytes, model: str) -> bytes:
    """`body` with another model in it; every other byte stays. A form that names none gets a part of its own for it, the first."""
    return with_field(form, body, "model", model)


def with_field(form: Form, body: bytes, name: str, text: str) -> bytes:
    """`body` with another text in a field; every other byte stays. A form without it gets a part of its own for it, the first."""
    value, whole = text.encode(), memoryview(body)
    part = form.field(name)
    if part is None:
        begin = 0 if body.startswith(b"--" + form.boundary) else body.find(b"\r\n--" + form.boundary) + 2
        new = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (form.boundary, name.encode(), value)
        return b"".join((whole[:begin], new, whole[begin:]))
    head = _LENGTH.sub(lambda found: found[1] + b"%d" % len(value), body[part.head : part.start])
    return b"".join((whole[: part.head], head, value, whole[part.end :]))


def _after_delimiter(body: bytes, at: int) -> int:
    """Where a part begins after the delimiter that ends at `at`; -1 after the last one. Raises BadRequest when neither follows."""
    if body.startswith(b"--", at):
        return -1
    line = body.find(b"\r\n", at)
    if line < 0 or body[at:line].strip(b" \t"):
        raise malformed("a boundary in it is followed by neither a part nor its end")
    return line + 2


def _part(body: bytes, begin: int, delimiter: bytes) -> Part:
    blank = body.find(b"\r\n\r\n", begin - 2, begin + LONGEST_PART_HEAD)
    if blank < 0:
        raise malformed("the headers of a part in it do not end")
    start = blank + 4
    end = _end(body, start, delimiter)
    found = _DISPOSITION.search(body, begin, start)
    disposition = found[1] if found else b""
    options = parse_options_header(disposition)[1]
    if b"name" not in options:
        raise malformed("a part of it has no name")
    name = options[b"name"].decode("utf-8", "replace").removesuffix("[]")
    return Part(name=name, is_file=b"filename" in options or b"filename*" in disposition.lower(), head=begin, start=start, end=end)


def _end(body: bytes, start: int, delimiter: bytes) -> int:
    """Where the content that begins at `start` ends: at a whole delimiter, not at text that begins like one. Raises BadRequest."""
    end = body.find(delimiter, start)
    for _ in range(MOST_LOOKALIKES):
        if end < 0 or body[(after := end + len(delimiter)) : after + 1] in FOLLOWS_BOUNDARY:
            break
        end = body.find(delimiter, after)
    else:
        raise malformed("its boundary stands all over its files")
    if end < 0:
        raise malformed("it breaks off before its last boundary")
    return end


def _typed(name: str, text: str) -> object:
    """A form knows only text: numbers and truth values as JSON would have them."""
    if name in _WHOLE and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    return _TRUTH.get(text.lower(), text) if name == "stream" else text


def malformed(reason: str) -> BadRequest:
    """The error for a form that cannot be read, and why."""
    return BadRequest(f"the multipart form could not be read: {reason}; send it whole, as {MULTIPART.decode()}.", code="malformed_form")
