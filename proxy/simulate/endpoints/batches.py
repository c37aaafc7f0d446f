"""Speaks /v1/batches: a file of requests is answered line by line, and told the first time the batch is asked for. It must never wait.

A batch is validating when it is made and complete when it is asked for; its usage is the sum over its lines.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.simulate.endpoints.chat import chat
from proxy.simulate.endpoints.completions import completions
from proxy.simulate.endpoints.embeddings import embeddings
from proxy.simulate.endpoints.files import found_file, json_body, keep_file, lines_of, listed
from proxy.simulate.endpoints.responses import responses
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_object
from proxy.simulate.shelf import Kept

_SPOKEN: Mapping[str, Callable[[Ask], Draft]] = MappingProxyType(
    {"/v1/chat/completions": chat, "/v1/completions": completions, "/v1/embeddings": embeddings, "/v1/responses": responses}
)
_MOST_LINES = 2000
_WINDOW_S = 24 * 3600


def batches(ask: Ask) -> Draft:
    """A batch is made, or those that are there are listed."""
    if ask.asked.method == "GET":
        return listed(ask, "batch")
    body = json_body(ask)
    endpoint = body.get("endpoint")
    if not isinstance(endpoint, str) or endpoint not in _SPOKEN:
        raise Refused(400, f"Simulated: endpoint must be one of {', '.join(_SPOKEN)}.", param="endpoint")
    lines = lines_of(found_file(ask, body.get("input_file_id")).content)
    if not lines or len(lines) > _MOST_LINES:
        raise Refused(400, f"Simulated: a batch has 1 to {_MOST_LINES} lines, got {len(lines)}.", param="input_file_id")
    document: JsonObject = {
        "id": f"batch_{ask.call_id}",
        "object": "batch",
        "endpoint": endpoint,
        "input_file_id": body["input_file_id"],
        "completion_window": body.get("completion_window", "24h"),
        "status": "validating",
        "created_at": ask.created_s,
        "expires_at": ask.created_s + _WINDOW_S,
        "completed_at": None,
        "output_file_id": None,
        "error_file_id": None,
        "errors": None,
        "metadata": body.get("metadata"),
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
    }
    ask.shelf.keep(document["id"], Kept(document=document, late=True))
    return Draft(document=document)


def batch(ask: Ask) -> Draft:
    """One batch; what it waited for is done now."""
    found = _found(ask, ask.asked.path.rpartition("/")[2])
    if found.late:
        found.late = False
        found.document = _completed(ask, found.document)
    return Draft(document=found.document)


def cancel_batch(ask: Ask) -> Draft:
    """Ends a batch of which nothing was done."""
    found = _found(ask, ask.asked.path.split("/")[-2])
    if not found.late:
        raise Refused(409, "Simulated: a batch that has ended cannot be cancelled.", code="batch_ended")
    found.late = False
    found.document = {**found.document, "status": "cancelled", "cancelled_at": ask.created_s}
    return Draft(document=found.document)


def _found(ask: Ask, name: str) -> Kept:
    found = ask.shelf.find(name)
    if found is None or found.document.get("object") != "batch":
        raise Refused(404, f"Simulated: there is no batch '{name[:80]}' here.", code="batch_not_found")
    return found


def _completed(ask: Ask, document: JsonObject) -> JsonObject:
    """The batch with its lines answered: output file, counts and usage."""
    lines = lines_of(found_file(ask, document["input_file_id"]).content)
    answers = [_answered(ask, document["endpoint"], line, number) for number, line in enumerate(lines)]
    good = [answer for answer in answers if answer["response"]["status_code"] == 200]
    output = f"file-{document['id'].removeprefix('batch_')}1"
    written = b"".join(json.dumps(answer, separators=(",", ":")).encode() + b"\n" for answer in answers)
    keep_file(ask, output, written, filename=f"{document['id']}_output.jsonl", purpose="batch_output")
    models = {str(answer["response"]["body"].get("model")) for answer in good}
    told = {"usage": _summed(good), "model": models.pop()} if good and ask.usage_place != "nowhere" and len(models) == 1 else {}
    counts = {"total": len(answers), "completed": len(good), "failed": len(answers) - len(good)}
    return {**document, "status": "completed", "completed_at": ask.created_s, "output_file_id": output, "request_counts": counts, **told}


def _answered(ask: Ask, endpoint: str, line: JsonObject, number: int) -> JsonObject:
    """One line of the output."""
    call_id = f"{ask.call_id}{number}"
    try:
        body = {name: value for name, value in as_object(line.get("body")).items() if name not in ("stream", "background")}
        draft = _SPOKEN[endpoint](replace(ask, body=body, call_id=call_id, usage_place="as_asked"))
        status, document = 200, draft.document
    except Refused as refused:
        status, document = refused.status, refused.document()
    told = {"status_code": status, "request_id": f"req_{call_id}", "body": document}
    return {"id": f"batch_req_{call_id}", "custom_id": line.get("custom_id"), "response": told, "error": None}


def _summed(answers: list[JsonObject]) -> JsonObject:
    usages = [as_object(answer["response"]["body"].get("usage")) for answer in answers]

    def total(*names: str) -> int:
        return sum(next((int(usage[name]) for name in names if usage.get(name) is not None), 0) for usage in usages)

    def part(outer: tuple[str, ...], inner: str) -> int:
        return sum(int(as_object(usage.get(name)).get(inner) or 0) for usage in usages for name in outer)

    read, wrote = total("input_tokens", "prompt_tokens"), total("output_tokens", "completion_tokens")
    cached = part(("input_tokens_details", "prompt_tokens_details"), "cached_tokens")
    reasoned = part(("output_tokens_details", "completion_tokens_details"), "reasoning_tokens")
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": read + wrote,
    }
