"""Who may serve a kind of call under a policy, worked out once: what does not change from call to call. It must never weigh a call."""

from collections.abc import Callable
from dataclasses import dataclass

from config.policies import Prefer
from estimators.prepared import Prepared
from proxy.call import Caller
from proxy.policy.candidates import Candidate
from proxy.policy.contender import Contender
from proxy.policy.latency import latency_key
from proxy.policy.option import Option, Options
from proxy.policy.requirement import Asker, barred, unmet
from proxy.policy.rule import CallFacts, Rule

REMEMBERED = 4096
OTHER_METHOD = "other_method"
"""Its figure would be another method's than the baseline's: the two cannot be compared."""

NOT_WEIGHED = "not_weighed"
RATIOS = ("water_ratio_at_most", "cost_ratio_at_most")

Known = Callable[[Candidate, str, str], Prepared | None]
"""The prepared method of a deployment, model and operation, None where it has not been prepared yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """Who meets a policy's requirements. baseline: the alias's first deployment, whether it does or not.

    own: the alias's own deployments that do. others: those of the aliases that it prefers. ranks_own: own ones are ranked too.
    rejected: a reason for each of the rest.
    """

    baseline: Contender
    own: dict[Candidate, Contender]
    others: tuple[Contender, ...]
    ranks_own: bool
    rejected: tuple[str, ...]

    @property
    def baseline_meets(self) -> bool:
        """True when the call need not leave the alias's first deployment."""
        return self.baseline.option.candidate in self.own


Key = tuple[str, str, str, str, bool, frozenset[str] | None]


class Shortlists:
    """The shortlists of all kinds of calls that came so far. known: where prepared methods are found."""

    def __init__(self, options: Options, known: Known, translates: Callable[[str], bool]) -> None:
        self._options = options
        self._known = known
        self._translates = translates
        self._made: dict[Key, Shortlist] = {}

    def missing(self, rule: Rule, call: CallFacts) -> tuple[Option, ...]:
        """Options whose method has to be prepared before the call can be judged; none when its kind has come before."""
        if _key(rule, call) in self._made:
            return ()
        found = (*self._options.own(call.alias, call.dialect), *self._preferred(rule, call))
        return tuple(each for each in found if self._known(each.candidate, each.model, call.weighed_as) is None)

    def of(self, rule: Rule, call: CallFacts) -> Shortlist:
        """Who may serve such a call. Raises LookupError when a method is missing."""
        key = _key(rule, call)
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= REMEMBERED:
                self._made.clear()
            found = self._made[key] = self._make(rule, call)
        return found

    def meeting(self, rule: Rule, alias: str) -> tuple[frozenset[Candidate], tuple[str, ...]]:
        """The alias's own deployments that meet what can be told without a forecast, and a reason for each other one.

        Ratios of water and cost are forecasts: where they are required, nobody meets them.
        """
        require, met, rejected = rule.policy.require, [], []
        ratio = next((name for name in RATIOS if getattr(require, name) is not None), None)
        for option in self._options.own(alias, "openai"):
            why = unmet(require, option) or ratio
            if why is None:
                met.append(option.candidate)
            else:
                rejected.append(f"{option}: {why}")
        return frozenset(met), tuple(rejected)

    def _make(self, rule: Rule, call: CallFacts) -> Shortlist:
        row = self._options.own(call.alias, call.dialect)
        require = rule.policy.require
        baseline = self._contender(row[0], call)
        if baseline is None:
            raise LookupError(f"{row[0]} cannot be weighed")
        rejected: list[str] = []
        own: dict[Candidate, Contender] = {}
        for option in row:
            contender = baseline if option is row[0] else self._contender(option, call)
            if contender is None or (reason := unmet(require, option) or _incomparable(contender, baseline)) is not None:
                rejected.append(f"{option}: {NOT_WEIGHED if contender is None else reason}")
            else:
                own[option.candidate] = contender
        asker = Asker(call.caller, call.dialect, call.path, call.weighed_as, self._translates)
        others = []
        for option in self._preferred(rule, call):
            contender = self._contender(option, call)
            why = barred(option, row, asker) or unmet(require, option)
            why = why or (NOT_WEIGHED if contender is None else _incomparable(contender, baseline))
            if why is None and contender is not None:
                others.append(contender)
            else:
                rejected.append(f"{option}: {why}")
        ranks_own = rule.policy.prefer is not None and _names_own(rule.policy.prefer, call.alias)
        return Shortlist(baseline=baseline, own=own, others=tuple(others), ranks_own=ranks_own, rejected=tuple(rejected))

    def _preferred(self, rule: Rule, call: CallFacts) -> tuple[Option, ...]:
        """Options of other aliases that the policy prefers."""
        prefer = rule.policy.prefer
        names = dict.fromkeys(() if prefer is None else prefer.among or ())
        return tuple(each for name in names if name != call.alias for each in self._options.of_other(name, call.dialect))

    def _contender(self, option: Option, call: CallFacts) -> Contender | None:
        prepared = self._known(option.candidate, option.model, call.weighed_as)
        if prepared is None:
            return None
        lines = prepared.lines
        return Contender(
            option=option,
            prepared=prepared,
            gco2e_per_j=lines.gco2e.mean,
            operational_gco2e_per_j=lines.operational_gco2e.mean,
            water_ml_per_j=lines.water_ml.mean,
            label=str(option),
            latency_key=latency_key(option.candidate, option.model, call.weighed_as),
        )


def _names_own(prefer: Prefer, alias: str) -> bool:
    return prefer.among is None or alias in prefer.among


def _incomparable(contender: Contender, baseline: Contender) -> str | None:
    return None if contender.prepared.labels.method == baseline.prepared.labels.method else OTHER_METHOD


def _key(rule: Rule, call: CallFacts) -> Key:
    caller: Caller = call.caller
    return (rule.named, call.alias, call.dialect, call.path, caller.forwards_own_key, caller.models)
