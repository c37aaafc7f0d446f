"""Byte surgery on JSON objects: one member changes, every other byte stays. It must never re-serialise what it was not asked to change."""

import json
import re
from typing import TypeVar

import msgspec

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)
T = TypeVar("T")
_COLON = re.compile(rb"\s*:\s*")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NEXT_KEY = re.compile(rb'[\s,{]*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*', re.DOTALL)
_INLINED = b";base64,"
_PAYLOAD = re.compile(rb'"(?:b64_json|result)"\s*:\s*"')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_OPEN = b"{["
_CLOSE = b"}]"


class Member:
    """Where one top-level member stands: `start` at the key's quote, `value` at its value, `end` just past the value."""

    __slots__ = ("end", "start", "value")

    def __init__(self, start: int, value: int, end: int) -> None:
        self.start = start
        self.value = value
        self.end = end


def without_surrogates(body: bytes) -> bytes:
    """`body` with every surrogate escape spelt as another character of the same length: readable by all, offsets as before."""
    return _SURROGATE.sub(rb"\\ufffd", body)


def decode_leniently(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """What `decoder` reads in `body`, lone surrogates or not. Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError) or b"\\u" not in body:
            raise
        return decoder.decode(without_surrogates(body))


def without_payloads(body: bytes) -> bytes:
    """`body` with the pictures inlined in it emptied: as JSON it reads the same otherwise, and is short enough to be read at once."""
    parts, at = [], 0
    while found := _PAYLOAD.search(body, at):
        end = body.find(b'"', found.end())
        if end < 0:
            break
        parts.append(body[at : found.end()])
        at = end if body[end - 1 : end] != b"\\" else found.end()
    return b"".join((*parts, body[at:])) if parts else body


def with_heads_of_payloads(body: bytes, keep: int) -> bytes:
    """`body` with no more than `keep` bytes of each picture that a data URI inlines: enough for its size, and quickly read."""
    parts, at = [], 0
    while (found := body.find(_INLINED, at)) >= 0:
        start = found + len(_INLINED)
        end = body.find(b'"', start)
        if end < 0:
            break
        parts.append(body[at : min(end, start + keep)])
        at = end
    return b"".join((*parts, body[at:])) if parts else body


def find_member(body: bytes, key: str) -> Member | None:
    """The last top-level member `key` of the JSON object in `body` (already known to be well-formed), or None."""
    plain = without_surrogates(body) if b"\\u" in body else body
    try:
        return _skipped_to(plain, _FIELDS.decode(plain), key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError):
        return _walked_to(body, key)


def repeats_member(body: bytes, key: str) -> bool:
    """True when the JSON object in `body` has more than one top-level member `key`, however it is capitalised: readers differ then."""
    if body.lower().count(b'"' + key.encode() + b'"') < 2 and b"\\u00" not in body:
        return False
    try:
        members = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return False
    return isinstance(members, list) and sum(str(member[0]).lower() == key for member in members if isinstance(member, tuple)) > 1


def _skipped_to(body: bytes, fields: dict[str, msgspec.Raw], key: str) -> Member | None:
    """The member, by stepping over whole values. Raises LookupError where a repeated key hides how long a value is."""
    found: Member | None = None
    at = 0
    while match := _NEXT_KEY.match(body, at):
        name = json.loads(match.group(1))
        raw = bytes(fields[name])
        at = match.end() + len(raw)
        if not body.startswith(raw, match.end()):
            raise LookupError(name)
        if name == key:
            found = Member(match.start(1), match.end(), at)
    if body[at:].strip(b" \t\r\n{") != b"}":
        raise LookupError(key)
    return found


def _walked_to(body: bytes, key: str) -> Member | None:
    """The member, by walking over every token: slow, for what the fast reader does not take."""
    wanted = b'"' + key.encode() + b'"'
    depth = 0
    found: Member | None = None
    candidate = -1
    start = last_string = -1
    previous: bytes = b""
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token in _OPEN:
            depth += 1
        elif token == b":" and depth == 1 and start < 0 and _is_key(previous, wanted, key):
            start, candidate = last_string, match.end()
        elif token in _CLOSE or token == b",":
            if start >= 0 and depth == 1:
                found = _member(body, start, candidate, match.start())
                start = -1
            if token != b",":
                depth -= 1
        if token[:1] == b'"':
            last_string = match.start()
        previous = token
    return found


def _is_key(token: bytes, wanted: bytes, key: str) -> bool:
    """True when a string token spells `key`, escapes or not."""
    return token == wanted or (b"\\" in token and json.loads(token) == key)


def _member(body: bytes, start: int, after_colon: int, stop: int) -> Member:
    raw = body[after_colon:stop]
    value = after_colon + len(raw) - len(raw.lstrip())
    return Member(start, value, after_colon + len(raw.rstrip()))


def replace_value(body: bytes, key: str, value: bytes, old: bytes = b"") -> bytes:
    """`body` with the value of top-level member `key` replaced; unchanged when there is no such member.

    Quick when its `old` value is known and the key is spelt once: a walk over a body of many megabytes takes seconds.
    """
    at = _only_value(body, key, old) if old else -1
    if at >= 0:
        return body[:at] + value + body[at + len(old) :]
    member = find_member(body, key)
    return body if member is None else body[: member.value] + value + body[member.end :]


def _only_value(body: bytes, key: str, old: bytes) -> int:
    """Where `old` stands as the value of the only `key` in `body`, -1 if that cannot be told by looking."""
    spelt = b'"' + key.encode() + b'"'
    at = body.find(spelt)
    if at < 0 or body.find(spelt, at + 1) >= 0:
        return -1
    colon = _COLON.match(body, at + len(spelt))
    return colon.end() if colon and body.startswith(old, colon.end()) else -1


def remove_member(body: bytes, key: str) -> bytes:
    """`body` without its top-level member `key` and one adjoining comma."""
    member = find_member(body, key)
    if member is None:
        return body
    head, tail = body[: member.start], body[member.end :]
    if tail.lstrip()[:1] == b",":
        return head + tail.lstrip()[1:].lstrip()
    return head.rstrip().removesuffix(b",") + tail


def prepend_member(body: bytes, member: bytes) -> bytes:
    """`body` with `"key":value` as its first member; the object must not be empty."""
    brace = body.index(b"{") + 1
    return body[:brace] + member + b"," + body[brace:]


def append_member(value: bytes, member: bytes) -> bytes:
    """The JSON object `value` (nothing around it) with `"key":value` as its last member."""
    inner = value[:-1].rstrip()
    return inner + (b"" if inner.endswith(b"{") else b",") + member + value[len(inner) :]


def replace_exact(body: bytes, key: str, old: bytes, new: bytes, *, text: bytes = b"") -> bytes:
    """`body` with the value `old` of top-level member `key` replaced by `new`; quick when `old` occurs once.

    text: the body without its payloads, where it has any: a value with a quote in it stands in none of them.
    """
    if text and b'"' in old and text.count(old) == 1:
        at, whole = body.rfind(old), memoryview(body)
        return b"".join((whole[:at], new, whole[at + len(old) :]))
    at = body.find(old)
    if at >= 0 and body.find(old, at + 1) < 0:
        return body[:at] + new + body[at + len(old) :]
    return replace_value(body, key, new)
