"""Judges an answer that is held, in a thread. It must never fail a call: what cannot be judged is good enough."""

import asyncio
import logging
from typing import Any, NamedTuple

from config.pattern import compiled
from proxy.endpoints.base import Ask
from proxy.endpoints.reading import decoded
from proxy.escalate.hold import Held
from proxy.headers import value_of
from proxy.meter.inflate import inflate_whole
from proxy.meter.reply import read_reply
from proxy.meter.usage import read_usage
from proxy.passage import Passage
from proxy.policy.escalation import Escalation
from proxy.verify.gathered import gathered
from proxy.verify.shortcoming import Checks, is_callers_cut, shortcoming_of
from proxy.verify.wanted import FREELY, Wanted, wanted_by
from proxy.verify.written import choices_of

_log = logging.getLogger("grammage.escalate")
TROUBLE = (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What judging may raise for an answer or a schema that nobody thought of."""


class Judged(NamedTuple):
    """shortcoming: in a word, None where nothing is amiss. by_cap: the policy's own limit cut the answer."""

    shortcoming: str | None
    by_cap: bool


async def judged(passage: Passage, escalation: Escalation, held: Held) -> Judged:
    """What the answer falls short of."""
    try:
        return await asyncio.to_thread(_of_held, passage, escalation, held)
    except TROUBLE as error:
        _log.warning("call %s: its answer could not be checked: %s", passage.call_id, type(error).__name__)
        return Judged(None, by_cap=False)


def _of_held(passage: Passage, escalation: Escalation, held: Held) -> Judged:
    body, endpoint = _plain(held), passage.ask.endpoint
    if held.relay is not None:
        return judged_as(escalation, passage.ask, gathered(endpoint.operation, body), held.relay.usage_raw)
    return judged_as(escalation, passage.ask, decoded(body), read_reply(body, endpoint.dialect).usage_raw)


def judged_as(escalation: Escalation, asked: Ask, answer: Any, usage_raw: bytes | None) -> Judged:
    """What a whole answer to `asked`, the call as it was sent, falls short of. usage_raw: what it says of its usage, as it stands there."""
    endpoint, said = asked.endpoint, escalation.said
    choices = choices_of(endpoint.operation, answer)
    own, sent = escalation.ask.max_output_tokens, asked.max_output_tokens
    is_cut = any(each.cut for each in choices)
    usage = (endpoint.usage_reader or read_usage)(usage_raw) if usage_raw else None
    by_caller = is_cut and is_callers_cut(own, sent, None if usage is None else usage.output_tokens, len(choices))
    checks = Checks(when=frozenset(said.when), must_match=None if said.must_match is None else compiled(said.must_match))
    found = shortcoming_of(checks, choices, _wanted(escalation), cut_by_caller=by_caller)
    return Judged(found, by_cap=is_cut and not by_caller and sent != own)


def _wanted(escalation: Escalation) -> Wanted:
    """What the request asks for; it is read only where that matters."""
    if "invalid_json" not in escalation.said.when:
        return FREELY
    return wanted_by(escalation.ask.endpoint.operation, decoded(escalation.ask.asked))


def _plain(held: Held) -> bytes:
    encoding = value_of(held.reply.headers, b"content-encoding")
    return (inflate_whole(encoding, held.body) or b"") if encoding and held.relay is None else held.body
