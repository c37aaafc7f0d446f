"""Reads a table of texts that were made before, from CSV or TMX. It must never guess which of two answers is meant."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from config.alternatives import Memory
from config.tag_rules import NAME_RULE, is_tag_name

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE, TARGET = "source", "target"
MOST_BYTES = 256 * 1024 * 1024
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
ANY_LANGUAGE = "*all*"


class Remembered(NamedTuple):
    """One row. tags: those that the call must carry, values folded; a language stands for its regions too."""

    source: str
    target: str
    tags: tuple[tuple[str, str], ...]


def read_memory(memory: Memory) -> tuple[Remembered, ...]:
    """All rows of the file. Raises ValueError saying what is wrong with it, and where."""
    path = Path(memory.file)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"has more than {MOST_BYTES // 1024**2} MiB; split it")
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or type(error).__name__}; check the path") from error
    rows = _from_tmx(text, memory.tag) if path.suffix.lower() == ".tmx" else _from_csv(text)
    if not rows:
        raise ValueError("holds no row with a source and a target")
    return tuple(rows)


def normalised(text: str, *, ignore_case: bool) -> str:
    """The text as it is compared: white space of any length is one space."""
    plain = " ".join(text.split())
    return plain.casefold() if ignore_case else plain


def _from_csv(raw: bytes) -> list[Remembered]:
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"is no CSV in UTF-8: {error}") from error
    reader.fieldnames = columns
    if SOURCE not in columns or TARGET not in columns:
        raise ValueError(f"needs the columns {SOURCE} and {TARGET}; it has: {', '.join(columns) or 'none'}")
    tags = [name for name in columns if name not in (SOURCE, TARGET)]
    for name in tags:
        if not is_tag_name(name):
            raise ValueError(f"column {name!r} names no tag: that is {NAME_RULE}")
    return _rows(reader, tags)


def _rows(reader: "csv.DictReader[str]", tags: list[str]) -> list[Remembered]:
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not as many cells as the first one")
            if row[SOURCE].strip() and row[TARGET]:
                stated = tuple((name, row[name].strip().casefold()) for name in tags if row[name].strip())
                rows.append(Remembered(row[SOURCE], row[TARGET], stated))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no CSV: {error}") from error
    return rows


def _from_tmx(raw: bytes, tag: str) -> list[Remembered]:
    """Each unit's text in the header's language, with that of each other language; one other language alone needs no tag."""
    import xml.etree.ElementTree as ET  # not for the start of those who have none

    if b"<!ENTITY" in raw:
        raise ValueError("declares entities, which are not read; write the texts out")
    try:
        root = ET.fromstring(raw)
    except ET.ParseError as error:
        raise ValueError(f"is no TMX: {error}") from error
    header = root.find("header")
    stated = (header.get("srclang") if header is not None else None) or ANY_LANGUAGE
    units = [_unit(unit) for unit in root.iter("tu")]
    pairs = [found for unit in units if (found := _told(unit, stated.casefold())) is not None]
    languages = {language for _, others in pairs for language, _ in others}
    rows = []
    for source, others in pairs:
        for language, target in others:
            rows.append(Remembered(source, target, ((tag, language),) if len(languages) > 1 else ()))
    return rows


def _unit(unit: "Element") -> list[tuple[str, str]]:
    found = []
    for variant in unit.iter("tuv"):
        segment = variant.find("seg")
        if segment is not None:
            language = variant.get(_LANG) or variant.get("lang") or ""
            found.append((language.casefold(), "".join(segment.itertext())))
    return found


def _told(unit: list[tuple[str, str]], source: str) -> tuple[str, list[tuple[str, str]]] | None:
    """The unit's source text, and its other languages; None where it has none."""
    at = 0 if source == ANY_LANGUAGE else next((n for n, (language, _) in enumerate(unit) if language == source), None)
    if at is None or not unit or not unit[at][1].strip():
        return None
    others = [(language, text) for n, (language, text) in enumerate(unit) if n != at and text]
    return unit[at][1], others
