"""Reads a multipart form into the arguments that LiteLLM takes: files with their names, numbers as numbers. It must never write a file."""

import io
import re
from typing import Any

from python_multipart.multipart import parse_options_header

from proxy.endpoints.form import Part, is_form, read_form

SOUND = "file"
FILES = (SOUND, "image", "mask")
NUMBERS = frozenset(("n", "temperature", "output_compression"))
LISTS = frozenset(("timestamp_granularities", "include"))
_HEADER = re.compile(rb"(?im)^content-(disposition|type)[ \t]*:[ \t]*([^\r\n]*)")
DEFAULT_TYPE = b"application/octet-stream"


class Picture(io.BytesIO):
    """A picture as all of LiteLLM's providers take one: read like a file, with a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


File = tuple[str, bytes, str] | Picture


def form_fields(content_type: bytes, body: bytes) -> dict[str, Any]:
    """The form's fields; a sound is (name, content, type). Raises BadRequest (malformed_form)."""
    if not is_form(content_type):
        return {}
    form = read_form(content_type, body)
    found: dict[str, Any] = {}
    for part in form.parts:
        if part.is_file and part.name in FILES:
            found.setdefault(part.name, []).append(_file(part, body))
        elif not part.is_file and part.name not in FILES:  # a text there is no file: LiteLLM might take it for a file's path
            _add(found, part.name, body[part.start : part.end].decode("utf-8", "replace"))
    return {name: value[0] if name in FILES and len(value) == 1 else value for name, value in found.items()}


def _file(part: Part, body: bytes) -> File:
    heads = {found[1].lower(): found[2] for found in _HEADER.finditer(body, part.head, part.start)}
    options = parse_options_header(heads.get(b"disposition", b""))[1]
    name = options.get(b"filename", b"file").decode("utf-8", "replace")
    if part.name != SOUND:
        return Picture(body[part.start : part.end], name)
    return name, body[part.start : part.end], heads.get(b"type", DEFAULT_TYPE).decode("latin-1")


def _add(found: dict[str, Any], name: str, text: str) -> None:
    if name in LISTS:
        found.setdefault(name, []).append(text)
    elif name in NUMBERS:
        found[name] = _number(text)
    else:
        found[name] = {"true": True, "false": False}.get(text.lower(), text) if name == "stream" else text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
