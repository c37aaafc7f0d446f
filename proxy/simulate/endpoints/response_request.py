"""Reads a Responses request as the chat that it amounts to. It must never answer it."""

import json

from proxy.simulate import tokens
from proxy.simulate.exchange import JsonObject, Refused, as_list, as_object

_SEARCHES = ("web_search", "web_search_preview")
_DRAWS = "image_generation"


def chat_of(body: JsonObject) -> JsonObject:
    """The request in the shape of a chat: messages, nested tools, response_format, reasoning_effort, max_completion_tokens."""
    functions = [{"type": "function", "function": tool} for tool in _tools(body) if tool.get("type") == "function"]
    wish = body.get("tool_choice", "auto")
    form = as_object(as_object(body.get("text")).get("format"))
    return {
        "model": body.get("model"),
        "messages": _messages(body),
        "tools": functions,
        "tool_choice": {"function": wish} if isinstance(wish, dict) else wish,
        "response_format": {"type": form.get("type"), "json_schema": form},
        "reasoning_effort": as_object(body.get("reasoning")).get("effort"),
        "max_completion_tokens": body.get("max_output_tokens"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "seed": body.get("seed"),
    }


def prompt_tokens(body: JsonObject, chat: JsonObject) -> int:
    """Tokens of the messages and the tools."""
    tools = _tools(body)
    return tokens.count_messages(chat["messages"], json.dumps(tools) if tools else "")


def draws(body: JsonObject) -> bool:
    """Whether a picture may be drawn: the tool is there and calls are not off."""
    return body.get("tool_choice") != "none" and any(tool.get("type") == _DRAWS for tool in _tools(body))


def searches(body: JsonObject) -> bool:
    """Whether the web may be searched."""
    return body.get("tool_choice") != "none" and any(tool.get("type") in _SEARCHES for tool in _tools(body))


def draw_tool(body: JsonObject) -> JsonObject:
    """The settings of the image tool."""
    return next(tool for tool in _tools(body) if tool.get("type") == _DRAWS)


def _tools(body: JsonObject) -> list[JsonObject]:
    return [tool for tool in as_list(body.get("tools")) if isinstance(tool, dict)]


def _messages(body: JsonObject) -> list[JsonObject]:
    given = body.get("input")
    instructions = body.get("instructions")
    messages: list[JsonObject] = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if given is not None and not (isinstance(given, list) and all(isinstance(item, dict) for item in given)):
        raise Refused(400, "Simulated: 'input' must be a text or a list of items.", param="input")
    return [*messages, *(_message(item) for item in given or ())]


def _message(item: JsonObject) -> JsonObject:
    """One item as a message: words as they are, a tool's answer as a tool's message, a call and anything else as its JSON."""
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": _content(item.get("output"))}
    if "role" in item:
        return {"role": item["role"], "content": _content(item.get("content"))}
    return {"role": "assistant", "content": json.dumps(item)}


def _content(content: object) -> object:
    return [_part(part) for part in content if isinstance(part, dict)] if isinstance(content, list) else content


def _part(part: JsonObject) -> JsonObject:
    if part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"detail": part.get("detail")}}
    return part
