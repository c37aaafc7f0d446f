"""The policies in force with what they know of the deployments. It must never change while a call is under way."""

from dataclasses import dataclass

from proxy.policy.hours import Hours
from proxy.policy.ladder import Ladder
from proxy.policy.rule import Rules
from proxy.policy.shortlist import Shortlists


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The rules in their order, who may serve under each, and who is asked where an answer falls short.

    hours: what live sources tell of the zones compared; None where no policy ranks by it. times: some policy looks at latencies.
    """

    rules: Rules
    shortlists: Shortlists
    ladder: Ladder
    hours: Hours | None = None
    times: bool = False
