"""Asks the policies about a call, and does what they say of its plan and its bytes. It must never act for a policy that only watches."""

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from config.policies import Apply
from config.settings import Settings
from config.tables import Tables
from proxy.call import Caller
from proxy.endpoints.base import Ask
from proxy.endpoints.parse import parse
from proxy.endpoints.responses import COMPACT
from proxy.errors import PolicyRefused
from proxy.late.whose import STORED
from proxy.moment import conditions_for, note_choice
from proxy.policy import language
from proxy.policy.alter import altered, fellow_readers
from proxy.policy.alter_form import altered_form
from proxy.policy.candidates import Candidate, Candidates
from proxy.policy.choose import judge
from proxy.policy.decide import Decision
from proxy.policy.escalation import Escalation
from proxy.policy.hours import Hours
from proxy.policy.ladder import Ladder
from proxy.policy.option import HEARD, SHOWN, Options, needs_of
from proxy.policy.policies import Policies
from proxy.policy.rule import CallFacts, Rule, Rules
from proxy.policy.shortlist import Shortlists
from proxy.policy.verdict import Verdict
from proxy.rooms import Rooms
from proxy.upstream.litellm_calls import call_for
from proxy.weigh import WEIGHING_TROUBLE, Scales

_log = logging.getLogger("grammage.policy")
MARKET = "market"
"""The tag that tells where what is written will be read."""

NOT_KEPT = b"false"
"""What a request says of `store` whose answer no provider is to keep."""


class Consulted(NamedTuple):
    """A call as policies leave it."""

    ask: Ask
    decision: Decision


async def consult(
    rooms: Rooms, ask: Ask, decision: Decision, *, call_id: str, caller: Caller, tags: tuple[tuple[str, str], ...], asked: str | None
) -> Consulted:
    """The call under the policy that is for it; as it came where none is.

    Raises PolicyRefused when a policy lets nobody serve it, BadRequest (invalid_header) when the caller names a policy that there is not.
    """
    policies = rooms.policies
    if policies is None or not (asked or policies.rules.concern(ask.alias, ask.endpoint.operation)):
        return Consulted(ask=ask, decision=decision)
    call = facts_of(rooms.scales, ask, decision, call_id=call_id, caller=caller, tags=tags, asked=asked)
    rule = policies.rules.first(call)
    if rule is None:
        return Consulted(ask=ask, decision=decision)
    try:
        await prepare(rooms.scales, policies.shortlists, rule, call)
        verdict = judge(rule, call, policies.shortlists.of(rule, call), conditions_for(rooms, policies, rule))
    except WEIGHING_TROUBLE as error:
        _log.warning("policy %s cannot judge calls of %s: %s", rule.named, ask.alias[:64], type(error).__name__)
        if rule.policy.mode == "enforce" and rule.policy.otherwise == "refuse":
            rooms.observer.observe_refusal(rule.named)
            raise PolicyRefused(f"policy {rule.named!r} cannot judge this call, and lets none through that it cannot judge.") from error
        return Consulted(ask=ask, decision=decision)
    if verdict.mode == "enforce" and verdict.action == "refused":
        rooms.observer.observe_refusal(verdict.policy)
        raise PolicyRefused(refusal(verdict))
    if verdict.figures is not None:
        note_choice(policies, ask.alias, verdict)
    consulted = carried_out(ask, decision, verdict, market=dict(tags).get(MARKET))
    return consulted if rule.policy.escalate is None else ready_to_escalate(policies, rule, call, ask, consulted)


def policies_from(
    settings: Settings, tables: Tables, candidates: Candidates, scales: Scales, before: Policies | None = None
) -> Policies | None:
    """The policies in force; None where there are none, or all are off. before: those until now, whose zones calls are held to.

    Raises StartError for a condition that is none.
    """
    rules = Rules(settings.policies, _tell)
    if any(policy.apply.concise and policy.mode == "enforce" for policy in settings.policies):
        language.prepare()
    options = Options(candidates, settings, tables.catalogue.resolve)
    shortlists, ladder = Shortlists(options, scales.known, _is_translated), Ladder(options, _is_translated)
    if not rules:
        return None
    earlier = None if before is None else before.hours
    hours = Hours(_zones(candidates), earlier) if any(rule.needs_hours for rule in rules) else None
    return Policies(rules=rules, shortlists=shortlists, ladder=ladder, hours=hours, times=any(rule.needs_pace for rule in rules))


def _zones(candidates: Candidates) -> set[str]:
    """Grid zones in which somebody is known to be deployed."""
    rows = (*candidates.exact.values(), *(row for _, row in candidates.patterns))
    return {each.place.zone for row in rows for each in row if not each.place.assumed}


def _tell(policy: str, reason: str) -> None:
    _log.warning("policy %s: its condition could not be told of a call, which it is not for then; said once: %s", policy, reason)


def _is_translated(path: str) -> bool:
    return call_for(path) is not None


def facts_of(
    scales: Scales, ask: Ask, decision: Decision, *, call_id: str, caller: Caller, tags: tuple[tuple[str, str], ...], asked: str | None
) -> CallFacts:
    """What policies may know of the call."""
    endpoint = ask.endpoint
    return CallFacts(
        call_id=call_id,
        alias=ask.alias,
        operation=endpoint.operation,
        weighed_as=endpoint.weighed_as,
        path=endpoint.path,
        dialect=endpoint.dialect,
        caller=caller,
        tags=tags,
        usage=scales.likely_usage(ask, tags),
        usual=decision.attempts,
        choices=ask.whole("n") or 1,
        is_bound=_is_bound(ask),
        shows=any(mark in ask.asked for mark in SHOWN),
        lets_hear=any(mark in ask.asked for mark in HEARD),
        asked=asked,
        stream=ask.stream,
        needs=needs_of(ask),
    )


async def prepare(scales: Scales, shortlists: Shortlists, rule: Rule, call: CallFacts) -> None:
    """Has a method ready for everybody who may serve; in a thread, once per kind of call. One that cannot be weighed is left out."""
    missing = shortlists.missing(rule, call)
    if missing:
        await asyncio.to_thread(prepare_all, scales, [(each.candidate, each.model) for each in missing], call.weighed_as)


def prepare_all(scales: Scales, missing: list[tuple[Candidate, str]], weighed_as: str) -> None:
    """Has a method ready for each; one that cannot be weighed is left out. Takes milliseconds each."""
    for candidate, model in missing:
        try:
            scales.prepare(candidate, model, weighed_as)
        except WEIGHING_TROUBLE as error:
            _log.warning("no policy can choose %s of %s: it cannot be weighed (%s)", model, candidate.provider, type(error).__name__)


def carried_out(ask: Ask, decision: Decision, verdict: Verdict, *, market: str | None = None) -> Consulted:
    """The plan and the bytes as the verdict has them; untouched where it only watches or passes. market: the call's tag, if it has one."""
    reasons = (*decision.reasons, *verdict.rejected)
    if not verdict.acts:
        word = decision.policy if verdict.action == "passthrough" and verdict.mode == "enforce" else verdict.word
        return Consulted(ask=ask, decision=replace(decision, policy=word, reasons=reasons, verdict=verdict))
    made = replace(decision, attempts=verdict.plan, policy=verdict.word, reasons=reasons, verdict=verdict)
    return under_caps(ask, made, verdict.apply, market)


def under_caps(ask: Ask, decision: Decision, apply: Apply | None, market: str | None) -> Consulted:
    """The call under a policy's caps, written for who is tried first, and those of the plan who read it as it is then."""
    endpoint, first = ask.endpoint, decision.attempts[0]
    if apply is None or endpoint.path == COMPACT.path:
        return Consulted(ask=ask, decision=decision)
    if ask.form is not None:
        form, done = altered_form(ask, apply, first, first.name_of(ask.alias))
        return Consulted(ask=form, decision=replace(decision, altered=done))
    body, done = altered(ask.body, apply, endpoint.operation, first, first.name_of(ask.alias), market=market)
    if body is ask.body:
        return Consulted(ask=ask, decision=replace(decision, altered=done))
    plan = fellow_readers(ask.body, done, endpoint.operation, ask.alias, decision.attempts)
    written = parse(endpoint, body, model=ask.alias if "{model}" in endpoint.path else None)
    return Consulted(ask=written, decision=replace(decision, attempts=plan, altered=done))


def ready_to_escalate(policies: Policies, rule: Rule, call: CallFacts, ask: Ask, consulted: Consulted) -> Consulted:
    """The call with what is to be done where its answer falls short; as it is where nobody larger may be asked.

    ask: the call as it came.
    """
    verdict, said = consulted.decision.verdict, rule.policy.escalate
    if verdict is None or said is None or not (verdict.acts or verdict.is_watching):
        return consulted
    plan = policies.ladder.above(rule, call)
    if not plan:
        return consulted
    market = dict(call.tags).get(MARKET)
    escalation = Escalation(said=said, plan=plan, ask=ask, apply=rule.policy.apply, market=market, acts=verdict.acts)
    return Consulted(ask=consulted.ask, decision=replace(consulted.decision, escalation=escalation))


def refusal(verdict: Verdict) -> str:
    """Why nobody may serve the call, by how many deployments fail at what."""
    counts = Counter(reason.rpartition(": ")[2] for reason in verdict.rejected)
    why = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or verdict.reason
    return (
        f"policy {verdict.policy!r} lets no deployment serve this call; what they do not meet: {why}. "
        "Name another model, or ask who runs this proxy."
    )


def _is_bound(ask: Ask) -> bool:
    """True when the call refers to what one provider keeps, or its own answer is to be kept there, to be referred to."""
    endpoint, asked = ask.endpoint, ask.asked
    if endpoint.kept_as is not None and bytes(ask.head.store) != NOT_KEPT:
        return True
    return any(f'"{name}"'.encode() in asked for name in endpoint.refers) or any(mark in asked for mark in STORED)
