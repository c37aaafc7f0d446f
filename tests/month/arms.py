"""The month under each way of doing it: without policies, always smallest, by region, by size, both, both with a budget.

All but the first go through the real policies of the example file. It must never change what that file says of the calls.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from config.budgets import Budget
from config.load import load_settings
from config.policies import Policy
from config.settings import Settings
from config.tables import Tables
from proxy.budgets.account import Claim, MemoryAccounts, Settlement
from proxy.budgets.rule import MG_PER_G, Rule
from proxy.policy.candidates import Candidate
from proxy.policy.rule import CallFacts
from proxy.policy.verdict import Verdict
from tests.month.engine import CALLER, Engine, Outcome
from tests.month.weights import Weights
from tests.month.world import MODELS, REGIONS, Month

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "examples" / "policies" / "by-kind-and-region.yaml"
NONE, SMALLEST, REGION, SIZE, BOTH, BUDGET = "no policy", "always smallest", "region only", "size only", "both", "both with budget"
HOURLY = "both by the hour"
FAMILIES = {
    "gpt-4.1": ("gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"),
    "mistral": ("mistral-large-2.1", "mistral-small-3.2", "ministral-3-8b"),
}
"""Three sizes of one family: the example's, whose sizes are inferred, and one whose weights are open."""

BUDGET_SHARE = 0.9
"""The budget of the last arm, as a share of what the same policies come to without one."""

MS_PER_HOUR = 3_600_000
MONTH_BEGINS_MS = 1_790_812_800_000
"""1 October 2026, 00:00 UTC."""

_T = TypeVar("_T")


def example(family: str = "gpt-4.1") -> Settings:
    """The example's own words, with the models of a family."""
    whole = load_settings(EXAMPLE, {})
    models = {
        alias: whole.models[alias].model_copy(
            update={"deployments": [each.model_copy(update={"model": name}) for each in whole.models[alias].deployments]}
        )
        for alias, name in zip(MODELS, FAMILIES[family], strict=True)
    }
    return whole.model_copy(update={"models": models})


def arm_settings(name: str, whole: Settings) -> Settings:
    """The configuration of an arm: the example's deployments, or only those of the first region; its policies, or plain ones."""
    if name == NONE:
        return whole.model_copy(update={"policies": []})
    if name == SMALLEST:
        return _one_region(whole).model_copy(update={"policies": [_plain([MODELS[-1]])]})
    if name == REGION:
        return whole.model_copy(update={"policies": [_plain(None)]})
    if name == HOURLY:
        return whole.model_copy(update={"policies": [_by_the_hour(policy) for policy in whole.policies]})
    return _one_region(whole) if name == SIZE else whole


def _by_the_hour(policy: Policy) -> Policy:
    """The same, ranked by what a live source tells of the zones."""
    prefer = None if policy.prefer is None else policy.prefer.model_copy(update={"intensity": "hourly"})
    return policy.model_copy(update={"prefer": prefer})


def _plain(among: list[str] | None) -> Policy:
    prefer = {"lowest": "gco2e", "among": among} if among else {"lowest": "gco2e"}
    return Policy.model_validate({"name": "plain", "when": {"alias": MODELS[0]}, "prefer": prefer, "mode": "enforce"})


def _smallest(policy: Policy) -> Policy:
    return _plain(list(MODELS)).model_copy(update={"require": policy.require})


def _one_region(whole: Settings) -> Settings:
    """The same without deployments elsewhere."""
    models = {
        name: alias.model_copy(update={"deployments": [each for each in alias.deployments if each.region == REGIONS[0]]})
        for name, alias in whole.models.items()
    }
    return whole.model_copy(update={"models": models})


def run_arm(name: str, whole: Settings, tables: Tables, month: Month) -> Outcome:
    """What comes of the month in this arm."""
    return Engine(arm_settings(name, whole), tables).run(month)


def run_with_budget(whole: Settings, tables: Tables, month: Month, weights: Weights, limit_gco2e: float) -> Outcome:
    """The month under the example's policies and a budget that then sends calls to the smallest.

    The account is the proxy's own. Its consequence, route_smallest, is played as the proxy has it: by a policy that prefers the lowest
    among all, and requires what the policy does that it takes over from.
    """
    engine = Engine(whole, tables)
    after = {policy.name: Engine(whole.model_copy(update={"policies": [_smallest(policy)]}), tables) for policy in whole.policies}
    budget = _Purse(Budget(name="month", limit_kgco2e=limit_gco2e / 1000, on_exceed="route_smallest", smallest=list(MODELS)), month)

    def instead(i: int, call: CallFacts, said: Verdict | None) -> Candidate | None:
        if said is None:
            raise ValueError("the example's policies are for all calls of the month")
        if budget.takes(i, engine.forecast_gco2e(call, said.plan)):
            return None
        verdict = after[said.policy].judged(after[said.policy].facts(month, i))
        if verdict is None:
            raise ValueError("the policy that plays the budget's consequence is for all calls")
        region = verdict.plan[0].place.region
        return next(each for each in engine.candidates.of(verdict.plan[0].pattern) if each.place.region == region)

    def settled(i: int, served: Candidate) -> None:
        budget.settle(i, float(weights.gco2e[i, engine.number_of(served)]))

    return engine.run(month, instead, settled)


class _Purse:
    """One budget's account in this process, at the hours of the month."""

    def __init__(self, budget: Budget, month: Month) -> None:
        self._rule, self._month = Rule(budget), month
        self._accounts = MemoryAccounts()
        account = self._rule.account_at(self._at_ms(0))
        self._key, self._drop_at_ms = account.key, account.drop_at_ms
        at_once(self._accounts.seed(self._key, 0, as_of_ms=0, drop_at_ms=self._drop_at_ms))

    def takes(self, i: int, forecast_gco2e: float) -> bool:
        """Reserves the forecast of call `i` where the limit allows it."""
        claim = Claim(
            key=self._key,
            limit_mg=self._rule.limit_mg,
            mg=round(forecast_gco2e * MG_PER_G),
            blocks=True,
            lease_ms=self._rule.lease_ms,
            drop_at_ms=self._drop_at_ms,
        )
        return at_once(self._accounts.enter(self._at_ms(i), _name(i), [claim])).is_reserved

    def settle(self, i: int, gco2e: float) -> None:
        """Counts what call `i` came to."""
        self._accounts.settle([Settlement(self._key, _name(i), round(gco2e * MG_PER_G), self._at_ms(i), self._drop_at_ms)])

    def _at_ms(self, i: int) -> int:
        return MONTH_BEGINS_MS + int(self._month.hour[i]) * MS_PER_HOUR


def _name(i: int) -> str:
    return f"{CALLER.id}-{i}"


def at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of work that never waits. Raises RuntimeError where it does."""
    try:
        work.send(None)
    except StopIteration as done:
        found: _T = done.value
        return found
    work.close()
    raise RuntimeError("an account in memory waits for nothing")
