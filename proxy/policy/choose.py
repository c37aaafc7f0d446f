"""What a policy makes of a call: who serves it and why. It must never act, nor choose anybody who was not on the shortlist."""

from dataclasses import dataclass, replace

from config.model_card import ModelCard
from config.place import Place
from config.policies import Apply
from estimators.quantity import probability_less
from estimators.usage import Usage
from proxy.policy.candidates import Candidate
from proxy.policy.contender import Contender
from proxy.policy.decide import in_turn
from proxy.policy.rule import CallFacts, Rule, Rules
from proxy.policy.shortlist import Shortlist, Shortlists
from proxy.policy.verdict import Action, Verdict

NO_CANDIDATE = "no_candidate"
NOT_LOWER = "not_lower"
NOT_DISTINGUISHABLE = "not_distinguishable"
HELD_BACK = "holdback"


def choose(rules: Rules, call: CallFacts, known: Shortlists) -> Verdict | None:
    """The word of the first policy that is for the call; None when none is. Raises BadRequest, LookupError as those that it asks do."""
    rule = rules.first(call)
    return None if rule is None else judge(rule, call, known.of(rule, call))


def judge(rule: Rule, call: CallFacts, shortlist: Shortlist) -> Verdict:
    """The policy's word on the call."""
    verdict = _without_holdback(rule, call, shortlist)
    if rule.policy.mode == "enforce" and rule.holds_back(call.call_id):
        return replace(verdict, action="holdback", reason=HELD_BACK, plan=call.usual, apply=None)
    return verdict


def _without_holdback(rule: Rule, call: CallFacts, shortlist: Shortlist) -> Verdict:
    policy = rule.policy
    usage = capped(call.usage, policy.apply, call.choices)
    rejected = list(shortlist.rejected)
    base_j = shortlist.baseline.gpu_j(usage)
    most_water_ml = None
    if policy.require.water_ratio_at_most is not None:
        most_water_ml = policy.require.water_ratio_at_most * base_j * shortlist.baseline.water_ml_per_j
    own = [each for each in _fitting(_own(call, shortlist), call, usage, rejected) if _is_dry(each, usage, most_water_ml, rejected)]
    if policy.prefer is None:
        return _in_usual_turn(rule, call, shortlist, own, rejected)
    there = () if call.is_bound else shortlist.others
    others = [each for each in _fitting(there, call, usage, rejected) if _is_dry(each, usage, most_water_ml, rejected)]
    stays = shortlist.baseline in own
    compared = [*(own if shortlist.ranks_own or call.is_bound else [shortlist.baseline] if stays else ()), *others]
    if not compared:
        return _left(rule, call, shortlist, NO_CANDIDATE, rejected)
    ranked = _ranked(compared, usage, call.call_id)
    best = ranked[0][1]
    said = _Said(rule, call, shortlist, tuple(ranked), tuple(rejected))
    if best is not shortlist.baseline and not _is_distinct(rule, best, shortlist.baseline, usage):
        return said.stays(NOT_DISTINGUISHABLE) if stays else _left(rule, call, shortlist, NOT_DISTINGUISHABLE, rejected)
    if best is shortlist.baseline and not shortlist.ranks_own:
        return said.kept(tuple(each for each in call.usual if each in {one.option.candidate for one in own}), best, NOT_LOWER)
    return said.kept(tuple(each.option.candidate for _, each in ranked), best, "")


@dataclass(frozen=True, slots=True)
class _Said:
    """What all verdicts on a ranked call share."""

    rule: Rule
    call: CallFacts
    shortlist: Shortlist
    ranked: tuple[tuple[float, Contender], ...]
    rejected: tuple[str, ...]

    def kept(self, plan: tuple[Candidate, ...], best: Contender, reason: str) -> Verdict:
        """`best` serves; those of `plan` are tried in turn, and where the policy allows it the usual ones after them."""
        action: Action = "kept" if best is self.shortlist.baseline else "routed"
        return self._verdict(action, reason, _with_fallbacks(self.rule, self.call, plan), best, self.rule.policy.apply)

    def stays(self, reason: str) -> Verdict:
        """Nothing changes."""
        return self._verdict("passthrough", reason, self.call.usual, self.shortlist.baseline, None)

    def _verdict(self, action: Action, reason: str, plan: tuple[Candidate, ...], choice: Contender, apply: Apply | None) -> Verdict:
        return Verdict(
            policy=self.rule.named,
            mode=self.rule.policy.mode,
            action=action,
            reason=reason,
            plan=plan,
            baseline=self.shortlist.baseline,
            choice=choice,
            ranked=self.ranked,
            rejected=self.rejected,
            apply=apply,
        )


def _in_usual_turn(rule: Rule, call: CallFacts, shortlist: Shortlist, own: list[Contender], rejected: list[str]) -> Verdict:
    """Without a preference: the usual turn of those that meet the requirements."""
    if not own:
        return _left(rule, call, shortlist, NO_CANDIDATE, rejected)
    plan = tuple(each.option.candidate for each in own)
    return _Said(rule, call, shortlist, (), tuple(rejected)).kept(plan, own[0], "")


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
        else:
            fitting.append(each)
    return fitting


def _is_dry(contender: Contender, usage: Usage, most_ml: float | None, rejected: list[str]) -> bool:
    """True when its water is within the bound."""
    if most_ml is None or contender.gpu_j(usage) * contender.water_ml_per_j <= most_ml:
        return True
    rejected.append(f"{contender.label}: water_ratio_at_most")
    return False


def _ranked(compared: list[Contender], usage: Usage, call_id: str) -> list[tuple[float, Contender]]:
    """By forecast, lowest first; equals share the calls out by weight."""
    scored = [(each.gpu_j(usage) * each.gco2e_per_j, number, each) for number, each in enumerate(compared)]
    scored.sort()
    ranked = [(grams, each) for grams, _, each in scored]
    lowest = ranked[0][0]
    equal = {each.option.candidate: each for grams, each in ranked if grams == lowest}
    if len(equal) > 1:
        ranked[: len(equal)] = [(lowest, equal[each]) for each in in_turn(tuple(equal), call_id)]
    return ranked


def _is_distinct(rule: Rule, best: Contender, baseline: Contender, usage: Usage) -> bool:
    prefer = rule.policy.prefer
    if prefer is None or prefer.confidence_at_least is None:
        return True
    lighter, heavier = best.prepared.estimate(usage).gco2e, baseline.prepared.estimate(usage).gco2e
    shared = shared_scopes(best.option.known, baseline.option.known)
    return probability_less(lighter, heavier, shared=shared, same_call=True) >= prefer.confidence_at_least


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
