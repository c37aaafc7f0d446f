"""Reads a form while it passes: its small fields, and of its files what tells their length. It must never hold a file, nor stop a body.

A form that cannot be read to its end passes all the same; what was read of it until then counts.
"""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from proxy.endpoints.form import LONGEST_FIELD_BYTES, LONGEST_PART_HEAD, MOST_PARTS, Part, asked_of, file_facts
from proxy.probe.glimpse import Passing

MODEL = "model"


class FormReader:
    """The parts of one form, as they come. model: where the first field of that name stands, once it is whole."""

    __slots__ = (
        "_base",
        "_fields",
        "_files",
        "_head",
        "_is_file",
        "_key",
        "_models",
        "_name",
        "_parser",
        "_parts",
        "_passing",
        "_start",
        "_value",
        "_values",
        "broken",
        "model",
        "size",
    )

    def __init__(self, boundary: bytes) -> None:
        self.size = 0
        self.broken = False
        self.model: Part | None = None
        self._base = 0
        self._parts = 0
        self._models = 0
        self._fields: dict[str, str] = {}
        self._files: dict[str, list[dict[str, int | float]]] = {}
        self._values: dict[bytes, bytes] = {}
        self._key = bytearray()
        self._value = bytearray()
        self._name = ""
        self._is_file = False
        self._head = self._start = -1
        self._passing: Passing | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    @property
    def names_two_models(self) -> bool:
        """True when a second field of that name has come."""
        return self._models > 1

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the form."""
        if not self.broken:
            self._base = self.size
            try:
                self._parser.write(chunk)
            except FormParserError:
                self.broken = True
        self.size += len(chunk)

    def asked(self) -> bytes:
        """The fields that have come, as a JSON object; of each file its size and what it says of itself."""
        return asked_of(self._fields, self._files)

    def _begin(self) -> None:
        self._parts += 1
        self._values.clear()
        self._value.clear()
        self._name, self._is_file, self._passing = "", False, None
        self._head = self._start = -1
        if self._parts > MOST_PARTS:
            raise FormParserError(f"more than {MOST_PARTS} parts")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        if self._head < 0:
            self._head = self._base + start
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > LONGEST_PART_HEAD:
            raise FormParserError("a header of a part does not end")

    def _header_end(self) -> None:
        self._values[bytes(self._key).lower()] = bytes(self._value)
        self._key.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        options = parse_options_header(self._values.get(b"content-disposition", b""))[1]
        self._name = options.get(b"name", b"").decode("utf-8", "replace").removesuffix("[]")
        self._is_file = b"filename" in options
        self._passing = Passing() if self._is_file else None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._passing is not None:
            self._passing.feed(memoryview(data)[start:end])
        elif len(self._value) <= LONGEST_FIELD_BYTES:
            if self._start < 0:
                self._start = self._base + start
            self._value += data[start:end]

    def _end(self) -> None:
        if self._passing is not None:
            self._files.setdefault(self._name, []).append(file_facts(self._passing.glimpse()))
            self._passing = None
        elif self._name and len(self._value) <= LONGEST_FIELD_BYTES:
            self._fields[self._name] = self._value.decode("utf-8", "replace")
            if self._name == MODEL:
                self._models += 1
            if self._name == MODEL and self.model is None and self._start >= 0:
                self.model = Part(name=MODEL, is_file=False, head=self._head, start=self._start, end=self._start + len(self._value))
        self._value.clear()
