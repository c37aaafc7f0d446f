"""Whose call it is, as tags, from the most trusted source to the least. It must never let a caller override a tag bound to the key."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from config.settings import Settings
from proxy.call import Caller
from proxy.endpoints.base import Ask, decoded
from proxy.errors import BadRequest
from proxy.splice import remove_member, replace_value
from proxy.upstream.base import Headers

Tags = tuple[tuple[str, str], ...]
MOST_TAGS = 16
LONGEST_VALUE = 128
_HEADER = b"x-grammage-tag-"
_BAGGAGE = "grammage."
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def attribute(caller: Caller, headers: Headers, ask: Ask, metadata_tags: tuple[str, ...]) -> Tags:
    """The call's tags, sorted by name: key's > headers' > metadata's > baggage's. Raises BadRequest (invalid_tag)."""
    tags: dict[str, str] = {}
    named = [pair for pair in headers if pair[0].startswith(_HEADER) or pair[0] == b"baggage"]
    if not named and not metadata_tags:
        return caller.tags
    for name, value in named:
        if name == b"baggage":
            for key, text in _baggage(value):
                tags.setdefault(key, text)
    if metadata_tags:
        tags.update(_metadata(ask, metadata_tags))
    for name, value in named:
        if name != b"baggage":
            key = name[len(_HEADER) :].decode("latin-1")
            tags[key] = _checked(key, _text(value), name.decode("latin-1"))
    if not tags:
        return caller.tags
    tags.update(caller.tags)
    if len(tags) > MOST_TAGS:
        raise BadRequest(f"a call carries at most {MOST_TAGS} tags, got {len(tags)}; drop some.", code="invalid_tag")
    return tuple(sorted(tags.items()))


def without_tag_metadata(ask: Ask, body: bytes, metadata_tags: tuple[str, ...]) -> bytes:
    """The chat body less our keys in `metadata` (an emptied one goes whole); untouched when the request is stored."""
    if not metadata_tags or ask.endpoint.operation != "chat" or bytes(ask.head.store) == b"true":
        return body
    metadata = decoded(bytes(ask.head.metadata))
    if not isinstance(metadata, dict) or not any(key in metadata for key in metadata_tags):
        return body
    rest = {key: value for key, value in metadata.items() if key not in metadata_tags}
    return replace_value(body, "metadata", msgspec.json.encode(rest), bytes(ask.head.metadata)) if rest else remove_member(body, "metadata")


def _metadata(ask: Ask, names: tuple[str, ...]) -> Mapping[str, str]:
    metadata = decoded(bytes(ask.head.metadata))
    if not isinstance(metadata, dict):
        return {}
    found = {name: metadata[name] for name in names if isinstance(metadata.get(name), str) and metadata[name]}
    return {name: _checked(name, value, f"metadata.{name}") for name, value in found.items()}


def _baggage(value: bytes) -> list[tuple[str, str]]:
    """Our members of a W3C baggage header; ill-formed ones are nobody's and fall away."""
    pairs = []
    for member in _text(value).split(","):
        name, equals, text = member.strip().partition("=")
        key = name.strip().removeprefix(_BAGGAGE)
        if equals and name.startswith(_BAGGAGE) and _NAME.fullmatch(key):
            shown = unquote(text.split(";", 1)[0].strip())
            if shown and len(shown) <= LONGEST_VALUE and not _CONTROL.search(shown):
                pairs.append((key, shown))
    return pairs


def _checked(name: str, value: str, origin: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"tag name in {origin[:60]!r} is not valid; use a-z, 0-9, - and _, at most 32.", code="invalid_tag", param=origin[:60]
        )
    value = value.strip()
    if not value or len(value) > LONGEST_VALUE:
        raise BadRequest(f"tag {name!r} must have 1 to {LONGEST_VALUE} characters, got {len(value)}.", code="invalid_tag", param=origin)
    if _CONTROL.search(value):
        raise BadRequest(f"tag {name!r} holds control characters; send plain text.", code="invalid_tag", param=origin)
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def metadata_tag_names(settings: Settings) -> tuple[str, ...]:
    """The metadata keys that the configuration declares as tags."""
    return tuple(settings.metadata_tags)
