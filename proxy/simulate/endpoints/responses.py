"""Speaks POST /v1/responses and what belongs to it: streams, answers in the background, kept answers, compaction and token counts.

It must never open a socket or read a clock.

An answer in the background is queued, then in progress the first time it is asked for, then complete; a stream of it is complete at once.
A picture that the image tool draws is counted in `tool_usage`, never in `usage`.
"""

import base64
from urllib.parse import parse_qs

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.choice import Choice, choose
from proxy.simulate.endpoints.image_wish import read_wish
from proxy.simulate.endpoints.response_events import events_of, unfinished
from proxy.simulate.endpoints.response_request import chat_of, draw_tool, draws, prompt_tokens, searches
from proxy.simulate.exchange import NAMED_EVENTS, Ask, Draft, JsonObject, Refused
from proxy.simulate.picture import draw
from proxy.simulate.shelf import Kept

_ITEM_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "image_generation_call": "ig", "web_search_call": "ws"}
_IMAGE_MODEL = "sim-image-tokens"
_SUMMARY_SHARE = 10
_SUMMARY_LEAST = 16
# what is told back of a request, and what it is when it was not given
_TOLD_BACK: JsonObject = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def responses(ask: Ask) -> Draft:
    """The answer to one request."""
    body = ask.body
    model = sampling.model_of(body)
    document = _document(ask, model)
    late = body.get("background") is True
    if late or body.get("store") is not False:
        ask.shelf.keep(document["id"], Kept(document=document, late=late))
    output_tokens = _output_tokens(document)
    if body.get("stream") is True:
        return Draft(events=events_of(document), style=NAMED_EVENTS, model=model, output_tokens=output_tokens)
    if late:
        return Draft(document=unfinished(document, "queued"), model=model)
    return Draft(document=document, model=model, output_tokens=output_tokens)


def kept(ask: Ask) -> Draft:
    """A kept answer again, whole or as events after a number, or its end."""
    name = ask.asked.path.rpartition("/")[2]
    found = _found(ask, name)
    if ask.asked.method == "DELETE":
        ask.shelf.drop(name)
        return Draft(document={"id": name, "object": "response", "deleted": True})
    query = parse_qs(ask.asked.query)
    if query.get("stream") == ["true"]:
        found.late = False
        after = query.get("starting_after", ["-1"])[0]
        first = int(after) + 1 if after.isdecimal() else 0
        return Draft(events=events_of(found.document)[first:], style=NAMED_EVENTS)
    if found.late:
        found.late = False
        return Draft(document=unfinished(found.document, "in_progress"))
    return Draft(document=found.document)


def cancel(ask: Ask) -> Draft:
    """Ends an answer in the background that is not complete; what it had cost is never told."""
    name = ask.asked.path.split("/")[-2]
    found = _found(ask, name)
    if not found.late:
        raise Refused(400, "Simulated: only a response in the background that is not complete can be cancelled.")
    found.document, found.late = unfinished(found.document, "cancelled"), False
    return Draft(document=found.document)


def compact(ask: Ask) -> Draft:
    """A conversation made short: its user messages, and one item that stands for the rest."""
    body = ask.body
    model = sampling.model_of(body)
    chat = chat_of(body)
    asked = prompt_tokens(body, chat) + _carried(ask)
    written = max(_SUMMARY_LEAST, asked // _SUMMARY_SHARE)
    said = [message for message in chat["messages"] if message.get("role") == "user"]
    items = [
        {
            "id": f"msg_{ask.call_id}{index}",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": tokens.text_of(message.get("content"))}],
        }
        for index, message in enumerate(said)
    ]
    closed = {"id": f"cmp_{ask.call_id}", "type": "compaction", "encrypted_content": base64.b64encode(ask.call_id.encode()).decode()}
    usage = _usage(sampling.chat_usage(chat, asked, written, 0))
    head: JsonObject = {"id": f"resp_{ask.call_id}", "object": "response.compaction", "created_at": ask.created_s}
    return Draft(document={**head, "output": [*items, closed], **ask.usage(usage)}, model=model, output_tokens=written)


def input_tokens(ask: Ask) -> Draft:
    """How many tokens a request would have; nothing is answered."""
    counted = prompt_tokens(ask.body, chat_of(ask.body)) + _carried(ask)
    return Draft(document={"object": "response.input_tokens", "input_tokens": counted})


def _found(ask: Ask, name: str) -> Kept:
    found = ask.shelf.find(name)
    if found is None:
        raise Refused(404, f"Simulated: there is no response '{name[:80]}' here any more.", code="response_not_found")
    return found


def _carried(ask: Ask) -> int:
    """Tokens of the conversation that goes on."""
    name = ask.body.get("previous_response_id")
    if name is None:
        return 0
    before = ask.shelf.find(name) if isinstance(name, str) else None
    if before is None:
        message = "Simulated: the previous response is not kept here."
        raise Refused(400, message, code="previous_response_not_found", param="previous_response_id")
    usage = before.document.get("usage") or {}
    return int(usage.get("total_tokens", 0))


def _document(ask: Ask, model: str) -> JsonObject:
    body = ask.body
    chat = chat_of(body)
    asked_tokens = prompt_tokens(body, chat) + _carried(ask)
    prompt = "\n".join(tokens.text_of(message.get("content")) for message in chat["messages"])
    choice = choose(chat, 0, chat["messages"], chat["tools"], prompt)
    usage = sampling.chat_usage(chat, asked_tokens, len(choice.pieces) + choice.reasoning_tokens, choice.reasoning_tokens)
    extra, tool_usage = _tool_items(ask, prompt) if choice.tool_name is None else ([], {})
    cut = choice.finish_reason == "length"
    items = [*([{"type": "reasoning", "summary": []}] if choice.reasoning_tokens else []), *extra, *_written(choice, cut=cut)]
    told = {key: default if body.get(key) is None else body[key] for key, default in _TOLD_BACK.items()}
    return {
        "id": f"resp_{ask.call_id}",
        "object": "response",
        "created_at": ask.created_s,
        "status": "incomplete" if cut else "completed",
        "background": body.get("background") is True,
        "completed_at": None if cut else ask.created_s,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": model,
        "output": [{"id": f"{_ITEM_PREFIXES[item['type']]}_{ask.call_id}{at}", **item} for at, item in enumerate(items)],
        "reasoning": {"effort": chat["reasoning_effort"], "summary": None},
        "service_tier": "default",
        **told,
        **ask.usage(_usage(usage)),
        **({"tool_usage": tool_usage} if tool_usage and ask.usage_place != "nowhere" else {}),
    }


def _written(choice: Choice, *, cut: bool) -> list[JsonObject]:
    """The message or the call; nothing when reasoning took all the tokens."""
    status = "incomplete" if cut else "completed"
    if choice.tool_name is not None:
        call = {"arguments": choice.text, "call_id": choice.tool_call_id, "name": choice.tool_name}
        return [{"type": "function_call", "status": status, **call}]
    if not choice.pieces and cut:
        return []
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}]
    return [{"type": "message", "status": status, "role": "assistant", "content": content}]


def _tool_items(ask: Ask, prompt: str) -> tuple[list[JsonObject], JsonObject]:
    """What the built-in tools did, and what that cost."""
    items: list[JsonObject] = []
    cost: JsonObject = {}
    if searches(ask.body):
        action = {"type": "search", "query": prompt[:80]}
        items.append({"type": "web_search_call", "status": "completed", "action": action})
        cost["web_search"] = {"num_requests": 1}
    if draws(ask.body):
        result, cost["image_gen"] = _drawn(ask, prompt)
        items.append({"type": "image_generation_call", "status": "completed", "result": result})
    return items, cost


def _drawn(ask: Ask, prompt: str) -> tuple[str, JsonObject]:
    tool = draw_tool(ask.body)
    wanted = {key: tool.get(key) for key in ("size", "quality", "background", "output_format")}
    body = {**wanted, "model": _IMAGE_MODEL, "prompt": prompt or "picture"}
    wish = read_wish(Ask(asked=ask.asked, body=body, call_id=ask.call_id, created_s=ask.created_s, shelf=ask.shelf))
    picture = draw(prompt, wish.width, wish.height, transparent=wish.transparent)
    return base64.b64encode(picture).decode(), wish.usage() or {}


def _usage(chat_usage: JsonObject) -> JsonObject:
    """Usage of a chat under the names of Responses."""
    return {
        "input_tokens": chat_usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": chat_usage["prompt_tokens_details"]["cached_tokens"], "cache_write_tokens": 0},
        "output_tokens": chat_usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": chat_usage["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": chat_usage["total_tokens"],
    }


def _output_tokens(document: JsonObject) -> int:
    usage = document.get("usage") or {}
    return int(usage.get("output_tokens", 0))
