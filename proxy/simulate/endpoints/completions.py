"""Speaks POST /v1/completions, the older text form: one or several prompts, unary and streamed.

It must never open a socket or read a clock.
"""

from collections.abc import Iterator

from proxy.simulate import tokens, wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused

_DEFAULT_MOST = 16


def completions(ask: Ask) -> Draft:
    """The answer to one completions request."""
    body = ask.body
    model = sampling.model_of(body)
    prompts = _prompts_of(body)
    most = sampling.most_tokens(body, "max_tokens") or _DEFAULT_MOST
    cuts = []
    for prompt, _ in prompts:
        for choice in range(sampling.choices_of(body)):
            seed = wording.seed_of(model, prompt, body.get("seed"), choice)
            cuts.append(sampling.cut_text(wording.answer_of(prompt, model, seed), body.get("stop"), most))
    output_tokens = sum(len(cut.pieces) for cut in cuts)
    usage = sampling.chat_usage(body, sum(count for _, count in prompts), output_tokens, 0)
    head: JsonObject = {"id": f"cmpl-{ask.call_id}", "object": "text_completion", "created": ask.created_s, "model": model}
    head["system_fingerprint"] = "simulated"
    if body.get("stream") is True:
        return Draft(events=tuple(_events(ask, head, cuts, usage)), model=model, output_tokens=output_tokens)
    choices = [
        {"text": "".join(cut.pieces), "index": index, "logprobs": None, "finish_reason": cut.finish_reason}
        for index, cut in enumerate(cuts)
    ]
    document = {**head, "choices": choices, **ask.usage(usage)}
    return Draft(document=document, model=model, output_tokens=output_tokens)


def _prompts_of(body: JsonObject) -> list[tuple[str, int]]:
    """Every prompt with its tokens; a list of token ids has as many as it is long and no text."""
    prompt = body.get("prompt", "")
    if isinstance(prompt, str):
        return [(prompt, tokens.count(prompt))]
    if isinstance(prompt, list) and prompt:
        if all(isinstance(item, int) for item in prompt):
            return [("", len(prompt))]
        if all(isinstance(item, str) for item in prompt):
            return [(item, tokens.count(item)) for item in prompt]
        if all(isinstance(item, list) for item in prompt):
            return [("", len(item)) for item in prompt]
    raise Refused(400, "Simulated: 'prompt' must be a text, token ids, or a list of these.", param="prompt")


def _events(ask: Ask, head: JsonObject, cuts: list[sampling.CutText], usage: JsonObject) -> Iterator[JsonObject]:
    place = sampling.UsageInStream(ask=ask, usage=usage)
    sent = 0
    for index, cut in enumerate(cuts):
        for piece in cut.pieces:
            sent += 1
            choice: JsonObject = {"text": piece, "index": index, "logprobs": None, "finish_reason": None}
            yield {**head, "choices": [choice], **place.on_chunk(last=False, sent=sent)}
        choice = {"text": "", "index": index, "logprobs": None, "finish_reason": cut.finish_reason}
        yield {**head, "choices": [choice], **place.on_chunk(last=index == len(cuts) - 1, sent=sent)}
    if place.extra_chunk:
        yield {**head, "choices": [], "usage": usage}
