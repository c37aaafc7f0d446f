"""Speaks POST /v1/chat/completions: unary and streamed, tools, structured output, several choices.

It must never open a socket or read a clock.
"""

import json
from collections.abc import Iterator

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.choice import Choice, choose
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_list


def chat(ask: Ask) -> Draft:
    """The answer to one chat request."""
    body = ask.body
    model = sampling.model_of(body)
    messages = _messages_of(body)
    tools = [tool for tool in as_list(body.get("tools")) if isinstance(tool, dict)]
    prompt = "\n".join(tokens.text_of(message.get("content")) for message in messages)
    prompt_tokens = tokens.count_messages(messages, json.dumps(tools) if tools else "")
    choices = [choose(body, index, messages, tools, prompt) for index in range(sampling.choices_of(body))]
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
        **ask.usage(usage),
        "service_tier": "default",
        "system_fingerprint": "simulated",
    }
    return Draft(document=document, model=model, output_tokens=output_tokens)


def _messages_of(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "Simulated: 'messages' must be a list with at least one message.", param="messages")
    return messages


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
