"""Asks the budgets whether a call can be afforded, and does what the strictest one says. It must never touch a call that none counts."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from starlette.types import Message, Send

from config.policies import Policy, Prefer
from proxy.budgets import told
from proxy.budgets.history import UNKNOWN_MG
from proxy.budgets.keeper import Budgets, Holding, Standing, Tags
from proxy.budgets.rule import MG_PER_G
from proxy.call import Caller
from proxy.consult import consult, policies_from
from proxy.endpoints.base import Ask
from proxy.errors import BudgetExceeded
from proxy.headers import DRY_RUN
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.policy.policies import Policies
from proxy.rooms import Rooms
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.budgets")
NO_DRY_RUN = (b"false", b"0", b"off")
MOST_POLICIES = 1024
"""Policies that are kept for budgets at their end; callers may write many an alias."""

MOST_COMPARED = 8
"""Of a plan's deployments, those whose forecasts are compared: fallbacks beyond are hardly ever reached."""


async def afford(rooms: Rooms, budgets: Budgets, passage: Passage) -> None:
    """Has the call reserve what it should come to; sends it to a smaller model where a budget at its end says so.

    A dry run reserves nothing. A call that may be answered by what is kept goes on at a budget's end: it weighs nothing then, and where
    a provider would have to be asked after all, `denied` is raised there.

    Raises BudgetExceeded, and BudgetUnavailable for a budget that cannot be counted and fails closed.
    """
    rules = budgets.matching(passage.tags, passage.caller.id)
    if not rules:
        return
    is_dry = DRY_RUN in passage.known and passage.known[DRY_RUN].lower() not in NO_DRY_RUN
    mg = await forecast_mg(rooms, passage.ask, passage.decision, passage.tags)
    holding = await (budgets.look if is_dry else budgets.enter)(passage.call_id, passage.started_ms, rules, mg)
    worst = told.strictest(holding)
    if worst is not None and not is_dry and worst.rule.budget.on_exceed == "refuse" and _may_be_given(rooms, passage):
        passage.denied = _told_apart(rooms, told.exceeded(worst, holding))
    elif not is_dry:
        _refuse_or_note(budgets, holding, worst)
    passage.holding = holding
    if worst is None or worst.rule.budget.on_exceed != "route_smallest":
        return
    try:
        await _go_small(rooms, worst, passage)
    except BaseException:
        give_back(rooms, passage)
        raise


async def knock(rooms: Rooms, budgets: Budgets, caller: Caller, tags: Tags, asks: tuple[Ask, Decision] | None = None) -> None:
    """Whether a socket may be opened, or asked for an answer: it reserves nothing, and counts what it comes to.

    Raises BudgetExceeded where a budget that refuses is at its end, BudgetUnavailable as `afford` does.
    """
    rules = budgets.matching(tags, caller.id)
    if rules:
        mg = 1 if asks is None else await forecast_mg(rooms, *asks, tags)
        holding = await budgets.look("", rooms.clock.now_ms(), rules, mg)
        _refuse_or_note(budgets, holding, told.strictest(holding))


def give_back(rooms: Rooms, passage: Passage) -> None:
    """Releases what a call reserved that is never made."""
    if passage.holding is not None and rooms.budgets is not None:
        rooms.budgets.release(passage.holding)
        passage.holding = None


async def forecast_mg(rooms: Rooms, ask: Ask, decision: Decision, tags: Tags) -> int:
    """What the call is expected to come to, in whole milligrams, rounded up: by the heaviest deployment of its plan, and by
    that of a larger model's beside it where one may be asked too.

    An answer is as long as such answers usually are, within the caller's limit; without one, as nine of ten of them are at most.
    """
    first_g = await _heaviest_g(rooms, ask, decision.attempts, tags)
    if first_g is None:
        return UNKNOWN_MG
    escalation = decision.escalation
    second_g = await _heaviest_g(rooms, escalation.ask, escalation.plan, tags) if escalation is not None and escalation.acts else None
    return max(1, math.ceil((first_g + (second_g or 0.0)) * MG_PER_G))


async def _heaviest_g(rooms: Rooms, ask: Ask, plan: Sequence[Candidate], tags: Tags) -> float | None:
    """The highest forecast of a plan's deployments; None where none can be weighed."""
    found = [await _forecast_g(rooms, ask, candidate, tags) for candidate in plan[:MOST_COMPARED]]
    return max((grams for grams in found if grams is not None), default=None)


async def _forecast_g(rooms: Rooms, ask: Ask, candidate: Candidate, tags: Tags) -> float | None:
    scales, named = rooms.scales, (candidate, candidate.name_of(ask.alias), ask.endpoint.weighed_as)
    try:
        prepared = scales.known(*named)
        if prepared is None:
            prepared = await asyncio.to_thread(scales.prepare, *named)
        if ask.max_output_tokens is not None or not ask.endpoint.writes:
            return scales.forecast(prepared, ask, tags).gco2e.mean
        usage = replace(scales.likely_usage(ask, tags), output_tokens=scales.high_output_tokens(ask, tags))
        return prepared.estimate(usage).gco2e.mean
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
    _note(budgets, holding, action)
    if action == "refuse":
        raise told.exceeded(worst, holding)


def note_denied(rooms: Rooms, passage: Passage) -> None:
    """Counts a call that went on for what may be kept, and was refused where nothing was."""
    if passage.holding is not None and rooms.budgets is not None:
        _note(rooms.budgets, passage.holding, "refuse")


def _note(budgets: Budgets, holding: Holding, action: str) -> None:
    for each in holding.standings:
        if not each.fits and each.rule.budget.on_exceed == action:
            budgets.note(each.rule, action)


def _may_be_given(rooms: Rooms, passage: Passage) -> bool:
    """True where an earlier answer may serve the call, and its policy asks for nothing else before a model."""
    verdict = passage.decision.verdict
    if rooms.reuse is None or verdict is None or verdict.reuse_s is None or passage.ask.form is not None:
        return False
    return rooms.worth is None or verdict.policy not in rooms.worth.by_policy


def _told_apart(rooms: Rooms, error: BudgetExceeded) -> BudgetExceeded:
    """The refusal without the budgets' header, where `telling` adds that to whatever leaves."""
    if rooms.settings.tagging.headers:
        error.headers = tuple(pair for pair in error.headers if pair[0] != told.HEADER)
    return error


async def _go_small(rooms: Rooms, worst: Standing, passage: Passage) -> None:
    """Sends the call to the lowest forecast, by a policy of the budget's own; what an enforced policy requires holds for that one too."""
    before = passage.decision
    acting = before.verdict.policy if before.verdict is not None and before.verdict.acts else None
    passage.own_verdict = before.verdict
    as_came = passage.as_came or passage.ask
    there = replace(rooms, policies=_policies_of(rooms, worst, acting, as_came.alias))
    plain = replace(before, verdict=None, escalation=None, altered="")
    ask, made = await consult(there, as_came, plain, call_id=passage.call_id, caller=passage.caller, tags=passage.tags, asked=None)
    if made.verdict is None or not made.verdict.acts:
        passage.decision = replace(made, altered=before.altered)
        return
    passage.ask, passage.decision, passage.candidate = ask, made, made.attempts[0]
    if passage.upload is None:
        passage.request_bytes = len(ask.body)


def _policies_of(rooms: Rooms, worst: Standing, acting: str | None, alias: str) -> Policies | None:
    """The policy that stands for a budget at its end; made once for each alias and each policy that it takes over from.

    What the other one requires and caps holds here too, and whom it prefers is compared with the budget's own: nothing goes back up.
    """
    budget = worst.rule.budget
    known = rooms.budget_policies
    key = (budget.name, acting, alias)
    if key not in known:
        if len(known) >= MOST_POLICIES:
            known.clear()
        other = next((each for each in rooms.settings.policies if each.name == acting), Policy(name="none"))
        preferred = (other.prefer.among if other.prefer is not None else None) or ()
        among = list(dict.fromkeys((alias, *(budget.smallest or ()), *preferred)))
        policy = Policy(name="budget", require=other.require, prefer=Prefer(among=among), apply=other.apply, mode="enforce", locked=True)
        named = policy.model_copy(update={"name": f"budget:{budget.name}"})
        settings = rooms.settings.model_copy(update={"policies": [named]})
        known[key] = policies_from(settings, rooms.tables, rooms.candidates, rooms.scales)
    return known[key]


def telling(rooms: Rooms, holding: Holding, send: Send) -> Send:
    """`send`, with the budgets that are near or at their end among the answer's headers; as it was where none is."""
    headers = told.headers(holding) if rooms.settings.tagging.headers else []
    if not headers:
        return send

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return out
