"""Speaks Anthropic's POST /v1/messages and its count_tokens: unary and streamed, tools, thinking, cached prompts. It must never frame.

The request is answered as the chat that it amounts to; `cache_control` anywhere in it makes whole steps of 128 tokens count as read
from the cache, from 1,024 on.
"""

import json
from collections.abc import Iterator

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.choice import Choice, choose
from proxy.simulate.exchange import NAMED_EVENTS, Ask, Draft, JsonObject, Refused, as_list, as_object

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_CHOICES = {"any": "required", "none": "none"}
_THOUGHT = "Simulated: the request is weighed up before it is answered."


def messages(ask: Ask) -> Draft:
    """The answer to one request."""
    body = ask.body
    model = sampling.model_of(body)
    if sampling.most_tokens(body, "max_tokens") is None:
        raise Refused(400, "Simulated: max_tokens: Field required.", param="max_tokens")
    chat = _chat_of(body)
    prompt = "\n".join(tokens.text_of(message.get("content")) for message in chat["messages"])
    choice = choose(chat, 0, chat["messages"], chat["tools"], prompt)
    usage = _usage(chat, choice)
    headers = (("request-id", f"req_{ask.call_id}"),)
    output_tokens = usage["output_tokens"]
    if body.get("stream") is True:
        events = tuple(_events(ask, model, choice, usage))
        return Draft(events=events, style=NAMED_EVENTS, model=model, headers=headers, output_tokens=output_tokens)
    document = {**_head(ask, model), "content": list(_blocks(choice)), **_stop(choice), **ask.usage(usage)}
    return Draft(document=document, model=model, headers=headers, output_tokens=output_tokens)


def count_tokens(ask: Ask) -> Draft:
    """How many tokens a request would have; nothing is answered."""
    sampling.model_of(ask.body)
    return Draft(document={"input_tokens": _prompt_tokens(_chat_of(ask.body))})


def _head(ask: Ask, model: str) -> JsonObject:
    return {"id": f"msg_{ask.call_id}", "type": "message", "role": "assistant", "model": model}


def _stop(choice: Choice) -> JsonObject:
    return {"stop_reason": _STOP_REASONS[choice.finish_reason], "stop_sequence": None}


def _usage(chat: JsonObject, choice: Choice) -> JsonObject:
    prompt_tokens = _prompt_tokens(chat)
    counted = sampling.chat_usage(chat, prompt_tokens, len(choice.pieces) + choice.reasoning_tokens, choice.reasoning_tokens)
    cached = counted["prompt_tokens_details"]["cached_tokens"]
    thought: JsonObject = {"output_tokens_details": {"thinking_tokens": choice.reasoning_tokens}} if choice.reasoning_tokens else {}
    return {
        "input_tokens": prompt_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": counted["completion_tokens"],
        **thought,
        "service_tier": "standard",
    }


def _prompt_tokens(chat: JsonObject) -> int:
    return tokens.count_messages(chat["messages"], json.dumps(chat["tools"]) if chat["tools"] else "")


def _blocks(choice: Choice) -> Iterator[JsonObject]:
    """The answer's blocks: a thought if there was one, then words or a call."""
    if choice.reasoning_tokens:
        yield {"type": "thinking", "thinking": _THOUGHT, "signature": "simulated"}
    if choice.tool_name is None:
        yield {"type": "text", "text": choice.text}
    else:
        yield {"type": "tool_use", "id": f"tool{choice.tool_call_id}", "name": choice.tool_name, "input": _arguments(choice)}


def _arguments(choice: Choice) -> JsonObject:
    """The call's arguments; nothing when they were cut."""
    try:
        return as_object(json.loads(choice.text))
    except ValueError:
        return {}


def _events(ask: Ask, model: str, choice: Choice, usage: JsonObject) -> Iterator[JsonObject]:
    begun = {**usage, "output_tokens": 1}
    open_message = {**_head(ask, model), "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**open_message, **ask.usage(begun)}}
    for index, block in enumerate(_blocks(choice)):
        kind = block["type"]
        opened: dict[str, JsonObject] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **opened[kind]}}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(choice, block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    told = {name: usage[name] for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")}
    thought = {name: usage[name] for name in ("output_tokens_details",) if name in usage}
    yield {"type": "message_delta", "delta": _stop(choice), **ask.usage({**told, **thought})}
    yield {"type": "message_stop"}


def _deltas(choice: Choice, block: JsonObject) -> Iterator[JsonObject]:
    if block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
        return
    for piece in choice.pieces:
        yield {"type": "text_delta", "text": piece} if block["type"] == "text" else {"type": "input_json_delta", "partial_json": piece}


def _chat_of(body: JsonObject) -> JsonObject:
    """The request in the shape of a chat."""
    turns = body.get("messages")
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise Refused(400, "Simulated: messages: at least one message is required.", param="messages")
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    thinks = as_object(body.get("thinking")).get("type") in ("enabled", "adaptive")
    tools = [tool for tool in as_list(body.get("tools")) if isinstance(tool, dict) and "input_schema" in tool]
    return {
        "model": body.get("model"),
        "messages": [*system, *map(_turn, turns)],
        "tools": [{"type": "function", "function": _function(tool)} for tool in tools],
        "tool_choice": _tool_choice(as_object(body.get("tool_choice"))),
        "stop": body.get("stop_sequences"),
        "max_tokens": body.get("max_tokens"),
        "reasoning_effort": "low" if thinks else None,
        "prompt_cache_key": "on" if "cache_control" in json.dumps(body) else None,
    }


def _function(tool: JsonObject) -> JsonObject:
    return {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}


def _tool_choice(wish: JsonObject) -> object:
    if wish.get("type") == "tool":
        return {"function": {"name": wish.get("name")}}
    return _CHOICES.get(str(wish.get("type")), "auto")


def _turn(turn: JsonObject) -> JsonObject:
    """One turn as a message; what a tool gave back makes it the tool's."""
    content = turn.get("content")
    parts = [part for part in as_list(content) if isinstance(part, dict)]
    role = "tool" if any(part.get("type") == "tool_result" for part in parts) else turn.get("role")
    return {"role": role, "content": [_part(part) for part in parts] if isinstance(content, list) else content}


def _part(part: JsonObject) -> JsonObject:
    kind = part.get("type")
    if kind == "image":
        return {"type": "image_url", "image_url": {}}
    if kind in ("tool_use", "tool_result"):
        return {"type": "text", "text": json.dumps(part.get("input") or part.get("content") or "", ensure_ascii=False)}
    return part
