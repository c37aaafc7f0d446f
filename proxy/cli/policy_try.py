"""Holds a described call against the policies, with nothing sent. It must never print."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from config.policy_cases import CaseCall
from config.settings import Settings
from config.tables import Tables
from proxy.call import Caller
from proxy.cli.policy_beside import LACKS_PURPOSE, MISSING, Beside, beside_of, with_purpose
from proxy.consult import MARKET, Consulted, carried_out, facts_of, policies_from, prepare_all, ready_to_escalate, refusal
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Ask, Endpoint
from proxy.endpoints.parse import parse
from proxy.errors import BadRequest, PolicyRefused
from proxy.escalate.judge import judged_as
from proxy.meter.reply import read_reply
from proxy.policy.candidates import candidates_from
from proxy.policy.choose import capped, judge
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.decide import Decision, decide
from proxy.policy.hours import HourFigure
from proxy.policy.rule import CallFacts
from proxy.policy.verdict import Verdict
from proxy.reuse.identity import form_of
from proxy.weigh import Scales, WeighingRules

BYTES_PER_TOKEN = 4
SHORT_TOKENS = 20
NOT_ESCALATED = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a described call. verdict: None where no policy is for it. decision: None where it is refused, as `refused` says.

    escalated: what the described answer falls short of, `none` where nobody else is asked; None where none is described. reuses: an
    answer to an identical call may serve it. beside: what is asked of it besides.
    """

    call: CallFacts
    verdict: Verdict | None
    decision: Decision | None
    refused: str = ""
    escalated: str | None = None
    reuses: bool = False
    beside: Beside = field(default_factory=Beside)


class Trial:
    """The policies of a configuration, ready to be asked."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        weighing = settings.weighing
        self._settings = settings
        self._candidates = candidates_from(settings, tables.places)
        rules = WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))
        self._scales = Scales(tables, rules)
        self._policies = policies_from(settings, tables, self._candidates, self._scales)

    def run(self, described: CaseCall) -> Tried:
        """What the policies make of the call. Raises GrammageError where the proxy would refuse it without any policy."""
        ask, caller = _ask(described), self._caller(described.key)
        decision = decide(
            ask.alias, caller, self._candidates, seed=described.id, asked_policy=described.policy, dialect=ask.endpoint.dialect
        )
        tags = tuple({**described.tags, **dict(caller.tags)}.items())
        call = facts_of(self._scales, ask, decision, call_id=described.id, caller=caller, tags=tags, asked=described.policy)
        call = _with_lengths(call, described)
        rule = None if self._policies is None else self._policies.rules.first(call)
        if self._policies is None or rule is None:
            beside = beside_of(self._settings, None, call.operation, dict(tags), caller)
            return Tried(call=call, verdict=None, decision=decision, beside=beside)
        shortlists = self._policies.shortlists
        prepare_all(self._scales, [(each.candidate, each.model) for each in shortlists.missing(rule, call)], call.weighed_as)
        judged = judge(rule, call, shortlists.of(rule, call), _told(described))
        verdict = with_purpose(self._settings, judged, dict(tags))
        beside = beside_of(self._settings, verdict, call.operation, dict(tags), caller)
        call = replace(call, usage=capped(call.usage, rule.policy.apply, call.choices))
        if verdict.mode == "enforce" and verdict.action == "refused":
            why = LACKS_PURPOSE if verdict.reason == MISSING else f"{PolicyRefused.code}: {refusal(verdict)}"
            return Tried(call=call, verdict=verdict, decision=None, refused=why, beside=beside)
        consulted = carried_out(ask, decision, verdict, market=dict(tags).get(MARKET))
        consulted = ready_to_escalate(self._policies, rule, call, ask, consulted)
        escalated = None if described.answer is None else _escalated(consulted, described.answer)
        reuses = _reuses(consulted.ask, verdict)
        return Tried(call=call, verdict=verdict, decision=consulted.decision, escalated=escalated, reuses=reuses, beside=beside)

    def _caller(self, name: str | None) -> Caller:
        if name is None:
            return Caller(id="case", forwards_own_key=self._settings.auth_mode == "passthrough")
        key = next((key for key in self._settings.keys if key.name == name), None)
        if key is None:
            raise BadRequest(f"there is no key {name!r} under `keys:`; name one of those.", code="unknown_key")
        models = None if key.models is None else frozenset(key.models)
        return Caller(id=name, role=key.role, tags=tuple(key.tags.items()), models=models, forwards_own_key=False)


def _reuses(ask: Ask, verdict: Verdict) -> bool:
    if verdict.reuse_s is None or verdict.apply is None or ask.form is not None:
        return False
    any_temperature = verdict.apply.reuse_any_temperature
    return form_of(ask.endpoint.operation, ask.body, any_temperature=any_temperature) is not None


def _escalated(consulted: Consulted, answer: dict[str, Any]) -> str:
    """Why a larger model is asked, `none` where it is not."""
    decision, ask = consulted.decision, consulted.ask
    escalation, first = decision.escalation, decision.attempts[0]
    if escalation is None or not escalation.is_above(first, first.name_of(ask.alias)):
        return NOT_ESCALATED
    raw = read_reply(json.dumps(answer).encode(), ask.endpoint.dialect).usage_raw
    return judged_as(escalation, ask, answer, raw).shortcoming or NOT_ESCALATED


def _told(described: CaseCall) -> Conditions:
    """What live sources are said to tell; nothing has been timed."""
    figures = {zone: HourFigure(gco2e_per_kwh, "stated") for zone, gco2e_per_kwh in described.live.items()}
    return replace(UNTOLD, figures=figures) if figures else UNTOLD


def _ask(described: CaseCall) -> Ask:
    """The call as its request would be read."""
    endpoint = _endpoint(described.operation)
    text = "x" * (BYTES_PER_TOKEN * (SHORT_TOKENS if described.input_tokens is None else described.input_tokens))
    content: object = [{"role": "user", "content": text}] if endpoint.content in ("messages", "contents") else text
    body = {"model": described.alias, endpoint.content: content, **described.body}
    return parse(endpoint, json.dumps(body).encode(), model=described.alias if "{model}" in endpoint.path else None)


def _endpoint(operation: str) -> Endpoint:
    found = next((each for each in ENDPOINTS if each.operation == operation), None)
    if found is None or found.form == "only":
        raise BadRequest(f"calls of kind {operation!r} come as forms, which a case cannot describe; describe another kind.")
    return found


def _with_lengths(call: CallFacts, described: CaseCall) -> CallFacts:
    """The facts with the lengths that are stated."""
    usage = call.usage
    if described.input_tokens is not None:
        usage = replace(usage, input_tokens=described.input_tokens)
    if described.output_tokens is not None:
        usage = replace(
            usage, output_tokens=described.output_tokens, image_output_tokens=min(usage.image_output_tokens, described.output_tokens)
        )
    return replace(call, usage=usage)
