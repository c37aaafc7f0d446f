"""Sends the month's calls through the real policies, one by one, as the proxy would ask them. It must never decide anything itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from config.settings import Settings
from config.tables import Tables
from estimators.usage import Usage
from proxy.call import Caller
from proxy.consult import policies_from, prepare_all
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Endpoint
from proxy.policy.candidates import Candidate, Candidates, candidates_from
from proxy.policy.choose import judge
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.decide import decide
from proxy.policy.policies import Policies
from proxy.policy.rule import CallFacts
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules
from tests.month.world import MODELS, REGIONS, Month, Whole

CALLER = Caller(id="studio", forwards_own_key=False)
REFUSED = -1


def chat_endpoint() -> Endpoint:
    """The endpoint that all calls of the month go to."""
    return next(each for each in ENDPOINTS if each.operation == "chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the month: the choice that served each call (REFUSED: none), and what the policies said of how many."""

    choice: Whole
    actions: dict[str, int]


Smallest = Callable[[int, CallFacts, Candidate], Candidate | None]
"""Asked before a call is served, with its number and who would serve it: who serves instead, None: nobody else."""

Settled = Callable[[int, Candidate], None]
"""Told who served a call."""


class Engine:
    """A configuration's policies, ready for calls."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        self.candidates: Candidates = candidates_from(settings, tables.places)
        weighing = settings.weighing
        self.scales = Scales(tables, WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile))
        self.policies: Policies | None = policies_from(settings, tables, self.candidates, self.scales)
        self.places = {
            (model, region): number for number, (model, region) in enumerate((model, region) for model in MODELS for region in REGIONS)
        }
        self._chat = chat_endpoint()

    def facts(self, month: Month, i: int) -> CallFacts:
        """What policies may know of call `i` before it is sent: its answer's length is a forecast."""
        decision = decide(MODELS[0], CALLER, self.candidates, seed=f"call-{i}")
        return CallFacts(
            call_id=f"call-{i}",
            alias=MODELS[0],
            operation=self._chat.operation,
            weighed_as=self._chat.weighed_as,
            path=self._chat.path,
            dialect=self._chat.dialect,
            caller=CALLER,
            tags=month.tags_of(i),
            usage=Usage(
                input_tokens=int(month.input_tokens[i]), output_tokens=self.scales.usual_output_tokens(MODELS[0]), source="estimated"
            ),
            usual=decision.attempts,
        )

    def judged(self, call: CallFacts, conditions: Conditions = UNTOLD) -> Verdict | None:
        """The policies' word on the call, under what holds now; None where none is for it."""
        if self.policies is None or not self.policies.rules.concern(call.alias, call.operation):
            return None
        rule = self.policies.rules.first(call)
        if rule is None:
            return None
        shortlists = self.policies.shortlists
        missing = shortlists.missing(rule, call)
        if missing:
            prepare_all(self.scales, [(each.candidate, each.model) for each in missing], call.weighed_as)
        return judge(rule, call, shortlists.of(rule, call), conditions)

    def number_of(self, candidate: Candidate) -> int:
        """Which of the month's choices it is."""
        return self.places[candidate.pattern, candidate.place.region or ""]

    def run(self, month: Month, instead: Smallest | None = None, settled: Settled | None = None) -> Outcome:
        """All calls in their order; the answers' lengths are learned as they come."""
        choice, actions = np.empty(len(month), dtype=np.int64), dict[str, int]()
        for i in range(len(month)):
            call = self.facts(month, i)
            verdict = self.judged(call)
            action = "none" if verdict is None else verdict.action
            plan = verdict.plan if verdict is not None and verdict.mode == "enforce" else call.usual
            served = plan[0] if plan else None
            if served is not None and instead is not None:
                other = instead(i, call, served)
                if other is not None and other is not served:
                    served, action = other, "routed_by_budget"
            actions[action] = actions.get(action, 0) + 1
            if served is None:
                choice[i] = REFUSED
                continue
            choice[i] = self.number_of(served)
            self.scales.learn(MODELS[0], int(month.output_tokens[i, choice[i] // len(REGIONS)]))
            if settled is not None:
                settled(i, served)
        return Outcome(choice=choice, actions=actions)
