"""Speaks POST /v1/decisions: each question is answered by one of its choices, or by a score. It must never weigh an answer's truth."""

import hashlib

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_list, as_object

_MOST_QUESTIONS = 400
_TOKENS_PER_DECISION = 2


def decisions(ask: Ask) -> Draft:
    """The decisions on one request's questions."""
    model = sampling.model_of(ask.body)
    given = as_list(ask.body.get("questions"))
    if not 1 <= len(given) <= _MOST_QUESTIONS:
        raise Refused(400, f"Simulated: ask 1 to {_MOST_QUESTIONS} questions, got {len(given)}.", param="questions")
    context = tokens.text_of(ask.body.get("input"))
    questions = [as_object(question) for question in given]
    read = sum(tokens.count(tokens.text_of(question.get("question")) or str(question)) for question in questions) + tokens.count(context)
    wrote = _TOKENS_PER_DECISION * len(questions)
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + wrote,
    }
    decided = [_decided(question, context, at) for at, question in enumerate(questions)]
    document: JsonObject = {"id": f"dec_{ask.call_id}", "object": "decision", "created_at": ask.created_s, "model": model}
    return Draft(document={**document, "decisions": decided, **ask.usage(usage)}, model=model, output_tokens=wrote)


def _decided(question: JsonObject, context: str, at: int) -> JsonObject:
    """One decision, the same for the same question on the same text."""
    digest = hashlib.sha256(f"{context}\0{question}".encode("utf-8", "surrogatepass")).digest()
    choices = [choice for choice in as_list(question.get("choices")) if isinstance(choice, str)]
    chosen: JsonObject = {"choice": choices[digest[0] % len(choices)]} if choices else {}
    return {"id": question.get("id") or str(at), **chosen, "score": round(digest[1] / 255, 4)}
