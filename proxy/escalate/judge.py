"""Judges an answer that is held, in a thread. It must never fail a call: what cannot be judged is good enough."""

import asyncio
import logging
from typing import NamedTuple

from config.pattern import compiled
from proxy.endpoints.base import decoded
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
        return await asyncio.to_thread(_judged, passage, escalation, held)
    except TROUBLE as error:
        _log.warning("call %s: its answer could not be checked: %s", passage.call_id, type(error).__name__)
        return Judged(None, by_cap=False)


def _judged(passage: Passage, escalation: Escalation, held: Held) -> Judged:
    endpoint, said = passage.ask.endpoint, escalation.said
    body = _plain(held)
    answer = decoded(body) if held.relay is None else gathered(endpoint.operation, body)
    choices = choices_of(endpoint.operation, answer)
    own, sent = escalation.ask.max_output_tokens, passage.ask.max_output_tokens
    is_cut = any(each.cut for each in choices)
    by_caller = is_cut and is_callers_cut(own, sent, _output_tokens(passage, held, body), len(choices))
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


def _output_tokens(passage: Passage, held: Held, body: bytes) -> int | None:
    """What the provider says that it wrote; None where it does not."""
    endpoint = passage.ask.endpoint
    raw = read_reply(body, endpoint.dialect).usage_raw if held.relay is None else held.relay.usage_raw
    usage = (endpoint.usage_reader or read_usage)(raw) if raw else None
    return None if usage is None else usage.output_tokens
