"""Asks for a short answer, in one line of the caller's language, by splicing it into the request. It must never touch another byte."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from proxy.policy.language import language_of
from proxy.splice import find_member, repeats_member, with_heads_of_payloads, without_surrogates

LINES: Final[Mapping[str, str]] = {
    "en": "Keep the answer short: only what was asked for, without introduction or summary.",
    "fr": "Réponds brièvement : seulement ce qui est demandé, sans introduction ni résumé.",
    "de": "Antworte kurz: nur das, was gefragt ist, ohne Einleitung und Zusammenfassung.",
    "es": "Responde con brevedad: solo lo que se pide, sin introducción ni resumen.",
    "it": "Rispondi in breve: solo ciò che viene chiesto, senza introduzione né riassunto.",
    "pt": "Responde de forma breve: apenas o que é pedido, sem introdução nem resumo.",
    "nl": "Antwoord kort: alleen wat gevraagd wordt, zonder inleiding of samenvatting.",
}
"""What is added, by language."""

SYSTEM_ROLES: Final = frozenset({"system", "developer"})
DEEPEST: Final = 8
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY: Final = (b"", b"null", b"[]", b"{}", b'""')
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)

Fields = Mapping[str, msgspec.Raw]


class Splice(NamedTuple):
    """Bytes that stand from start to end give way to `new`."""

    start: int
    end: int
    new: bytes


class _Value(NamedTuple):
    """A JSON value inside of the body: where it begins, and its bytes."""

    at: int
    raw: bytes


def concise(body: bytes, operation: str, market: str | None = None) -> bytes:
    """The body with the line in it; the same body where there is no place for it, or the answer is to have a form of its own.

    That is: JSON or a schema is asked for, or tools are offered; or the line is there already.
    """
    place = _PLACES.get(operation)
    if place is None:
        return body
    plain = without_surrogates(body) if b"\\u" in body else body
    try:
        fields = _FIELDS.decode(plain)
        if any(_is_formed(fields, name) for name in _FORMED[operation]):
            return body
        turns = fields.get(_TURNS[operation], msgspec.Raw(b""))
        line = LINES[language_of(last_words(bytes(turns)), market)]
        if line.encode() in plain or json.dumps(line)[1:-1].encode() in plain:
            return body
        splice = place(plain, line)
    except _UNREADABLE:
        return body
    return body if splice is None else body[: splice.start] + splice.new + body[splice.end :]


def last_words(turns: bytes) -> str:
    """The text of the last message of a user; all of it where there are no roles."""
    value = msgspec.json.decode(with_heads_of_payloads(turns, 0) or b"null")
    if isinstance(value, list):
        said = [turn for turn in value if isinstance(turn, dict) and turn.get("role", "user") == "user"]
        return _text(said[-1]) if said else _text(value)
    return _text(value)


def _text(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > DEEPEST:
        return ""
    if isinstance(value, list):
        return " ".join(_text(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return " ".join(_text(value[key], depth + 1) for key in ("text", "content", "parts") if key in value)
    return ""


def _is_formed(fields: Fields, path: str) -> bool:
    """True when the member at a dotted path asks for an answer of a certain form."""
    name, _, rest = path.partition(".")
    raw = bytes(fields.get(name, b"")).strip()
    if raw in _EMPTY:
        return False
    if rest:
        return raw[:1] == b"{" and _is_formed(_FIELDS.decode(raw), rest)
    if raw[:1] == b"{":
        return bytes(_FIELDS.decode(raw).get("type", b"")) != b'"text"'
    return raw != b'"text/plain"'


def _in_messages(body: bytes, line: str) -> Splice | None:
    """Behind the first system message, else as one of its own before all others."""
    messages = _member(_Value(0, body), "messages")
    if messages is None or messages.raw[:1] != b"[":
        return None
    elements = list(_elements(messages))
    for element in elements:
        role = _member(element, "role")
        if role is not None and json.loads(role.raw) in SYSTEM_ROLES:
            content = _member(element, "content")
            return None if content is None else _behind(content, line, {"type": "text", "text": line})
    if not elements:
        return None
    return _insert(messages.at + 1, _json({"role": "system", "content": line}) + b",")


def _in_instructions(body: bytes, line: str) -> Splice | None:
    return _in_member(body, "instructions", line, part=None, fresh=line)


def _in_system(body: bytes, line: str) -> Splice | None:
    return _in_member(body, "system", line, part={"type": "text", "text": line}, fresh=line)


def _in_system_instruction(body: bytes, line: str) -> Splice | None:
    names, part = ("systemInstruction", "system_instruction"), {"text": line}
    name = next((name for name in names if _member(_Value(0, body), name) is not None), names[0])
    told = _member(_Value(0, body), name)
    if told is not None and told.raw[:1] == b"{":
        parts = _member(told, "parts")
        return None if parts is None else _behind(parts, line, part)
    return _in_member(body, name, line, part=None, fresh={"parts": [part]})


def _in_member(body: bytes, name: str, line: str, *, part: object, fresh: object) -> Splice | None:
    """Behind what the member holds; as a member of its own where there is none."""
    if repeats_member(body, name):
        return None
    told = _member(_Value(0, body), name)
    if told is None:
        brace = body.index(b"{") + 1
        return _insert(brace, _json(name) + b":" + _json(fresh) + b",")
    if told.raw == b"null":
        return Splice(told.at, told.at + len(told.raw), _json(fresh))
    return _behind(told, line, part)


def _behind(told: _Value, line: str, part: object) -> Splice | None:
    """The line behind a text, or as a part of its own behind the others; None for anything else."""
    end = told.at + len(told.raw)
    if told.raw[:1] == b'"':
        return _insert(end - 1, _json("\n\n" + line if len(told.raw) > len(b'""') else line)[1:-1])
    if told.raw[:1] == b"[" and part is not None and list(_elements(told)):
        return _insert(end - 1, b"," + _json(part))
    return None


def _member(value: _Value, name: str) -> _Value | None:
    """The member of an object; None where it is absent, or there more than once."""
    if value.raw.lstrip()[:1] != b"{" or repeats_member(value.raw, name):
        return None
    found = find_member(value.raw, name)
    return None if found is None else _Value(value.at + found.value, value.raw[found.value : found.end])


def _elements(value: _Value) -> Iterator[_Value]:
    """The elements of a list, with where they stand. Raises msgspec.MsgspecError."""
    at = 0
    for raw in _RAWS.decode(value.raw):
        at = value.raw.index(raw, at + 1)
        yield _Value(value.at + at, bytes(raw))
        at += len(bytes(raw)) - 1


def _insert(at: int, new: bytes) -> Splice:
    return Splice(at, at, new)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


_PLACES: Final[Mapping[str, Callable[[bytes, str], Splice | None]]] = {
    "chat": _in_messages,
    "responses": _in_instructions,
    "messages": _in_system,
    "generate_content": _in_system_instruction,
    "stream_generate_content": _in_system_instruction,
}
"""How the line is put in, by operation; the others have no place for it."""

_TURNS: Final = {
    "chat": "messages",
    "responses": "input",
    "messages": "messages",
    "generate_content": "contents",
    "stream_generate_content": "contents",
}
"""Where what was said stands."""

_GEMINI: Final = (
    *("tools", "cachedContent", "cached_content"),
    *(
        f"{config}.{name}"
        for config in ("generationConfig", "generation_config")
        for name in (
            "responseMimeType",
            "response_mime_type",
            "responseSchema",
            "response_schema",
            "responseJsonSchema",
            "responseModalities",
        )
    ),
)
_FORMED: Final = {
    "chat": ("response_format", "tools", "functions"),
    "responses": ("text.format", "tools", "prompt"),
    "messages": ("tools", "output_format", "output_config.format"),
    "generate_content": _GEMINI,
    "stream_generate_content": _GEMINI,
}
"""What says that the answer has a form of its own, or that instructions stand elsewhere: there the line stays out."""
