"""Reads objects of the OpenAI dialect as work: responses, batches, jobs, runs, clips. It must never fail on one it cannot read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Usage
from proxy.endpoints.responses import with_tools
from proxy.endpoints.videos import clip_of
from proxy.meter.usage import read_usage
from proxy.objects.work import Part, Work
from proxy.splice import decode_leniently

LONGEST_ID = 128
LONGEST_MODEL = 256
MOST_TOKENS = 1e15
MOST_LISTED = 1000
MESSAGE_BATCH = "message_batch"
USAGE_UNKNOWN = "usage_unknown"
"""The work ended well, and nobody says what it took."""

NOT_GENERATED = "not_generated"
_EMPTY = msgspec.Raw(b"")


class _Object(msgspec.Struct):
    """The members that matter, of all kinds; all raw or loose, so that a strange one is no trouble."""

    object: Any = None
    id: Any = None
    type: Any = None
    status: Any = None
    background: Any = None
    model: Any = None
    endpoint: Any = None
    output_file_id: Any = None
    trained_tokens: Any = None
    created_at: Any = None
    completed_at: Any = None
    finished_at: Any = None
    seconds: Any = None
    size: Any = None
    usage: msgspec.Raw = _EMPTY
    tool_usage: msgspec.Raw = _EMPTY
    data: msgspec.Raw = _EMPTY
    response: msgspec.Raw = _EMPTY
    per_model_usage: msgspec.Raw = _EMPTY
    metadata: msgspec.Raw = _EMPTY
    reward: msgspec.Raw = _EMPTY
    processing_status: Any = None
    request_counts: msgspec.Raw = _EMPTY


_OBJECT = msgspec.json.Decoder(_Object)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_GOOD_END = frozenset(("completed", "incomplete", "succeeded"))
_BATCHED_AS: Mapping[str, str] = {"/v1/embeddings": "embeddings", "/v1/moderations": "moderation", "/v1/images/generations": "images"}


def works_in(body: bytes) -> list[Work]:
    """Every object in a JSON answer, or in an event, that is somebody's work; empty for anything else."""
    found = _read(body)
    if found is None:
        return []
    if found.object == "list" or (found.object is None and found.data is not _EMPTY):  # Anthropic's lists do not say what they are
        shown = [work for raw in _listed(found.data) if (inner := _read(raw)) is not None for work in _works(inner, raw)]
        return [replace(work, listed=True) for work in shown]
    if isinstance(found.type, str) and found.response is not _EMPTY:
        inner = _read(bytes(found.response))
        return [] if inner is None else _works(inner, bytes(found.response))
    return _works(found, body)


def _read(body: bytes) -> _Object | None:
    try:
        return decode_leniently(_OBJECT, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _listed(data: msgspec.Raw) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _LIST.decode(data)[:MOST_LISTED]]
    except (msgspec.MsgspecError, RecursionError):
        return []


def _works(found: _Object, body: bytes) -> list[Work]:
    kind = found.type if found.type == MESSAGE_BATCH else found.object
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        reader = _grader if found.reward is not _EMPTY and found.metadata is not _EMPTY else None
    work = None if reader is None else reader(found, body)
    return [] if work is None else [work]


def _response(found: _Object, body: bytes) -> Work | None:
    """A response in the background: others were weighed when they were made."""
    if found.background is not True or not _is_id(found.id):
        return None
    ended = _has_ended(found)
    usage = read_usage(bytes(found.usage)) if ended and found.usage is not _EMPTY else None
    parts = () if usage is None else (Part(usage=with_tools(body, usage), model=_model(found.model)),)
    return _work("responses", found, ended=ended, parts=parts)


def _batch(found: _Object, body: bytes) -> Work | None:
    """A batch; it is known by its output, whose lines tell the same where the batch itself says no model or no usage."""
    if not _is_id(found.id):
        return None
    ended, output = _has_ended(found), found.output_file_id if _is_id(found.output_file_id) else None
    usage = read_usage(bytes(found.usage)) if ended and found.usage is not _EMPTY else None
    model = _model(found.model)
    told = usage is not None and (model is not None or output is None)
    weighed_as = _BATCHED_AS.get(found.endpoint, "chat") if isinstance(found.endpoint, str) else "chat"
    return _work(
        "batches",
        found,
        ended=ended and (told or output is None),
        parts=(_of_batch(found, usage, model, weighed_as),) if told and usage is not None and _is_any(usage) else (),
        reason=NOT_GENERATED if usage is not None and not _is_any(usage) else None,
        identity=output or found.id,
        batched=True,
        follow=output,
    )


def _of_batch(found: _Object, usage: Usage, model: str | None, weighed_as: str) -> Part:
    """What a batch took; its counts are those of all requests that were answered."""
    return Part(usage=replace(usage, calls=max(1, _count(_counts(found).completed))), model=model, weighed_as=weighed_as)


def _job(found: _Object, body: bytes) -> Work | None:
    """A fine-tuning job: what it took is the tokens it was trained on, not those it read or wrote."""
    if not _is_id(found.id):
        return None
    trained = _count(found.trained_tokens)
    usage = Usage(input_tokens=trained, source="provider") if trained else None
    parts = () if usage is None else (Part(usage=usage, model=_model(found.model), weighed_as="training"),)
    return _work("fine_tuning", found, ended=_has_ended(found), parts=parts)


def _run(found: _Object, body: bytes) -> Work | None:
    """A run of an assistant on a thread."""
    if not _is_id(found.id):
        return None
    usage = read_usage(bytes(found.usage)) if found.usage is not _EMPTY else None
    parts = () if usage is None else (Part(usage=usage, model=_model(found.model)),)
    return _work("runs", found, ended=_has_ended(found), parts=parts)


def _eval_run(found: _Object, body: bytes) -> Work | None:
    """A run of an evaluation: usage by model."""
    if not _is_id(found.id):
        return None
    parts = tuple(part for raw in _listed(found.per_model_usage) if (part := _of_model(raw)) is not None)
    return _work("evals", found, ended=_has_ended(found), parts=parts)


class _Counts(msgspec.Struct):
    completed: Any = None
    succeeded: Any = None


def _counts(found: _Object) -> _Counts:
    try:
        return msgspec.json.decode(found.request_counts, type=_Counts)
    except (msgspec.MsgspecError, RecursionError):
        return _Counts()


def _message_batch(found: _Object, body: bytes) -> Work | None:
    """A batch of Anthropic's: only its results say what it took; where none of its requests succeeded there are none."""
    if not _is_id(found.id):
        return None
    in_vain = found.processing_status == "ended" and _counts(found).succeeded == 0
    return Work(operation="batches", object_id=found.id, ended=in_vain, reason=NOT_GENERATED if in_vain else None, batched=True)


class _ModelUsage(msgspec.Struct):
    model_name: Any = None
    invocation_count: Any = None


def _of_model(raw: bytes) -> Part | None:
    usage = read_usage(raw)
    try:
        told = msgspec.json.decode(raw, type=_ModelUsage)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if usage is None:
        return None
    return Part(usage=replace(usage, calls=max(1, _count(told.invocation_count))), model=_model(told.model_name))


class _Graded(msgspec.Struct):
    token_usage: Any = None
    sampled_model_name: Any = None


def _grader(found: _Object, body: bytes) -> Work | None:
    """One run of a grader: a number of tokens in all, nearly all of them read."""
    try:
        graded = msgspec.json.decode(found.metadata, type=_Graded)
    except (msgspec.MsgspecError, RecursionError):
        return None
    tokens = _count(graded.token_usage)
    parts = (Part(usage=Usage(input_tokens=tokens, source="estimated"), model=_model(graded.sampled_model_name)),) if tokens else ()
    return Work(operation="graders", object_id="", ended=True, at_once=True, parts=parts, reason=None if parts else NOT_GENERATED)


def _clip(found: _Object, body: bytes) -> Work | None:
    """A clip that was asked for: its length and size say what it takes."""
    if not _is_id(found.id):
        return None
    usage = clip_of(found.seconds, found.size)
    part = Part(usage=usage, model=_model(found.model), weighed_as="video")
    return Work(operation="videos", object_id=found.id, ended=True, at_once=True, parts=(part,))


_READERS: Mapping[str, Callable[[_Object, bytes], Work | None]] = {
    "response": _response,
    "batch": _batch,
    MESSAGE_BATCH: _message_batch,
    "fine_tuning.job": _job,
    "thread.run": _run,
    "eval.run": _eval_run,
    "video": _clip,
}


def _work(
    operation: str,
    found: _Object,
    *,
    ended: bool,
    parts: tuple[Part, ...],
    reason: str | None = None,
    identity: str = "",
    batched: bool = False,
    follow: str | None = None,
) -> Work:
    """The work; where it ended without figures, the reason is that it failed, or that nobody says."""
    if not parts and reason is None:
        reason = USAGE_UNKNOWN if not ended or found.status in _GOOD_END else found.status
    return Work(
        operation=operation,
        object_id=found.id,
        identity=identity,
        ended=ended,
        parts=parts if ended else (),
        reason=None if parts or not ended else reason,
        batched=batched,
        created_s=_seconds(found.created_at),
        ended_s=_seconds(found.completed_at) or _seconds(found.finished_at),
        follow=follow,
    )


def _has_ended(found: _Object) -> bool:
    return isinstance(found.status, str) and found.status in _ENDS


_ENDS = _GOOD_END | {"failed", "cancelled", "canceled", "expired"}


def _is_any(usage: Usage) -> bool:
    return bool(usage.input_tokens or usage.output_tokens)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable()


def _model(value: Any) -> str | None:
    return value[:LONGEST_MODEL] if isinstance(value, str) and value and value.isprintable() else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS else 0


def _seconds(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11 else None
