"""Writes a policy's caps into a request's bytes. It must never raise what the caller asks for, nor touch any other byte."""

import re
from collections.abc import Callable, Mapping

import msgspec

from config.policies import Apply
from proxy.policy.candidates import Candidate
from proxy.policy.concise import concise
from proxy.splice import find_member, prepend_member, repeats_member

TAKES_COMPLETION_LIMIT = frozenset({"openai", "azure", "simulated"})
"""Providers whose newer chat models refuse `max_tokens`; the others know that name alone."""

LIMITS: Mapping[str, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
"""Fields that bound an answer's length, by operation; each that is there is lowered."""

THOUGHTS = (("thinking", "budget_tokens"), ("reasoning", "max_tokens"))
"""Members in which callers say how long a model may think: Anthropic's, OpenRouter's."""

COUNTED = frozenset({"chat", "completions", "images"})
"""Operations that take `n`."""

GENERATES = frozenset({"generate_content", "stream_generate_content"})
CONFIGS = ("generationConfig", "generation_config")
"""Operations in Gemini's dialect, and where its requests bound their answers."""

DRAWS = "images"
GRADES: tuple[tuple[str, ...], ...] = (("low", "medium", "high"), ("standard", "hd"))
"""Words for how fine a picture is, each row one family's, coarsest first."""

CHOOSES_ITSELF = re.compile(r"gpt-image|chatgpt-image|^sim-")
"""Models that draw as large and fine as they like unless told; they take every size and the words low, medium, high."""

_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*")
UNSET = (None, "auto")


def limit_field(operation: str, candidate: Candidate) -> str | None:
    """The field to write where the caller stated no limit; None: the operation has none that is written here."""
    fields = LIMITS.get(operation)
    if fields is None:
        return None
    return fields[0] if len(fields) == 1 or candidate.provider in TAKES_COMPLETION_LIMIT else fields[-1]


def fellow_readers(body: bytes, done: str, operation: str, alias: str, plan: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Those of the plan who read what was written for its first as that one does; all where only what the caller had stated is lower.

    body: as the caller sent it. done: what was altered.
    """
    names, first = done.split(","), plan[0]
    if "max_tokens" in names and not _stated(body, operation):
        plan = tuple(each for each in plan if limit_field(operation, each) == limit_field(operation, first))
    if any(name in names and _value(body, name) in UNSET for name in ("size", "quality")):
        plan = tuple(each for each in plan if CHOOSES_ITSELF.search(each.name_of(alias)))
    return plan


def altered(body: bytes, apply: Apply, operation: str, candidate: Candidate, model: str, *, market: str | None = None) -> tuple[bytes, str]:
    """The body under the caps, and what was altered, separated by commas; the same body and nothing where it keeps within them.

    model: its name at the provider. market: the call's tag, for the language of what is added.
    A body that is no JSON object, or names a capped field twice, is left alone.
    """
    done: list[str] = []
    for name, cap in _CAPS.items():
        capped = cap(body, apply, operation, candidate, model)
        if capped is not body:
            body = capped
            done.append(name)
    if apply.concise and (shorter := concise(body, operation, market)) is not body:
        body = shorter
        done.append("concise")
    return body, ",".join(done)


def _max_tokens(body: bytes, apply: Apply, operation: str, candidate: Candidate, model: str) -> bytes:
    most, name = apply.max_output_tokens, limit_field(operation, candidate)
    if most is not None and operation in GENERATES:
        return _configured(body, ("maxOutputTokens", "max_output_tokens"), most, adds=True)
    if most is None or name is None:
        return body
    if _thinks_longer(body, most):
        return body
    stated = _stated(body, operation)
    for field in stated:
        body = _lowered(body, field, most)
    return body if stated else _written(body, name, most)


def _stated(body: bytes, operation: str) -> list[str]:
    """The fields in which the caller bounds the answer's length."""
    return [field for field in LIMITS.get(operation, ()) if _value(body, field) is not None]


def _thinks_longer(body: bytes, most: int) -> bool:
    """True when more thoughts are asked for than the cap has room for: providers refuse a limit that is not above them."""
    for name, inner in THOUGHTS:
        told = _value(body, name) if name.encode() in body else None
        budget = told.get(inner) if isinstance(told, dict) else None
        if isinstance(budget, int) and budget >= most:
            return True
    return False


def _n(body: bytes, apply: Apply, operation: str, candidate: Candidate, model: str) -> bytes:
    if apply.n_at_most is not None and operation in GENERATES:
        return _configured(body, ("candidateCount", "candidate_count"), apply.n_at_most, adds=False)
    return body if apply.n_at_most is None or operation not in COUNTED else _lowered(body, "n", apply.n_at_most)


def _configured(body: bytes, names: tuple[str, str], most: int, *, adds: bool) -> bytes:
    """Gemini's body with a number in its generationConfig lowered, however it is spelt; with `adds`, stated where it was not.

    A body that has the config twice is left alone: which one counts is the provider's to say.
    """
    there = [key for key in CONFIGS if find_member(body, key) is not None]
    if len(there) > 1 or any(repeats_member(body, key) for key in there):
        return body
    stated = b'{"%b":%d}' % (names[0].encode(), most)
    if not there:
        is_object = body.lstrip().startswith(b"{") and bool(body.strip(b" \t\r\n{}"))
        return prepend_member(body, b'"generationConfig":' + stated) if adds and is_object else body
    member = find_member(body, there[0])
    config = b"" if member is None else body[member.value : member.end]
    if member is None or not config.startswith(b"{"):
        return body
    capped = config
    known = [name for name in names if _value(config, name) is not None]
    for name in known:
        capped = _lowered(capped, name, most)
    if not known and adds:
        capped = _written(config, names[0], most) if config.strip(b" \t\r\n{}") else stated
    return body if capped == config else body[: member.value] + capped + body[member.end :]


def _size(body: bytes, apply: Apply, operation: str, candidate: Candidate, model: str) -> bytes:
    most = apply.image_size_at_most
    if most is None or operation != DRAWS:
        return body
    asked = _value(body, "size")
    if asked in UNSET:
        return _written(body, "size", most) if CHOOSES_ITSELF.search(model) else body
    found, bound = _SIZE.fullmatch(asked) if isinstance(asked, str) else None, _SIZE.fullmatch(most)
    if found is None or bound is None or int(found[1]) * int(found[2]) <= int(bound[1]) * int(bound[2]):
        return body
    return _written(body, "size", most)


def _quality(body: bytes, apply: Apply, operation: str, candidate: Candidate, model: str) -> bytes:
    most = apply.image_quality_at_most
    if most is None or operation != DRAWS:
        return body
    asked = _value(body, "quality")
    if asked in UNSET:
        return _written(body, "quality", _in_grades(most, GRADES[0])) if CHOOSES_ITSELF.search(model) else body
    grades = next((row for row in GRADES if asked in row), None)
    if grades is None or not isinstance(asked, str):
        return body
    word = _in_grades(most, grades)
    return _written(body, "quality", word) if grades.index(asked) > grades.index(word) else body


def _in_grades(word: str, grades: tuple[str, ...]) -> str:
    """The word in another family's terms: `standard` is `medium` there, and all but `hd` is `standard`."""
    if word in grades:
        return word
    return "medium" if word == "standard" else "standard"


_CAPS: Mapping[str, Callable[[bytes, Apply, str, Candidate, str], bytes]] = {
    "max_tokens": _max_tokens,
    "n": _n,
    "size": _size,
    "quality": _quality,
}


def _value(body: bytes, field: str) -> object:
    """The field's value; None where it is absent, null or cannot be read."""
    member = find_member(body, field)
    if member is None:
        return None
    try:
        found: object = msgspec.json.decode(body[member.value : member.end])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return found


def _lowered(body: bytes, field: str, most: int) -> bytes:
    """The body with a number above `most` lowered to it."""
    asked = _value(body, field)
    if isinstance(asked, bool) or not isinstance(asked, int | float) or asked <= most:
        return body
    return _written(body, field, most)


def _written(body: bytes, field: str, value: int | str) -> bytes:
    """The body with the field set; as it was where it is no object, or has the field twice."""
    if not body.lstrip().startswith(b"{") or repeats_member(body, field):
        return body
    raw = msgspec.json.encode(value)
    member = find_member(body, field)
    if member is not None:
        return body[: member.value] + raw + body[member.end :]
    if not body.strip(b" \t\r\n{}"):
        return body
    return prepend_member(body, msgspec.json.encode(field) + b":" + raw)
