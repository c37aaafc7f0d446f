"""Judges recorded calls anew, with the usage that they really had. It must never pass a guess off as what was decided then."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from config.settings import Settings
from config.tables import Tables
from estimators.quantity import Quantity, ScopeKeys
from estimators.usage import Usage
from proxy.call import Caller
from proxy.consult import policies_from, prepare_all
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Endpoint
from proxy.errors import GrammageError
from proxy.ledger.past import PastAttempt, PastCall
from proxy.policy.candidates import Candidate, candidates_from
from proxy.policy.choose import capped, judge
from proxy.policy.decide import decide
from proxy.policy.rule import OFF, CallFacts, Rule
from proxy.policy.shortlist import Shortlists
from proxy.weigh import WEIGHING_TROUBLE, Scales, WeighingRules

NO_POLICY: Final = "none"
NO_USAGE: Final = "no_usage"
"""Nothing was generated, or nothing was counted."""

INSTEAD: Final = "answered_instead"
"""No provider answered: what it would have used is not known."""

OTHER_KIND: Final = "other_kind"
"""Policies are not for such calls: the lines of a batch, sockets, work that nobody began here."""

NOT_WEIGHED: Final = "not_weighed"

_BY_PATH: Final[Mapping[str, Endpoint]] = {endpoint.path: endpoint for endpoint in ENDPOINTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A deployment with what a call comes to there by the model. shared: what its errors have in common with others."""

    provider: str
    model: str
    region: str | None
    zone: str
    gco2e: Quantity
    water_ml: Quantity
    shared: ScopeKeys

    @property
    def label(self) -> str:
        """The deployment in a word."""
        return f"{self.provider}/{self.model}@{self.region or self.zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What policies make of a recorded call. policy: the one that is for it, `none`: none is. why_not: why it could not be judged.

    baseline: the alias's first deployment; would: who would be asked first, None where nobody would; both None where nothing is weighed.
    changes: whether the two differ at all, in deployment or in usage. altered: whether a cap would have been felt.
    """

    policy: str = NO_POLICY
    mode: str = ""
    action: str = "none"
    reason: str = ""
    why_not: str = ""
    baseline: Served | None = None
    would: Served | None = None
    changes: bool = False
    altered: bool = False


class Bench:
    """The policies of a configuration, ready to judge what is past. callers: who called, by the name of the key."""

    def __init__(self, settings: Settings, tables: Tables, callers: Mapping[str, Caller]) -> None:
        weighing = settings.weighing
        rules = WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))
        self._settings = settings
        self._callers = callers
        self._candidates = candidates_from(settings, tables.places)
        self._scales = Scales(tables, rules)
        self._policies = policies_from(settings, tables, self._candidates, self._scales)

    def judge(self, call: PastCall) -> Judged:
        """The word of the policies on the call."""
        endpoint, last = _BY_PATH.get(call.path), _answering(call)
        if self._policies is None or not self._policies.rules.concern(call.alias, call.operation):
            return Judged()
        if endpoint is None or (call.is_late and call.began == call.call_id):
            return Judged(why_not=OTHER_KIND)
        if call.instead is not None:
            return Judged(why_not=INSTEAD)
        if last is None or last.usage is None:
            return Judged(why_not=NO_USAGE)
        if last.usage.calls > 1:
            return Judged(why_not=OTHER_KIND)
        try:
            facts = self._facts(call, endpoint, last, last.usage)
            rule = self._policies.rules.first(facts)
            return Judged() if rule is None else self._judged(self._policies.shortlists, rule, facts, last)
        except GrammageError as error:
            return Judged(why_not=error.code)
        except WEIGHING_TROUBLE:
            return Judged(why_not=NOT_WEIGHED)

    def _facts(self, call: PastCall, endpoint: Endpoint, last: PastAttempt, usage: Usage) -> CallFacts:
        caller = self._caller(call.caller_id)
        decision = decide(call.alias, caller, self._candidates, seed=call.began, dialect=endpoint.dialect)
        media = usage.media
        return CallFacts(
            call_id=call.began,
            alias=call.alias,
            operation=endpoint.operation,
            weighed_as=endpoint.weighed_as,
            path=endpoint.path,
            dialect=endpoint.dialect,
            caller=caller,
            tags=tuple(sorted(call.tags.items())),
            usage=usage if usage.metered is None else replace(usage, metered=None),
            usual=decision.attempts,
            choices=max(media.images, 1) if media is not None else 1,
            is_bound=endpoint.kept_as is not None and last.is_kept,
            shows=usage.input_images > 0,
            lets_hear=usage.audio_input_tokens > 0 or (media is not None and bool(media.audio_input_seconds)),
            asked=OFF if call.word == OFF else None,
            stream=call.stream,
        )

    def _caller(self, name: str) -> Caller:
        found = self._callers.get(name)
        return Caller(id=name, forwards_own_key=self._settings.auth_mode == "passthrough") if found is None else found

    def _judged(self, shortlists: Shortlists, rule: Rule, facts: CallFacts, last: PastAttempt) -> Judged:
        prepare_all(self._scales, [(each.candidate, each.model) for each in shortlists.missing(rule, facts)], facts.weighed_as)
        verdict = judge(rule, facts, shortlists.of(rule, facts))
        usage = facts.usage
        left = usage if verdict.apply is None else capped(usage, verdict.apply, facts.choices)
        travelled = last.request_bytes + last.response_bytes
        base = verdict.baseline.option.candidate
        first = verdict.plan[0] if verdict.plan else None
        return Judged(
            policy=verdict.policy,
            mode=verdict.mode,
            action=verdict.action,
            reason=verdict.reason,
            baseline=self._served(base, facts, usage, travelled),
            would=None if first is None else self._served(first, facts, left, travelled),
            changes=first is not None and (first is not base or left != usage),
            altered=left != usage,
        )

    def _served(self, candidate: Candidate, facts: CallFacts, usage: Usage, travelled: int) -> Served:
        """What the usage comes to there. Raises what weighing may raise."""
        model = candidate.name_of(facts.alias)
        prepared = self._scales.known(candidate, model, facts.weighed_as) or self._scales.prepare(candidate, model, facts.weighed_as)
        estimate = prepared.estimate(usage, network_bytes=travelled)
        place = candidate.place
        method = f"{estimate.method}@{estimate.method_version}"
        return Served(
            provider=candidate.provider,
            model=model,
            region=place.region,
            zone=place.zone,
            gco2e=estimate.gco2e,
            water_ml=estimate.water_ml,
            shared=ScopeKeys(method, candidate.provider, self._scales.card(candidate, model).id, place.zone),
        )


def _answering(call: PastCall) -> PastAttempt | None:
    """The attempt that answered: the last of which something was counted."""
    return next((attempt for attempt in reversed(call.attempts) if attempt.usage is not None), None)
