"""What a policy has done when an answer falls short. It must never hold what was not decided."""

from dataclasses import dataclass

from config.policies import Apply, Escalate
from proxy.endpoints.base import Ask
from proxy.policy.candidates import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who is asked when the first answer falls short of `said`, in turn. acts: False where the policy only watches.

    ask: the call as its caller sent it; apply, market: what the policy caps of it, and the call's tag that capping goes by.
    """

    said: Escalate
    plan: tuple[Candidate, ...]
    ask: Ask
    apply: Apply
    market: str | None
    acts: bool

    def is_above(self, candidate: Candidate, model: str) -> bool:
        """False when who served is one of those that would be asked: there is nobody larger then."""
        return not any(each.deployment is candidate.deployment and each.name_of(self.ask.alias) == model for each in self.plan)
