"""Holds a socket to what policies require of those who serve. It must never rank: a socket has no forecast, and is opened once."""

from dataclasses import dataclass, replace

from estimators.usage import Usage
from proxy.call import Caller
from proxy.errors import PolicyRefused
from proxy.policy.decide import Decision
from proxy.policy.rule import CallFacts
from proxy.rooms import Rooms

UNTOLD = Usage(source="estimated")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFacts:
    """What is known of a socket, or of a call on it, before it is opened. asked: the caller's own word on policies."""

    call_id: str
    alias: str
    operation: str
    weighed_as: str
    path: str
    caller: Caller
    tags: tuple[tuple[str, str], ...]
    asked: str | None


def governed(rooms: Rooms, facts: SocketFacts, decision: Decision) -> Decision:
    """The plan less those who do not meet what the first enforced policy for such calls requires.

    Raises PolicyRefused where nobody does and the policy lets none through, BadRequest (invalid_header) for a policy that there is not.
    """
    policies = rooms.policies
    if policies is None or not (facts.asked or policies.rules.concern(facts.alias, facts.operation)):
        return decision
    call = CallFacts(
        call_id=facts.call_id,
        alias=facts.alias,
        operation=facts.operation,
        weighed_as=facts.weighed_as,
        path=facts.path,
        dialect="openai",
        caller=facts.caller,
        tags=facts.tags,
        usage=UNTOLD,
        usual=decision.attempts,
        asked=facts.asked,
        stream=True,
    )
    rule = policies.rules.first(call)
    if rule is None or rule.policy.mode != "enforce" or rule.holds_back(facts.call_id):
        return decision
    meeting, rejected = policies.shortlists.meeting(rule, facts.alias)
    plan = tuple(each for each in decision.attempts if each in meeting)
    if plan:
        return replace(decision, attempts=plan, policy=rule.named, reasons=(*decision.reasons, *rejected))
    if rule.policy.otherwise == "refuse":
        rooms.observer.observe_refusal(rule.named)
        why = ", ".join(sorted({reason.rpartition(": ")[2] for reason in rejected})) or "none of them takes WebSockets"
        raise PolicyRefused(
            f"policy {rule.named!r} lets no deployment hold this socket; what they do not meet: {why}. "
            "Name another model, or ask who runs this proxy."
        )
    return replace(decision, reasons=(*decision.reasons, *rejected))
