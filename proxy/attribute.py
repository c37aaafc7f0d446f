"""Whose call it is, as tags, from the most trusted source to the least. It must never let a caller override a tag bound to the key."""

from collections.abc import Mapping
from urllib.parse import unquote

from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value
from proxy.call import Caller
from proxy.endpoints.base import Ask
from proxy.endpoints.reading import decoded
from proxy.errors import BadRequest
from proxy.splice import find_member, remove_member
from proxy.upstream.base import Headers

Tags = tuple[tuple[str, str], ...]
MOST_TAGS = 16
_HEADER = b"x-grammage-tag-"
_BAGGAGE = "grammage."


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
    member = find_member(body, "metadata")
    if member is None or metadata.keys() <= set(metadata_tags):
        return remove_member(body, "metadata")
    rest = body[member.value : member.end]
    for key in metadata.keys() & set(metadata_tags):
        rest = remove_member(rest, key)
    return body[: member.value] + rest + body[member.end :]


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
        if equals and name.startswith(_BAGGAGE) and is_tag_name(key):
            shown = unquote(text.split(";", 1)[0].strip())
            if is_tag_value(shown):
                pairs.append((key, shown))
    return pairs


def _checked(name: str, value: str, origin: str) -> str:
    if not is_tag_name(name):
        raise BadRequest(f"the tag name in {origin[:60]!r} is not valid; use {NAME_RULE}.", code="invalid_tag", param=origin[:60])
    value = value.strip()
    if not is_tag_value(value):
        raise BadRequest(f"tag {name!r} must have {VALUE_RULE}, got {len(value)} characters.", code="invalid_tag", param=origin)
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
