"""What policies and budgets ask of a described call beside who serves it. It must never look at what an alternative would answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from config.check_alternatives import ANSWERS
from config.policies import Policy
from config.settings import Settings
from proxy.alternative.worth import CAMPAIGN, PURPOSE
from proxy.budgets.rule import Rule
from proxy.call import Caller
from proxy.errors import PurposeMissing
from proxy.policy.verdict import Verdict

NONE = "none"
MISSING = PurposeMissing.code
LACKS_PURPOSE = f"{MISSING}: it carries neither the tag `{PURPOSE}` nor a `{CAMPAIGN}` with a purpose under `campaigns:`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """alternative: how and what, such as `offer template:cards`, or `none`. iterations: most answers of one thing, 0: it is not counted.

    budgets: those that count the call.
    """

    alternative: str = NONE
    iterations: int = 0
    budgets: tuple[str, ...] = ()


def beside_of(settings: Settings, verdict: Verdict | None, operation: str, tags: Mapping[str, str], caller: Caller) -> Beside:
    """What is asked of the call that got this verdict; in mode shadow, what would be."""
    budgets = tuple(rule.name for rule in map(Rule, settings.budgets) if rule.matches(tags, caller.id))
    policy = _policy(settings, verdict)
    if policy is None:
        return Beside(budgets=budgets)
    counted = policy.iterations is not None and policy.iterations.tag in tags
    most = policy.iterations.at_most if policy.iterations is not None and counted else 0
    return Beside(alternative=_alternative(settings, policy, operation), iterations=most, budgets=budgets)


def with_purpose(settings: Settings, verdict: Verdict, tags: Mapping[str, str]) -> Verdict:
    """The verdict: refused, or the reason noted in mode shadow, where the policy asks what a call is for and nobody says."""
    policy = _policy(settings, verdict)
    if policy is None or not policy.require.purpose_declared or verdict.action == "refused":
        return verdict
    campaign = settings.campaigns.get(tags.get(CAMPAIGN, ""))
    if tags.get(PURPOSE) or (campaign is not None and campaign.purpose):
        return verdict
    reason = f"{verdict.reason},{MISSING}" if verdict.reason and verdict.mode == "shadow" else MISSING
    return replace(verdict, reason=reason, action="refused" if verdict.mode == "enforce" else verdict.action)


def _policy(settings: Settings, verdict: Verdict | None) -> Policy | None:
    """The policy that has a word in the call; None where it leaves it alone."""
    if verdict is None or verdict.action == "holdback":
        return None
    return next((each for each in settings.policies if each.name == verdict.policy), None)


def _alternative(settings: Settings, policy: Policy, operation: str) -> str:
    said = policy.alternative
    kind = settings.alternatives[said.ref].kind if said is not None else ""
    fits = ANSWERS.get(kind)
    return NONE if said is None or (fits is not None and operation not in fits) else f"{said.mode} {kind}:{said.ref}"
