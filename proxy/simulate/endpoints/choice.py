"""Writes one choice of a chat: a text, a structured text or a tool call, in pieces that are its tokens. It must never frame an answer."""

import json
from dataclasses import dataclass

from proxy.simulate import wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import JsonObject, as_object
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


def choose(body: JsonObject, index: int, messages: list[JsonObject], tools: list[JsonObject], prompt: str) -> Choice:
    """The choice at `index`; `body` is the request in the shape of a chat."""
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
