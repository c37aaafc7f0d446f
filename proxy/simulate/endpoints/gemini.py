"""Speaks Gemini's verbs on a model: generateContent, streamed as events or as an array, countTokens, embeddings. It must never frame.

The request is answered as the chat that it amounts to; `cachedContent` makes whole steps of 128 tokens count as cached, from 1,024 on.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.choice import Choice, choose
from proxy.simulate.endpoints.embeddings import unit_vector
from proxy.simulate.exchange import Ask, Draft, EventStyle, JsonObject, Refused, as_list, as_object

EVENTS = EventStyle(done=False)
ARRAY = EventStyle(done=False, array=True)
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_MODES = {"ANY": "required", "NONE": "none"}
_SNAKE = re.compile(r"(?<=[a-z0-9])_([a-z])")
_DEEPEST = 16
_CLIENTS_OWN = frozenset(("args", "labels", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "responseSchema"))
_DIMENSIONS = 3072
_MOST_DIMENSIONS = 4096


def generate(ask: Ask) -> Draft:
    """A whole answer."""
    model, chat, choices = _answered(ask)
    usage = _usage(chat, choices)
    candidates = [_candidate(choice, choice.text, last=True) for choice in choices]
    return Draft(document=_document(ask, model, candidates, usage), model=model, output_tokens=_written(choices))


def stream(ask: Ask) -> Draft:
    """An answer in parts, each with its usage so far."""
    model, chat, choices = _answered(ask)
    style = EVENTS if "sse" in parse_qs(ask.asked.query).get("alt", ()) else ARRAY
    events = tuple(_parts(ask, model, chat, choices))
    return Draft(events=events, style=style, model=model, output_tokens=_written(choices))


def count_tokens(ask: Ask) -> Draft:
    """How many tokens a request would have; nothing is answered."""
    inner = as_object(ask.body.get("generateContentRequest")) or ask.body
    model = _model_of(ask)
    return Draft(document={"totalTokens": _prompt_tokens(_chat_of(model, inner))})


def embed(ask: Ask) -> Draft:
    """The vector of one content."""
    model = _model_of(ask)
    vector, count = _embedded(ask.body)
    return Draft(document={"embedding": vector, **_told(ask, {"promptTokenCount": count})}, model=model)


def batch_embed(ask: Ask) -> Draft:
    """The vectors of several contents."""
    model = _model_of(ask)
    requests = ask.body.get("requests")
    if not isinstance(requests, list) or not requests or not all(isinstance(one, dict) for one in requests):
        raise Refused(400, "Simulated: 'requests' must be a list with at least one request.")
    found = [_embedded(one) for one in requests]
    counted = {"promptTokenCount": sum(count for _, count in found)}
    return Draft(document={"embeddings": [vector for vector, _ in found], **_told(ask, counted)}, model=model)


def _model_of(ask: Ask) -> str:
    """The model that stands in the path."""
    name = ask.asked.path.rpartition("/models/")[2].rpartition(":")[0]
    return sampling.model_of({"model": name})


def _answered(ask: Ask) -> tuple[str, JsonObject, list[Choice]]:
    model = _model_of(ask)
    chat = _chat_of(model, ask.body)
    prompt = "\n".join(tokens.text_of(message.get("content")) for message in chat["messages"])
    number = sampling.choices_of(chat)
    return model, chat, [choose(chat, index, chat["messages"], chat["tools"], prompt) for index in range(number)]


def _document(ask: Ask, model: str, candidates: list[JsonObject], usage: JsonObject) -> JsonObject:
    return {"candidates": candidates, **_told(ask, usage), "modelVersion": model, "responseId": ask.call_id}


def _told(ask: Ask, usage: JsonObject) -> JsonObject:
    return {"usageMetadata": usage} if ask.usage_place != "nowhere" else {}


def _candidate(choice: Choice, text: str, *, last: bool) -> JsonObject:
    part: JsonObject = {"text": text}
    if choice.tool_name is not None:
        part = {"functionCall": {"name": choice.tool_name, "args": _arguments(choice)}}
    finish = {"finishReason": _FINISH[choice.finish_reason]} if last else {}
    return {"content": {"parts": [part], "role": "model"}, **finish, "index": choice.index}


def _arguments(choice: Choice) -> JsonObject:
    """The call's arguments; nothing when they were cut."""
    try:
        return as_object(json.loads(choice.text))
    except ValueError:
        return {}


def _parts(ask: Ask, model: str, chat: JsonObject, choices: list[Choice]) -> Iterator[JsonObject]:
    """The answer piece by piece, choices one after the other; a call comes whole."""
    sent = 0
    for choice in choices:
        pieces = ("",) if choice.tool_name is not None or not choice.pieces else choice.pieces
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            sent += len(choice.pieces) if choice.tool_name is not None else min(len(choice.pieces), 1)
            usage = _usage(chat, choices, so_far=sent)
            yield _document(ask, model, [_candidate(choice, piece, last=last)], usage)


def _written(choices: list[Choice]) -> int:
    return sum(len(choice.pieces) + choice.reasoning_tokens for choice in choices)


def _usage(chat: JsonObject, choices: list[Choice], so_far: int | None = None) -> JsonObject:
    asked = _prompt_tokens(chat)
    thoughts = sum(choice.reasoning_tokens for choice in choices)
    written = sum(len(choice.pieces) for choice in choices) if so_far is None else so_far
    cached = sampling.chat_usage(chat, asked, written, 0)["prompt_tokens_details"]["cached_tokens"]
    return {
        "promptTokenCount": asked,
        "candidatesTokenCount": written,
        "totalTokenCount": asked + written + thoughts,
        **({"cachedContentTokenCount": cached} if cached else {}),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked}],
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
    }


def _prompt_tokens(chat: JsonObject) -> int:
    return tokens.count_messages(chat["messages"], json.dumps(chat["tools"]) if chat["tools"] else "")


def _spelt(value: Any, depth: int = 0) -> Any:
    """The value with its members' names as `maxOutputTokens`; `max_output_tokens` means the same. What is a client's own stays."""
    if isinstance(value, list):
        return value if depth > _DEEPEST else [_spelt(one, depth + 1) for one in value]
    if not isinstance(value, dict) or depth > _DEEPEST:
        return value
    named = {_SNAKE.sub(lambda found: found[1].upper(), name): one for name, one in value.items()}
    return {name: one if name in _CLIENTS_OWN else _spelt(one, depth + 1) for name, one in named.items()}


def _chat_of(model: str, body: JsonObject) -> JsonObject:
    """The request in the shape of a chat."""
    body = _spelt(body)
    turns = _turns(body.get("contents"))
    if not turns:
        raise Refused(400, "Simulated: * GenerateContentRequest.contents: contents is not specified")
    config = as_object(body.get("generationConfig"))
    told = as_object(body.get("systemInstruction"))
    schema = config.get("responseJsonSchema") or _plain_schema(config.get("responseSchema"))
    kind = "json_schema" if schema else "json_object" if config.get("responseMimeType") == "application/json" else None
    calling = as_object(as_object(body.get("toolConfig")).get("functionCallingConfig"))
    return {
        "model": model,
        "messages": [*([{"role": "system", "content": _content(told)}] if told else []), *map(_message, turns)],
        "tools": [{"type": "function", "function": function} for function in _functions(body)],
        "tool_choice": _MODES.get(str(calling.get("mode")), "auto"),
        "response_format": {"type": kind, "json_schema": {"schema": schema}},
        "stop": config.get("stopSequences"),
        "seed": config.get("seed"),
        "n": config.get("candidateCount"),
        "max_tokens": config.get("maxOutputTokens"),
        "reasoning_effort": "low" if as_object(config.get("thinkingConfig")).get("includeThoughts") else None,
        "prompt_cache_key": body.get("cachedContent"),
    }


def _turns(contents: object) -> list[JsonObject]:
    return [turn for turn in ([contents] if isinstance(contents, dict) else as_list(contents)) if isinstance(turn, dict)]


def _functions(body: JsonObject) -> list[JsonObject]:
    tools = [tool for tool in as_list(body.get("tools")) if isinstance(tool, dict)]
    declared = [one for tool in tools for one in as_list(tool.get("functionDeclarations")) if isinstance(one, dict)]
    return [{**one, "parameters": one.get("parametersJsonSchema") or _plain_schema(one.get("parameters"))} for one in declared]


def _plain_schema(schema: object) -> object:
    """A schema with its types in lower case, as JSON Schema has them."""
    if isinstance(schema, list):
        return [_plain_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain_schema(value) for key, value in schema.items()}
    kind = kept.get("type")
    return {**kept, "type": kind.lower()} if isinstance(kind, str) else kept


def _message(turn: JsonObject) -> JsonObject:
    """One turn as a message; what a function gave back makes it the tool's."""
    answers = any(isinstance(part, dict) and "functionResponse" in part for part in as_list(turn.get("parts")))
    role = "tool" if answers else "assistant" if turn.get("role") == "model" else "user"
    return {"role": role, "content": _content(turn)}


def _content(turn: JsonObject) -> list[JsonObject]:
    given = turn.get("parts")
    parts = [part for part in ([given] if isinstance(given, dict) else as_list(given)) if isinstance(part, dict)]
    return [_part(part) for part in parts]


def _part(part: JsonObject) -> JsonObject:
    data = as_object(part.get("inlineData") or part.get("fileData"))
    if str(data.get("mimeType")).startswith("image/"):
        return {"type": "image_url", "image_url": {}}
    text = part.get("text")
    return {"type": "text", "text": text if isinstance(text, str) else json.dumps(part, ensure_ascii=False)}


def _embedded(request: JsonObject) -> tuple[JsonObject, int]:
    """The vector of a request's content, and its tokens."""
    text = "\n".join(part.get("text", "") for part in _content(as_object(request.get("content"))))
    wanted = request.get("outputDimensionality") or as_object(request.get("embedContentConfig")).get("outputDimensionality") or _DIMENSIONS
    if not text:
        raise Refused(400, "Simulated: 'content' must hold a part with text.")
    if not isinstance(wanted, int) or not 1 <= wanted <= _MOST_DIMENSIONS:
        raise Refused(400, f"Simulated: 'outputDimensionality' must be a whole number from 1 to {_MOST_DIMENSIONS}.")
    return {"values": list(unit_vector(text, wanted))}, tokens.count(text)
