"""Who may be asked when a smaller model's answer falls short. It must never be anybody whom the caller might not have asked."""

from collections.abc import Callable

from proxy.policy.candidates import Candidate
from proxy.policy.decide import in_turn
from proxy.policy.option import Option, Options
from proxy.policy.requirement import Asker, barred, unmet
from proxy.policy.rule import CallFacts, Rule


class Ladder:
    """The deployments above, by rule and call. translates: whether a path can be carried in another dialect than the provider's."""

    def __init__(self, options: Options, translates: Callable[[str], bool]) -> None:
        self._options = options
        self._translates = translates

    def above(self, rule: Rule, call: CallFacts) -> tuple[Candidate, ...]:
        """The deployments of the alias that the rule escalates to, in turn: those that meet what it requires and may take this call.

        None where the rule does not escalate, nor where the call belongs to what one provider keeps.
        """
        said = rule.policy.escalate
        if said is None:
            return ()
        row = self._options.own(call.alias, call.dialect)
        if said.to == call.alias:
            met = {option.candidate for option in row if unmet(rule.policy.require, option) is None}
            return tuple(candidate for candidate in call.usual if candidate in met)
        if call.is_bound or call.lets_hear:
            return ()
        asker = Asker(call.caller, call.dialect, call.path, call.weighed_as, self._translates)
        usable = tuple(
            option.candidate
            for option in self._options.of_other(said.to, call.dialect)
            if barred(option, row, asker) is None and unmet(rule.policy.require, option) is None and _fits(option, call)
        )
        return in_turn(usable, call.call_id)


def _fits(option: Option, call: CallFacts) -> bool:
    tokens = call.usage.input_tokens + call.usage.output_tokens
    return option.holds(tokens) and (option.sees or not call.shows) and not call.needs & option.lacks
