"""Opens an export as raw rows: CSV, JSON, or JSON line by line. It must never lose where in the file a row stands."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from proxy.errors import StartError
from proxy.imports.record import Record, record_of
from proxy.imports.row import BadRow

WRAPPERS: Final = ("data", "observations", "rows", "logs", "spend_logs")
"""What the list of rows is called where a document wraps it."""
DELIMITERS: Final = ",;\t"
CELL_CHARS: Final = 64 << 20
"""LiteLLM writes whole prompts into a cell where it was told to keep them."""
_JSON_LINES: Final = (".jsonl", ".ndjson")
_NEXT: Final = re.compile(r"[^\s,]")


def read_file(path: Path, zone: tzinfo) -> Iterator[Record]:
    """Every row, oldest line first. Raises StartError when the file cannot be read, BadRow when a row is not what its file says."""
    try:
        if path.suffix.lower() in _JSON_LINES:
            yield from _json_lines(path, zone)
        elif path.suffix.lower() == ".json":
            yield from _json(path, zone)
        else:
            yield from _csv(path, zone)
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def file_hash(path: Path) -> str:
    """The sha256 of the file, in hex. Raises StartError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from error


def _csv(path: Path, zone: tzinfo) -> Iterator[Record]:
    csv.field_size_limit(CELL_CHARS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=head.count)
        reader = csv.DictReader(file, delimiter=delimiter)
        try:
            for row in reader:
                if None in row:
                    raise BadRow(f"{path}:{reader.line_num}: column {len(reader.fieldnames or ()) + 1}: the header has no such column")
                if any(row.values()):
                    yield record_of(str(path), reader.line_num, row, zone)
        except csv.Error as error:
            raise BadRow(f"{path}:{reader.line_num}: column 1: {error}") from error


def _json_lines(path: Path, zone: tzinfo) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                for item in _items(_decoded(line, path, number)):
                    yield _record(path, number, item, zone)


def _json(path: Path, zone: tzinfo) -> Iterator[Record]:
    text = path.read_text(encoding="utf-8-sig")
    items = _items(_decoded(text, path, 1))
    lines = item_lines(text)
    for index, item in enumerate(items):
        yield _record(path, lines[index] if len(lines) == len(items) else 1, item, zone)


def item_lines(text: str) -> list[int]:
    """The line on which each item of the document's list begins; empty where there is no list."""
    start = re.search(r"\[", text) if text.lstrip()[:1] == "[" else re.search(rf'"(?:{"|".join(WRAPPERS)})"\s*:\s*\[', text)
    if start is None:
        return []
    decoder, at, line = json.JSONDecoder(), start.end(), text.count("\n", 0, start.end()) + 1
    lines: list[int] = []
    while True:
        begins = _NEXT.search(text, at)
        if begins is None or text[begins.start()] == "]":
            return lines
        line += text.count("\n", at, begins.start())
        lines.append(line)
        _, end = decoder.raw_decode(text, begins.start())
        line += text.count("\n", begins.start(), end)
        at = end


def _decoded(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        where = (line + error.lineno - 1, error.colno) if isinstance(error, json.JSONDecodeError) else (line, 1)
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadRow(f"{path}:{where[0]}: column {where[1]}: is no JSON: {said}") from error


def _items(document: Any) -> list[Any]:
    """The rows of a document: its list, or that of each of its pages, or itself."""
    if isinstance(document, list):
        return [item for page in document for item in (_items(page) if _wrapped(page) is not None else [page])]
    wrapped = _wrapped(document)
    return [document] if wrapped is None else wrapped


def _wrapped(document: Any) -> list[Any] | None:
    if not isinstance(document, Mapping):
        return None
    return next((document[name] for name in WRAPPERS if isinstance(document.get(name), list)), None)


def _record(path: Path, line: int, item: Any, zone: tzinfo) -> Record:
    if not isinstance(item, Mapping):
        raise BadRow(f"{path}:{line}: column 1: is no object")
    return record_of(str(path), line, item, zone)
