"""Which function of LiteLLM serves which operation, and how its answer is written. It must never import LiteLLM: the door hands it over."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from config.providers import Dialect
from proxy.upstream.litellm_fields import ALLOWED
from proxy.upstream.litellm_shape import (
    DONE,
    chat_body,
    chat_event,
    completion_body,
    completion_event,
    gemini_event,
    json_body,
    named_event,
    response_body,
)
from proxy.upstream.litellm_stream import Checked, Watched, Write, mended, with_late_usage

Arguments = dict[str, Any]
GOOGLE = ("gemini", "vertex_ai")
"""Providers whose own dialect is Gemini's, by LiteLLM's names."""


MESSAGE_FIELDS = (
    "max_tokens",
    "messages",
    "model",
    "metadata",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "output_format",
)
"""Arguments of a Messages call, beside LiteLLM's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What is used of LiteLLM. google, messages, responses: its translators between a chat and another dialect."""

    calls: Any
    google: Any
    google_native: Any
    messages: Any
    messages_writer: Any
    responses: Any
    responses_writer: Any


Ask = Callable[[Library, Arguments], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One way to ask. fields: the row of allowed fields. ask: gives an answer, or an async iterator of events.

    body, event: how these are written. last: what ends a stream. needs: a field without which nothing can be asked, and its kind.
    only_for: providers, by LiteLLM's names, that can be asked; empty: all.
    """

    fields: str
    ask: Ask
    body: Write = json_body
    event: Write = named_event
    last: bytes = b""
    dialect: Dialect = "openai"
    needs: tuple[str, type | tuple[type, ...]] | None = None
    only_for: tuple[str, ...] = ()


async def _complete(library: Library, arguments: Arguments) -> Any:
    """A chat; tools are the provider's, not those that LiteLLM's proxy would run (and whose packages are not installed)."""
    return await library.calls.acompletion(**{**arguments, "_skip_mcp_handler": True})


async def _chat(library: Library, arguments: Arguments) -> Any:
    answer = await _complete(library, arguments)
    return Checked(watched, watched) if (watched := await _watched(answer)) else answer


async def _watched(answer: Any) -> Watched | None:
    """The stream, once its first chunk is there; None for a whole answer."""
    return await Watched(mended(answer)).begin() if hasattr(answer, "__aiter__") else None


async def _completions(library: Library, arguments: Arguments) -> Any:
    return await library.calls.atext_completion(**arguments)


async def _responses(library: Library, arguments: Arguments) -> Any:
    """Through a chat: LiteLLM's own way in imports parts of its proxy, which is not installed."""
    rest = dict(arguments)
    asked = {name: rest.pop(name) for name in ALLOWED["responses"] if name in rest and name not in ("input", "stream")}
    given, stream = rest.pop("input"), rest.pop("stream", None)
    as_chat = library.responses.transform_responses_api_request_to_chat_completion_request(
        model=rest["model"], input=given, responses_api_request=asked, stream=stream
    )
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = await _complete(library, {**rest, **as_chat, **options})
    watched = await _watched(answer)
    if watched is not None:
        events = library.responses_writer(
            model=rest["model"], litellm_custom_stream_wrapper=watched, request_input=given, responses_api_request=asked
        )
        return Checked(events, watched)
    return library.responses.transform_chat_completion_response_to_responses_api_response(
        chat_completion_response=answer, request_input=given, responses_api_request=asked
    )


async def _embeddings(library: Library, arguments: Arguments) -> Any:
    return await library.calls.aembedding(**arguments)


async def _images(library: Library, arguments: Arguments) -> Any:
    return await library.calls.aimage_generation(**arguments)


async def _edits(library: Library, arguments: Arguments) -> Any:
    return await library.calls.aimage_edit(**arguments)


async def _variations(library: Library, arguments: Arguments) -> Any:
    return await library.calls.aimage_variation(**arguments)


async def _speech(library: Library, arguments: Arguments) -> Any:
    return await library.calls.aspeech(**arguments)


async def _transcription(library: Library, arguments: Arguments) -> Any:
    return await library.calls.atranscription(**arguments)


async def _moderation(library: Library, arguments: Arguments) -> Any:
    return await library.calls.amoderation(**arguments)


async def _messages(library: Library, arguments: Arguments) -> Any:
    """Through a chat, for the same reason."""
    rest = dict(arguments)
    asked = {name: rest.pop(name) for name in MESSAGE_FIELDS if name in rest}
    as_chat, tool_names = library.messages._prepare_completion_kwargs(**asked, extra_kwargs=rest)
    answer = await _complete(library, {**rest, **as_chat})
    watched = await _watched(answer)
    if watched is None:
        return library.messages_writer.translate_completion_output_params(answer, tool_name_mapping=tool_names)
    events = library.messages_writer.translate_completion_output_params_streaming(
        watched, model=asked["model"].partition("/")[2], tool_name_mapping=tool_names, is_async=True
    )
    return Checked(events, watched)


async def _generate_content(library: Library, arguments: Arguments) -> Any:
    if _is_google(arguments):
        return await library.google_native.agenerate_content(**_google(arguments))
    answer = await _complete(library, _as_chat(library, arguments))
    return library.google.translate_completion_to_generate_content(answer)


async def _stream_generate_content(library: Library, arguments: Arguments) -> Any:
    if _is_google(arguments):
        return await library.google_native.agenerate_content_stream(**_google(arguments))
    asked = {**_as_chat(library, arguments), "stream": True, "stream_options": {"include_usage": True}}
    watched = await Watched(mended(await _complete(library, asked))).begin()
    return Checked(library.google.translate_completion_output_params_streaming(with_late_usage(watched)), watched)


def _is_google(arguments: Arguments) -> bool:
    return str(arguments["model"]).partition("/")[0] in GOOGLE


def _google(arguments: Arguments) -> Arguments:
    rest = {name: value for name, value in arguments.items() if name != "generationConfig"}
    return {**rest, "config": arguments.get("generationConfig") or {}}


def _as_chat(library: Library, arguments: Arguments) -> Arguments:
    """A Gemini request as a chat's; what is no part of it (model, key, address) stays."""
    rest = dict(arguments)
    told = {
        name: rest.pop(name)
        for name in ("systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent", "labels")
        if name in rest
    }
    asked: Arguments = library.google.translate_generate_content_to_completion(
        model=rest["model"], contents=rest.pop("contents", []), config=rest.pop("generationConfig", None), **told
    )
    return {**asked, **rest}


CALLS: Mapping[str, Call] = {
    "/v1/chat/completions": Call(fields="chat", ask=_chat, body=chat_body, event=chat_event, last=DONE, needs=("messages", list)),
    "/v1/completions": Call(fields="completions", ask=_completions, body=completion_body, event=completion_event, last=DONE),
    "/v1/responses": Call(fields="responses", ask=_responses, body=response_body, needs=("input", (str, list))),
    "/v1/embeddings": Call(fields="embeddings", ask=_embeddings, needs=("input", (str, list))),
    "/v1/images/generations": Call(fields="images", ask=_images),
    "/v1/images/edits": Call(fields="images", ask=_edits),
    "/v1/images/variations": Call(fields="images", ask=_variations),
    "/v1/audio/speech": Call(fields="audio", ask=_speech),
    "/v1/audio/transcriptions": Call(fields="transcription", ask=_transcription),
    "/v1/moderations": Call(fields="moderation", ask=_moderation, only_for=("openai",)),
    "/v1/messages": Call(fields="messages", ask=_messages, dialect="anthropic", needs=("messages", list)),
    ":generateContent": Call(fields="generate_content", ask=_generate_content, dialect="gemini", needs=("contents", (list, dict))),
    ":streamGenerateContent": Call(
        fields="generate_content", ask=_stream_generate_content, event=gemini_event, dialect="gemini", needs=("contents", (list, dict))
    ),
}
"""Calls by path; Gemini's stand by the verb that ends it."""


def call_for(path: str) -> Call | None:
    """How `path` is asked for; None where nothing of the kind can be translated."""
    return CALLS.get(path) or CALLS.get(":" + path.rpartition(":")[2])
