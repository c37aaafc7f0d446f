"""Holds a described call against the policies, with nothing sent. It must never print."""

import json
from dataclasses import dataclass, replace

from config.policy_cases import CaseCall
from config.settings import Settings
from config.tables import Tables
from proxy.call import Caller
from proxy.consult import MARKET, carried_out, facts_of, policies_from, prepare_all, refusal
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Ask, Endpoint, parse
from proxy.errors import BadRequest, PolicyRefused
from proxy.policy.candidates import candidates_from
from proxy.policy.choose import capped, judge
from proxy.policy.decide import Decision, decide
from proxy.policy.rule import CallFacts
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules

BYTES_PER_TOKEN = 4
SHORT_TOKENS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a described call. verdict: None where no policy is for it. decision: None where it is refused, as `refused` says."""

    call: CallFacts
    verdict: Verdict | None
    decision: Decision | None
    refused: str = ""


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
            return Tried(call=call, verdict=None, decision=decision)
        shortlists = self._policies.shortlists
        prepare_all(self._scales, [(each.candidate, each.model) for each in shortlists.missing(rule, call)], call.weighed_as)
        verdict = judge(rule, call, shortlists.of(rule, call))
        call = replace(call, usage=capped(call.usage, rule.policy.apply, call.choices))
        if verdict.mode == "enforce" and verdict.action == "refused":
            return Tried(call=call, verdict=verdict, decision=None, refused=f"{PolicyRefused.code}: {refusal(verdict)}")
        return Tried(call=call, verdict=verdict, decision=carried_out(ask, decision, verdict, market=dict(tags).get(MARKET)).decision)

    def _caller(self, name: str | None) -> Caller:
        if name is None:
            return Caller(id="case", forwards_own_key=self._settings.auth_mode == "passthrough")
        key = next((key for key in self._settings.keys if key.name == name), None)
        if key is None:
            raise BadRequest(f"there is no key {name!r} under `keys:`; name one of those.", code="unknown_key")
        models = None if key.models is None else frozenset(key.models)
        return Caller(id=name, role=key.role, tags=tuple(key.tags.items()), models=models, forwards_own_key=False)


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
