"""Sends the month's calls through the real policies, one by one, as the proxy would ask them. It must never decide anything itself."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from config.settings import Settings
from config.tables import Tables
from estimators.prepared import Prepared
from estimators.usage import Usage
from proxy.afford import MOST_COMPARED
from proxy.call import Caller
from proxy.consult import policies_from, prepare_all
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Endpoint
from proxy.endpoints.parse import parse
from proxy.policy.candidates import Candidate, Candidates, candidates_from
from proxy.policy.choose import judge
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.decide import decide
from proxy.policy.hours import HourFigure
from proxy.policy.latency import Latencies, latency_key
from proxy.policy.policies import Policies
from proxy.policy.rule import CallFacts, Rule
from proxy.policy.verdict import Verdict
from proxy.weigh import Scales, WeighingRules
from tests.month.weights import shape_of, shapes
from tests.month.world import MODELS, REGIONS, Month, Whole

CALLER = Caller(id="studio", forwards_own_key=False)
REFUSED = -1
SECONDS_PER_HOUR, MS_PER_S = 3600.0, 1000.0
FLOW = "production"
"""How the hourly shapes were made: from what each zone generates."""


def chat_endpoint() -> Endpoint:
    """The endpoint that all calls of the month go to."""
    return next(each for each in ENDPOINTS if each.operation == "chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the month: the choice that served each call (REFUSED: none), and what the policies said of how many."""

    choice: Whole
    actions: dict[str, int]


Smallest = Callable[[int, CallFacts, Verdict | None], Candidate | None]
"""Asked before a call is served, with its number and what the policies say: who serves instead, None: nobody else."""

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
        self._yearly = {each.zone: each.gco2e_per_kwh.value for each in (one.place for one in self.candidates.of(MODELS[0]))}
        self._shapes = shapes()
        self._latencies = Latencies()
        self._chat = chat_endpoint()
        self._ask = parse(self._chat, json.dumps({"model": MODELS[0], "messages": [{"role": "user", "content": ""}]}).encode())

    def facts(self, month: Month, i: int) -> CallFacts:
        """What policies may know of call `i` before it is sent: its answer's length is a forecast."""
        decision, tags = decide(MODELS[0], CALLER, self.candidates, seed=f"call-{i}"), month.tags_of(i)
        return CallFacts(
            call_id=f"call-{i}",
            alias=MODELS[0],
            operation=self._chat.operation,
            weighed_as=self._chat.weighed_as,
            path=self._chat.path,
            dialect=self._chat.dialect,
            caller=CALLER,
            tags=tags,
            usage=Usage(
                input_tokens=int(month.input_tokens[i]),
                output_tokens=self.scales.likely_output_tokens(self._ask, tags),
                source="estimated",
            ),
            usual=decision.attempts,
        )

    def judged(self, call: CallFacts, hour: int = 0) -> Verdict | None:
        """The policies' word on the call, under what holds in that hour; None where none is for it."""
        if self.policies is None or not self.policies.rules.concern(call.alias, call.operation):
            return None
        rule = self.policies.rules.first(call)
        if rule is None:
            return None
        shortlists = self.policies.shortlists
        missing = shortlists.missing(rule, call)
        if missing:
            prepare_all(self.scales, [(each.candidate, each.model) for each in missing], call.weighed_as)
        verdict = judge(rule, call, shortlists.of(rule, call), self._conditions(rule, hour))
        if self.policies.hours is not None and verdict.figures is not None and verdict.choice is not None:
            self.policies.hours.note(verdict.policy, call.alias, verdict.choice.zone)
        return verdict

    def _conditions(self, rule: Rule, hour: int) -> Conditions:
        """What live sources would tell in that hour, and how fast answers were lately."""
        hours = self.policies.hours if self.policies is not None and rule.needs_hours else None
        if hours is not None and hours.is_due(hour, hour * SECONDS_PER_HOUR):
            told = {zone: HourFigure(self._yearly[zone] * shape_of(zone, self._shapes)[hour], FLOW) for zone in hours.zones}
            hours.renew(hour, told, hour * SECONDS_PER_HOUR)
        return Conditions(
            pace=self._latencies.pace(hour * SECONDS_PER_HOUR) if rule.needs_pace else UNTOLD.pace,
            figures=UNTOLD.figures if hours is None else hours.figures,
            anchors=UNTOLD.anchors if hours is None else hours.anchors,
        )

    def forecast_gco2e(self, call: CallFacts, plan: Sequence[Candidate]) -> float:
        """What budgets reserve: the heaviest deployment of the plan, for an answer as long as nine of ten such are at most."""
        usage = replace(call.usage, output_tokens=self.scales.high_output_tokens(self._ask, call.tags))
        return max(self.prepared(each, call).estimate(usage).gco2e.mean for each in plan[:MOST_COMPARED])

    def prepared(self, candidate: Candidate, call: CallFacts) -> Prepared:
        """What weighs such calls of a deployment."""
        model = candidate.name_of(call.alias)
        known = self.scales.known(candidate, model, call.weighed_as)
        return known if known is not None else self.scales.prepare(candidate, model, call.weighed_as)

    def _learn(self, month: Month, i: int, choice: int, served: Candidate) -> None:
        """What an answer teaches: how long they are, and how fast they come."""
        model, region = choice // len(REGIONS), choice % len(REGIONS)
        written = int(month.output_tokens[i, model])
        self.scales.learn(MODELS[0], written, month.tags_of(i))
        if self.policies is not None and self.policies.times:
            key = latency_key(served, served.name_of(MODELS[0]), self._chat.weighed_as)
            at_s = float(month.hour[i]) * SECONDS_PER_HOUR
            self._latencies.take(key, float(month.latency_ms[i, model, region]) / MS_PER_S, written, at_s)

    def number_of(self, candidate: Candidate) -> int:
        """Which of the month's choices it is."""
        return self.places[candidate.pattern, candidate.place.region or ""]

    def run(self, month: Month, instead: Smallest | None = None, settled: Settled | None = None) -> Outcome:
        """All calls in their order; the answers' lengths are learned as they come."""
        choice, actions = np.empty(len(month), dtype=np.int64), dict[str, int]()
        for i in range(len(month)):
            call = self.facts(month, i)
            verdict = self.judged(call, int(month.hour[i]))
            action: str = "none" if verdict is None else verdict.action
            plan = verdict.plan if verdict is not None and verdict.mode == "enforce" else call.usual
            served = plan[0] if plan else None
            if served is not None and instead is not None:
                other = instead(i, call, verdict)
                if other is not None and other is not served:
                    served, action = other, "routed_by_budget"
            actions[action] = actions.get(action, 0) + 1
            if served is None:
                choice[i] = REFUSED
                continue
            choice[i] = self.number_of(served)
            self._learn(month, i, int(choice[i]), served)
            if settled is not None:
                settled(i, served)
        return Outcome(choice=choice, actions=actions)
