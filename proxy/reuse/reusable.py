"""Says which requests may be answered by an earlier answer. It must never let one through whose answer is kept elsewhere, or acts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Fields = Mapping[str, Any]
NOTHING: tuple[Any, ...] = (None, False, "", [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one kind of request says of itself. chance: where it states its temperature, () where nothing is left to chance.

    neutral: members that change no byte of the answer. refused: members that must not be there. unkept: its answer is kept by the
    provider unless it says `store: false`.
    """

    chance: tuple[tuple[str, ...], ...] = ()
    neutral: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    unkept: bool = False


_OF_CALLER = frozenset({"user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention"})
_TEMPERATURE = (("temperature",),)
_GEMINI = Kind(
    chance=(("generationConfig", "temperature"), ("generation_config", "temperature")),
    refused=frozenset({"cachedContent", "cached_content"}),
)

KINDS: Mapping[str, Kind] = {
    "chat": Kind(chance=_TEMPERATURE, neutral=_OF_CALLER, refused=frozenset({"store", "web_search_options", "plugins", "audio"})),
    "completions": Kind(chance=_TEMPERATURE, neutral=_OF_CALLER, refused=frozenset({"store", "plugins"})),
    "responses": Kind(
        chance=_TEMPERATURE,
        refused=frozenset({"previous_response_id", "background", "conversation", "prompt", "plugins", "context_management"}),
        unkept=True,
    ),
    "messages": Kind(
        chance=_TEMPERATURE, neutral=frozenset({"metadata"}), refused=frozenset({"container", "mcp_servers", "context_management"})
    ),
    "generate_content": _GEMINI,
    "stream_generate_content": _GEMINI,
    "embeddings": Kind(neutral=_OF_CALLER),
    "embed_content": Kind(),
    "batch_embed_contents": Kind(),
    "moderation": Kind(),
}
"""Kinds of requests whose answers may be kept. Pictures, clips, sound and forms are not among them."""

REFERS = ('"file_id":', '"file_uri":', '"fileUri":', '"vector_store_ids":', '"container_id":')
"""Members, wherever they stand in the canonical form, that name what a provider keeps."""

OWN_TOOLS = ("function", "custom")
DECLARED = frozenset({"functionDeclarations", "function_declarations"})


def kind_of(operation: str, fields: Fields, *, any_temperature: bool) -> Kind | None:
    """The kind of a request that may be answered by an earlier answer; None where it may not."""
    kind = KINDS.get(operation)
    if kind is None or any(fields.get(name) not in NOTHING for name in kind.refused):
        return None
    if kind.unkept and fields.get("store") is not False:
        return None
    if not _tools_are_own(fields.get("tools")):
        return None
    return kind if any_temperature or not kind.chance or _is_certain(kind, fields) else None


def _is_certain(kind: Kind, fields: Fields) -> bool:
    """True when the request states temperature 0."""
    stated = [value for path in kind.chance if (value := _at(fields, path)) is not None]
    return bool(stated) and all(not isinstance(value, bool) and value == 0 for value in stated)


def _at(fields: Fields, path: tuple[str, ...]) -> Any:
    value: Any = fields
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _tools_are_own(tools: Any) -> bool:
    """False for tools that the provider itself runs: what they find changes, and what they do is done once."""
    if tools in NOTHING:
        return True
    return isinstance(tools, list) and all(isinstance(tool, Mapping) and _is_own(tool) for tool in tools)


def _is_own(tool: Fields) -> bool:
    if tool.get("type") in OWN_TOOLS:
        return True
    return tool.get("type") is None and ("input_schema" in tool or set(tool) <= DECLARED)
