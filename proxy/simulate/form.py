"""Reads a multipart form that lies in memory: its fields and its files. It must never write a file.

A field whose name ends in `[]`, or that comes more than once, becomes a list. Forms know only text, so the few fields that JSON requests
give as numbers or truth values are read as such.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from proxy.simulate.exchange import JsonObject, Refused, Upload

MULTIPART = "multipart/form-data"
_MOST_PARTS = 1000
_TRUTH = {"true": True, "false": False}


def _whole(text: str) -> object:
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _truth(text: str) -> object:
    return _TRUTH.get(text.lower(), text)


_TYPED: Mapping[str, Callable[[str], object]] = MappingProxyType({"n": _whole, "partial_images": _whole, "seed": _whole, "stream": _truth})


class _Parts:
    """What the parser says, gathered part by part."""

    def __init__(self) -> None:
        self.fields: JsonObject = {}
        self.files: dict[str, tuple[Upload, ...]] = {}
        self.ended = False
        self._count = 0
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()

    def begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise Refused(400, f"Simulated: the form has more than {_MOST_PARTS} parts.")
        self._headers, self._content = {}, bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        raw_name = options.get(b"name")
        if raw_name is None:
            raise Refused(400, "Simulated: a part of the form has no name.")
        given = raw_name.decode("utf-8", "replace")
        name = given.removesuffix("[]")
        filename = options.get(b"filename")
        if filename is not None:
            upload = Upload(filename=filename.decode("utf-8", "replace"), content=bytes(self._content))
            self.files[name] = (*self.files.get(name, ()), upload)
            return
        text = self._content.decode("utf-8", "replace")
        value = _TYPED[name](text) if name in _TYPED else text
        self._put(name, value, many=given != name)

    def _put(self, name: str, value: object, *, many: bool) -> None:
        if name in self.fields or many:
            before = self.fields.get(name, [])
            self.fields[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            self.fields[name] = value

    def end(self) -> None:
        self.ended = True


def read_form(content_type: str, body: bytes) -> tuple[JsonObject, dict[str, tuple[Upload, ...]]]:
    """The fields and the files of a form. Raises Refused when it cannot be read to its end."""
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1").lower() != MULTIPART or not options.get(b"boundary"):
        raise Refused(400, f"Simulated: send this request as {MULTIPART}.")
    parts = _Parts()
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.content,
                "on_part_end": parts.end_part,
                "on_end": parts.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, f"Simulated: the form could not be read: {error}") from error
    if not parts.ended:
        raise Refused(400, "Simulated: the form breaks off before its end.")
    return parts.fields, parts.files
