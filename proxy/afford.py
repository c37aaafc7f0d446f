"""Asks the budgets whether a call can be afforded, and does what the strictest one says. It must never touch a call that none counts."""

import asyncio
import logging
import math
from dataclasses import replace
from typing import NamedTuple

from starlette.types import Message, Send

from config.policies import Policy, Prefer, Require
from proxy.budgets import told
from proxy.budgets.history import UNKNOWN_MG
from proxy.budgets.keeper import Budgets, Holding, Standing
from proxy.budgets.rule import MG_PER_G
from proxy.call import Caller
from proxy.consult import consult, policies_from
from proxy.endpoints.base import Ask
from proxy.headers import DRY_RUN
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.policy.policies import Policies
from proxy.rooms import Rooms
from proxy.upstream.base import Headers
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.budgets")
NO_DRY_RUN = (b"false", b"0", b"off")
MOST_COMPARED = 8
"""Of a plan's deployments, those whose forecasts are compared: fallbacks beyond are hardly ever reached."""


class Afforded(NamedTuple):
    """A call as budgets leave it; no holding: none counts it."""

    ask: Ask
    decision: Decision
    holding: Holding | None


async def afford(
    rooms: Rooms,
    budgets: Budgets,
    ask: Ask,
    decision: Decision,
    *,
    call_id: str,
    started_ms: int,
    caller: Caller,
    tags: tuple[tuple[str, str], ...],
    known: dict[bytes, bytes],
) -> Afforded:
    """The call with what it reserved; to a smaller model where a budget at its end says so. A dry run reserves nothing.

    Raises BudgetExceeded, and BudgetUnavailable for a budget that cannot be counted and fails closed.
    """
    rules = budgets.matching(tags, caller.id)
    if not rules:
        return Afforded(ask, decision, None)
    is_dry = DRY_RUN in known and known[DRY_RUN].lower() not in NO_DRY_RUN
    mg = await forecast_mg(rooms, ask, decision)
    holding = await (budgets.look if is_dry else budgets.enter)(call_id, started_ms, rules, mg)
    worst = told.strictest(holding)
    if not is_dry:
        _refuse_or_note(budgets, holding, worst)
    if worst is None or worst.rule.budget.on_exceed != "route_smallest":
        return Afforded(ask, decision, holding)
    try:
        asked = await _smallest(rooms, worst, ask, decision, call_id=call_id, caller=caller, tags=tags)
    except BaseException:
        budgets.release(holding)
        raise
    return Afforded(*asked, holding)


async def forecast_mg(rooms: Rooms, ask: Ask, decision: Decision) -> int:
    """What the call is expected to come to, in whole milligrams, rounded up: by the heaviest deployment of its plan.

    An answer's length is that which the alias's answers usually have, within the caller's limit.
    """
    grams = []
    for candidate in decision.attempts[:MOST_COMPARED]:
        found = await _forecast_g(rooms, ask, candidate)
        if found is not None:
            grams.append(found)
    return max(1, math.ceil(max(grams) * MG_PER_G)) if grams else UNKNOWN_MG


async def _forecast_g(rooms: Rooms, ask: Ask, candidate: Candidate) -> float | None:
    scales, named = rooms.scales, (candidate, candidate.name_of(ask.alias), ask.endpoint.weighed_as)
    try:
        prepared = scales.known(*named)
        if prepared is None:
            prepared = await asyncio.to_thread(scales.prepare, *named)
        return scales.forecast(prepared, ask).gco2e.mean
    except WEIGHING_TROUBLE as error:
        _log.warning("calls of %s cannot be forecast for budgets: %s", ask.alias[:64], type(error).__name__)
        return None


def _refuse_or_note(budgets: Budgets, holding: Holding, worst: Standing | None) -> None:
    """Counts what the budgets make of the call. Raises BudgetExceeded, BudgetUnavailable."""
    if holding.lost:
        for rule, _ in holding.accounts:
            budgets.note(rule, rule.budget.on_lost)
        closed = [rule.name for rule, _ in holding.accounts if rule.budget.on_lost == "fail_closed"]
        if closed:
            budgets.release(holding)
            raise told.unavailable(closed)
    if worst is None:
        return
    action = worst.rule.budget.on_exceed
    for each in holding.standings:
        if not each.fits and each.rule.budget.on_exceed == action:
            budgets.note(each.rule, action)
    if action == "refuse":
        raise told.exceeded(worst, holding.mg)


async def _smallest(
    rooms: Rooms, worst: Standing, ask: Ask, decision: Decision, *, call_id: str, caller: Caller, tags: tuple[tuple[str, str], ...]
) -> tuple[Ask, Decision]:
    """The call sent to the lowest forecast, by a policy of the budget's own; what an enforced policy requires holds for it too."""
    acting = decision.verdict.policy if decision.verdict is not None and decision.verdict.acts else None
    policies = _policies_of(rooms, worst, acting)
    made = await consult(replace(rooms, policies=policies), ask, decision, call_id=call_id, caller=caller, tags=tags, asked=None)
    if decision.altered and not made.decision.altered:
        return made.ask, replace(made.decision, altered=decision.altered)
    return made.ask, made.decision


def _policies_of(rooms: Rooms, worst: Standing, acting: str | None) -> Policies | None:
    """The policy that stands for a budget at its end; made once for each policy that it takes over from."""
    budget = worst.rule.budget
    known = rooms.budget_policies
    key = (budget.name, acting)
    if key not in known:
        require = next((each.require for each in rooms.settings.policies if each.name == acting), Require())
        policy = Policy(name="budget", require=require, prefer=Prefer(among=budget.smallest), mode="enforce", locked=True)
        named = policy.model_copy(update={"name": f"budget:{budget.name}"})
        settings = rooms.settings.model_copy(update={"policies": [named]})
        known[key] = policies_from(settings, rooms.tables, rooms.candidates, rooms.scales)
    return known[key]


def telling(send: Send, headers: Headers) -> Send:
    """`send`, with the budgets that are near or at their end among the answer's headers."""

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return out
