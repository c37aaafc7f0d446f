"""What a policy makes of a call: who serves it and why. It must never act, nor choose anybody who was not on the shortlist."""

from dataclasses import dataclass, replace

from config.model_card import ModelCard
from config.place import Place
from config.policies import Apply, Prefer
from estimators.quantity import Quantity, probability_less, scale
from estimators.usage import Usage
from proxy.policy.bounds import preferred, required, within
from proxy.policy.candidates import Candidate
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.contender import Contender
from proxy.policy.hours import Figures
from proxy.policy.rank import COST_UNKNOWN, Ranked, Yardstick, rank
from proxy.policy.rule import CallFacts, Rule, Rules
from proxy.policy.shortlist import Shortlist, Shortlists
from proxy.policy.verdict import Action, Verdict

NO_CANDIDATE = "no_candidate"
NOT_LOWER = "not_lower"
NOT_DISTINGUISHABLE = "not_distinguishable"
HELD_BACK = "holdback"


def choose(rules: Rules, call: CallFacts, known: Shortlists, conditions: Conditions = UNTOLD) -> Verdict | None:
    """The word of the first policy that is for the call; None when none is. Raises BadRequest, LookupError as those that it asks do."""
    rule = rules.first(call)
    return None if rule is None else judge(rule, call, known.of(rule, call), conditions)


def judge(rule: Rule, call: CallFacts, shortlist: Shortlist, conditions: Conditions = UNTOLD) -> Verdict:
    """The policy's word on the call, under what holds now."""
    verdict = _without_holdback(rule, call, shortlist, conditions)
    if rule.policy.mode == "enforce" and rule.holds_back(call.call_id):
        return replace(verdict, action="holdback", reason=HELD_BACK, plan=call.usual, apply=None)
    return verdict


def _without_holdback(rule: Rule, call: CallFacts, shortlist: Shortlist, conditions: Conditions) -> Verdict:
    policy, baseline = rule.policy, shortlist.baseline
    prefer = policy.prefer
    usage = capped(call.usage, policy.apply, call.choices)
    rejected = list(shortlist.rejected)
    bounds = required(policy.require, baseline, usage)
    own = within(_fitting(_own(call, shortlist), call, usage, rejected), bounds, rejected)
    if prefer is None:
        return _in_usual_turn(rule, call, shortlist, own, rejected)
    others = within(_fitting(() if call.is_bound else shortlist.others, call, usage, rejected), bounds, rejected)
    stays = baseline in own
    compared = [*(own if shortlist.ranks_own or call.is_bound else [baseline] if stays else ()), *others]
    compared = within(compared, preferred(prefer, baseline, usage, conditions), rejected)
    anchor = conditions.anchors.get((rule.named, call.alias))
    by = Yardstick(prefer=prefer, usage=usage, conditions=conditions, baseline=baseline, call_id=call.call_id, anchor=anchor)
    ranked = rank(compared, by) if compared else Ranked(())
    rejected += [f"{each.label}: {COST_UNKNOWN}" for each in ranked.unranked]
    said = _Said(rule, call, shortlist, ranked, rejected, stays)
    if not ranked.order:
        return said.unmoved(COST_UNKNOWN if ranked.unranked else NO_CANDIDATE)
    best = ranked.order[0][1]
    if best is not baseline and not _is_distinct(prefer, best, baseline, usage, ranked.figures):
        return said.unmoved(NOT_DISTINGUISHABLE)
    if best is baseline and not shortlist.ranks_own:
        return said.kept(tuple(each for each in call.usual if each in {one.option.candidate for one in own}), best, NOT_LOWER)
    return said.kept(tuple(each.option.candidate for _, each in ranked.order), best, "")


@dataclass(frozen=True, slots=True)
class _Said:
    """What all verdicts on a ranked call share."""

    rule: Rule
    call: CallFacts
    shortlist: Shortlist
    ranked: Ranked
    rejected: list[str]
    stays: bool = True

    def kept(self, plan: tuple[Candidate, ...], best: Contender, reason: str) -> Verdict:
        """`best` serves; those of `plan` are tried in turn, and where the policy allows it the usual ones after them."""
        action: Action = "kept" if best is self.shortlist.baseline else "routed"
        return self._verdict(action, reason, _with_fallbacks(self.rule, self.call, plan), best, self.rule.policy.apply)

    def unmoved(self, reason: str) -> Verdict:
        """Nothing changes where the first deployment meets what is required; else nobody may serve under the policy."""
        if not self.stays:
            return _left(self.rule, self.call, self.shortlist, reason, self.rejected)
        return self._verdict("passthrough", reason, self.call.usual, self.shortlist.baseline, None)

    def _verdict(self, action: Action, reason: str, plan: tuple[Candidate, ...], choice: Contender, apply: Apply | None) -> Verdict:
        return Verdict(
            policy=self.rule.named,
            mode=self.rule.policy.mode,
            action=action,
            reason=",".join(filter(None, (reason, self.ranked.note))),
            plan=plan,
            baseline=self.shortlist.baseline,
            choice=choice,
            ranked=self.ranked.order,
            rejected=tuple(self.rejected),
            apply=apply,
            figures=self.ranked.figures,
        )


def _in_usual_turn(rule: Rule, call: CallFacts, shortlist: Shortlist, own: list[Contender], rejected: list[str]) -> Verdict:
    """Without a preference: the usual turn of those that meet the requirements."""
    if not own:
        return _left(rule, call, shortlist, NO_CANDIDATE, rejected)
    plan = tuple(each.option.candidate for each in own)
    return _Said(rule, call, shortlist, Ranked(()), rejected).kept(plan, own[0], "")


def _left(rule: Rule, call: CallFacts, shortlist: Shortlist, reason: str, rejected: list[str]) -> Verdict:
    """Nobody may serve under the policy: it goes through as it came, or is refused."""
    refuses = rule.policy.otherwise == "refuse"
    return Verdict(
        policy=rule.named,
        mode=rule.policy.mode,
        action="refused" if refuses else "passthrough",
        reason=reason,
        plan=() if refuses else call.usual,
        baseline=shortlist.baseline,
        choice=None if refuses else shortlist.baseline,
        rejected=tuple(rejected),
    )


def _own(call: CallFacts, shortlist: Shortlist) -> list[Contender]:
    """The alias's own deployments that the caller may spend and that meet the requirements, in their turn."""
    return [shortlist.own[each] for each in call.usual if each in shortlist.own]


def _fitting(contenders: "list[Contender] | tuple[Contender, ...]", call: CallFacts, usage: Usage, rejected: list[str]) -> list[Contender]:
    """Those that this very call fits: its length, its pictures, its sound. What the baseline's own model does is not doubted."""
    tokens = usage.input_tokens + usage.output_tokens
    fitting = []
    for each in contenders:
        option = each.option
        if option.alias == call.alias:
            fitting.append(each)
        elif not option.holds(tokens):
            rejected.append(f"{each.label}: context_tokens")
        elif call.shows and not option.sees:
            rejected.append(f"{each.label}: vision")
        elif call.lets_hear:
            rejected.append(f"{each.label}: hearing_unknown")
        elif call.needs & option.lacks:
            rejected.append(f"{each.label}: {min(call.needs & option.lacks)}")
        else:
            fitting.append(each)
    return fitting


def _is_distinct(prefer: Prefer, best: Contender, baseline: Contender, usage: Usage, figures: Figures | None) -> bool:
    """True where it is likely enough that the choice weighs less; by live figures where they ranked."""
    if prefer.confidence_at_least is None:
        return True
    lighter, heavier = (_grams(each, usage, figures) for each in (best, baseline))
    shared = shared_scopes(best.option.known, baseline.option.known)
    return probability_less(lighter, heavier, shared=shared, same_call=True) >= prefer.confidence_at_least


def _grams(each: Contender, usage: Usage, figures: Figures | None) -> Quantity:
    grams = each.prepared.estimate(usage).gco2e
    yearly = each.gco2e(usage)
    if figures is None or yearly <= 0:
        return grams
    return scale(grams, each.hourly_gco2e(usage, figures[each.zone].gco2e_per_kwh) / yearly)


def shared_scopes(one: tuple[Place, ModelCard], other: tuple[Place, ModelCard]) -> tuple[str, ...]:
    """Scopes in which two places and models, weighed by one method, have the same error."""
    (place, card), (other_place, other_card) = one, other
    same = (
        ("method", True),
        ("provider", place.provider == other_place.provider),
        ("model", card.id == other_card.id),
        ("zone", place.zone == other_place.zone),
    )
    return tuple(scope for scope, is_same in same if is_same)


def _with_fallbacks(rule: Rule, call: CallFacts, plan: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    if rule.policy.otherwise == "refuse":
        return plan
    return plan + tuple(each for each in call.usual if each not in plan)


def capped(usage: Usage, apply: Apply, choices: int) -> Usage:
    """The forecast under the policy's caps: no more choices or pictures, no longer answers, than it lets through."""
    if apply.max_output_tokens is None and apply.n_at_most is None:
        return usage
    kept = min(choices, apply.n_at_most or choices)
    output = usage.output_tokens * kept // max(choices, 1)
    if apply.max_output_tokens is not None:
        output = min(output, apply.max_output_tokens * kept)
    media = usage.media
    if media is not None and media.images > kept and apply.n_at_most is not None:
        media = replace(media, images=kept)
    drawn = min(usage.image_output_tokens, output)
    return replace(usage, output_tokens=output, image_output_tokens=drawn, media=media)
