"""Speaks POST /v1/chat/completions: unary and streamed, tools, structured output, several choices.

It must never open a socket or read a clock.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.simulate import tokens, wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_list, as_object
from proxy.simulate.instance import Filling, instance_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice: its text in pieces, or a tool call with its arguments in pieces."""

    index: int
    pieces: tuple[str, ...]
    finish_reason: str
    reasoning_tokens: int = 0
    tool_name: str | None = None
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """All pieces together."""
        return "".join(self.pieces)

    def message(self) -> JsonObject:
        """The message of a unary answer."""
        if self.tool_name is None:
            return {"role": "assistant", "content": self.text, "refusal": None, "annotations": []}
        call = {"id": self.tool_call_id, "type": "function", "function": {"name": self.tool_name, "arguments": self.text}}
        return {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "annotations": []}

    def first_delta(self) -> JsonObject:
        """What opens the choice in a stream."""
        if self.tool_name is None:
            return {"role": "assistant", "content": "", "refusal": None}
        call = {"index": 0, "id": self.tool_call_id, "type": "function", "function": {"name": self.tool_name, "arguments": ""}}
        return {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}

    def next_delta(self, piece: str) -> JsonObject:
        """One further piece in a stream."""
        return {"content": piece} if self.tool_name is None else {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def chat(ask: Ask) -> Draft:
    """The answer to one chat request."""
    body = ask.body
    model = sampling.model_of(body)
    messages = _messages_of(body)
    tools = [tool for tool in as_list(body.get("tools")) if isinstance(tool, dict)]
    prompt = "\n".join(tokens.text_of(message.get("content")) for message in messages)
    prompt_tokens = tokens.count_messages(messages, json.dumps(tools) if tools else "")
    choices = [_choice(ask, index, messages, tools, prompt) for index in range(sampling.choices_of(body))]
    output_tokens = sum(len(choice.pieces) + choice.reasoning_tokens for choice in choices)
    reasoning = sum(choice.reasoning_tokens for choice in choices)
    usage = sampling.chat_usage(body, prompt_tokens, output_tokens, reasoning)
    head: JsonObject = {"id": f"chatcmpl-{ask.call_id}", "object": "chat.completion", "created": ask.created_s, "model": model}
    if body.get("stream") is True:
        events = tuple(_events(ask, {**head, "object": "chat.completion.chunk"}, choices, usage))
        return Draft(events=events, model=model, output_tokens=output_tokens)
    document = {
        **head,
        "choices": [
            {"index": choice.index, "message": choice.message(), "logprobs": None, "finish_reason": choice.finish_reason}
            for choice in choices
        ],
        **({} if ask.usage_place == "nowhere" else {"usage": usage}),
        "service_tier": "default",
        "system_fingerprint": "simulated",
    }
    return Draft(document=document, model=model, output_tokens=output_tokens)


def _messages_of(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "Simulated: 'messages' must be a list with at least one message.", param="messages")
    return messages


def _choice(ask: Ask, index: int, messages: list[JsonObject], tools: list[JsonObject], prompt: str) -> Choice:
    body = ask.body
    model = sampling.model_of(body)
    seed = wording.seed_of(model, prompt, body.get("seed"), index)
    tool = _tool_to_call(body, messages, tools)
    text = json.dumps(_arguments(tool, prompt, model, seed), ensure_ascii=False) if tool else _content(body, prompt, model, seed)
    reasoning = sampling.reasoning_of(body)
    most = sampling.most_tokens(body, "max_completion_tokens", "max_tokens")
    cut = sampling.cut_text(text, body.get("stop") if tool is None else None, None if most is None else max(0, most - reasoning))
    return Choice(
        index=index,
        pieces=cut.pieces,
        finish_reason=cut.finish_reason if tool is None or cut.finish_reason == "length" else "tool_calls",
        reasoning_tokens=reasoning if most is None else min(reasoning, most),
        tool_name=None if tool is None else str(tool.get("name", "")),
        tool_call_id=f"call_{seed[:24]}",
    )


def _tool_to_call(body: JsonObject, messages: list[JsonObject], tools: list[JsonObject]) -> JsonObject | None:
    """The function to call: the one asked for, else the first, unless a tool has just answered or calls are off."""
    functions: list[JsonObject] = [tool["function"] for tool in tools if isinstance(tool.get("function"), dict)]
    wish = body.get("tool_choice", "auto")
    if not functions or wish == "none":
        return None
    if isinstance(wish, dict):
        name = as_object(wish.get("function")).get("name")
        return next((function for function in functions if function.get("name") == name), functions[0])
    return None if wish != "required" and messages[-1].get("role") == "tool" else functions[0]


def _filling(prompt: str, model: str, seed: str) -> Filling:
    sheet = wording.sheet_of(prompt, model, seed)
    attributes = {label.lower(): value for _, label, value in wording.attributes_of(prompt)}
    kinds = {kind: value for kind, _, value in wording.attributes_of(prompt)}
    if sheet is None:
        text = wording.answer_of(prompt, model, seed)
        return Filling(text=text.split(". ")[0], named={"description": text, **kinds, **attributes}, lists={})
    heads = dict.fromkeys(("headline", "title"), sheet.headline)
    bodies = dict.fromkeys(("description", "text", "body"), sheet.description)
    lists = dict.fromkeys(("bullets", "features", "key_points", "highlights"), sheet.bullets)
    return Filling(text=sheet.headline, named={**kinds, **attributes, **heads, **bodies}, lists=lists)


def _arguments(tool: JsonObject, prompt: str, model: str, seed: str) -> object:
    return instance_of(tool.get("parameters") or {"type": "object"}, _filling(prompt, model, seed))


def _content(body: JsonObject, prompt: str, model: str, seed: str) -> str:
    wanted = as_object(body.get("response_format"))
    kind = wanted.get("type")
    if kind == "json_schema":
        schema = as_object(wanted.get("json_schema")).get("schema")
        return json.dumps(instance_of(schema, _filling(prompt, model, seed)), ensure_ascii=False)
    if kind == "json_object":
        sheet = wording.sheet_of(prompt, model, seed)
        if sheet is None:
            return json.dumps({"answer": wording.answer_of(prompt, model, seed)}, ensure_ascii=False)
        parts = {"headline": sheet.headline, "description": sheet.description, "bullets": list(sheet.bullets)}
        return json.dumps(parts, ensure_ascii=False)
    return wording.answer_of(prompt, model, seed)


def _events(ask: Ask, head: JsonObject, choices: list[Choice], usage: JsonObject) -> Iterator[JsonObject]:
    """The chunks of a stream; choices take turns piece by piece, as providers send them."""
    place = sampling.UsageInStream(ask=ask, usage=usage)
    common = {**head, "service_tier": "default", "system_fingerprint": "simulated"}

    def chunk(index: int, delta: JsonObject, finish: str | None, *, last: bool = False, sent: int = 0) -> JsonObject:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**common, "choices": [choice], **place.on_chunk(last=last, sent=sent)}

    sent = 0
    for choice in choices:
        yield chunk(choice.index, choice.first_delta(), None)
    for turn in range(max((len(choice.pieces) for choice in choices), default=0)):
        for choice in choices:
            if turn < len(choice.pieces):
                sent += 1
                yield chunk(choice.index, choice.next_delta(choice.pieces[turn]), None, sent=sent)
    for choice in choices:
        yield chunk(choice.index, {}, choice.finish_reason, last=choice is choices[-1], sent=sent)
    if place.extra_chunk:
        yield {**common, "choices": [], "usage": usage}
