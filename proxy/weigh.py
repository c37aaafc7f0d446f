"""Turns usage and a deployment into an estimate. It must never fail a call: trouble is reported, the answer goes out."""

from dataclasses import dataclass, replace

import estimators
from config.catalogue import ModelCard
from config.tables import Tables
from estimators.estimate import Estimate
from estimators.prepared import Prepared
from estimators.usage import Usage
from proxy.endpoints.base import Ask
from proxy.meter.fallback import guess_input_tokens
from proxy.policy.candidates import Candidate
from proxy.policy.lengths import Lengths, Tags

REMEMBERED = 4096
BATCHED = "by batch"
REMEMBERED_ALIASES = 1024
LONGEST_ANSWER_TOKENS = 1 << 18
MOST_CHOICES = 128
MOST_OUTPUT_TOKENS = 1 << 20
"""No model writes more in one answer, in all of them, whatever a caller's limit: a claim must not weigh like a power station."""

LEARNING_RATE = 0.1
"""How fast the usual length of an alias's answers follows what is seen."""


WEIGHING_TROUBLE = (ArithmeticError, ValueError, LookupError, TypeError, AttributeError)
"""What weighing may raise for a usage or a model that nobody thought of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighingRules:
    """What the configuration says of weighing. method: the one to weigh by, None for the usual choice."""

    operating_prior: str
    profile: str
    methods: tuple[str, ...] = ()
    method: str | None = None

    def by(self, method: str) -> "WeighingRules":
        """The same rules for one method."""
        return replace(self, method=method)


class Scales:
    """Keeps a prepared method per deployment, model and operation, and how long each alias's answers usually are."""

    def __init__(self, tables: Tables, rules: WeighingRules) -> None:
        self._tables = tables
        self._rules = rules
        self._prepared: dict[tuple[Candidate, str, str], Prepared] = {}
        self._usual: dict[str, float] = {}
        self._lengths = Lengths()
        self._first_guess = tables.factors["forecast.usual_output_tokens"].value

    def known(self, candidate: Candidate, model: str, operation: str) -> Prepared | None:
        """The prepared method if it is at hand already; preparing takes milliseconds and belongs in a thread."""
        return self._prepared.get((candidate, model, operation))

    def prepare(self, candidate: Candidate, model: str, operation: str, *, batched: bool = False) -> Prepared:
        """The method for `model` served by `candidate`, or through its batch API; kept for the next call."""
        key = (candidate, model, f"{operation} {BATCHED}" if batched else operation)
        if batched and key in self._prepared:
            return self._prepared[key]
        match = self._tables.catalogue.resolve(candidate.weigh_as or model)
        prepared = estimators.prepare(
            match.card,
            candidate.place,
            self._tables.factors,
            operation=operation,
            operating_prior=candidate.operating_prior or self._rules.operating_prior,
            profile=self._rules.profile,
            methods=self._rules.methods,
            match_warnings=match.warnings,
            method=self._rules.method,
            hardware=candidate.hardware,
            batched=batched,
        )
        if len(self._prepared) >= REMEMBERED:
            self._prepared.clear()
        self._prepared[key] = prepared
        return prepared

    def card(self, candidate: Candidate, model: str) -> ModelCard:
        """The catalogue's facts of `model` served by `candidate`."""
        return self._tables.catalogue.resolve(candidate.weigh_as or model).card

    def forecast(self, prepared: Prepared, ask: Ask, tags: Tags = ()) -> Estimate:
        """What the call should weigh, before its answer: prompt by length, answer by its limit and the alias's usual length."""
        return prepared.estimate(self.likely_usage(ask, tags), possible_output_tokens=_limit(ask) if ask.endpoint.writes else None)

    def likely_usage(self, ask: Ask, tags: Tags = ()) -> Usage:
        """What the call should use, before its answer. tags: calls that carry the same tell how long it will be."""
        usage = Usage(input_tokens=guess_input_tokens(ask), output_tokens=self.likely_output_tokens(ask, tags), source="estimated")
        return usage if ask.endpoint.usage_of is None else ask.endpoint.usage_of(ask, b"", usage)

    def likely_output_tokens(self, ask: Ask, tags: Tags = ()) -> int:
        """The usual output of such calls, within the caller's limit; nothing for endpoints that write no text."""
        return self._output_tokens(ask, self._lengths.median(ask.alias, tags))

    def high_output_tokens(self, ask: Ask, tags: Tags = ()) -> int:
        """What nine of ten such calls stay within, as far as that is known; at least the usual output."""
        return max(self._output_tokens(ask, self._lengths.high(ask.alias, tags)), self.likely_output_tokens(ask, tags))

    def _output_tokens(self, ask: Ask, seen: float | None) -> int:
        if not ask.endpoint.writes:
            return 0
        usual = (self._usual.get(ask.alias, self._first_guess) if seen is None else seen) * choices_of(ask)
        limit = _limit(ask)
        return int(min(usual, limit * choices_of(ask), MOST_OUTPUT_TOKENS) if limit else min(usual, MOST_OUTPUT_TOKENS))

    def most_output_tokens(self, ask: Ask) -> int:
        """What the provider may have gone on to write when the client left."""
        usual = self._usual.get(ask.alias, self._first_guess)
        most = (_limit(ask) or max(usual, self._first_guess)) * choices_of(ask)
        return int(min(most, MOST_OUTPUT_TOKENS)) if ask.endpoint.writes else 0

    def usual_output_tokens(self, alias: str) -> int:
        """What answers of `alias` usually have."""
        return int(self._usual.get(alias, self._first_guess))

    def learn(self, alias: str, output_tokens: float, tags: Tags = ()) -> None:
        """Lets one finished answer move the usual length of one choice: that of the alias, and that of its calls with the same tags."""
        self._lengths.take(alias, tags, output_tokens)
        usual = self._usual.get(alias)
        if usual is None:
            if len(self._usual) >= REMEMBERED_ALIASES:
                return
            usual = float(output_tokens)
        self._usual[alias] = usual + LEARNING_RATE * (output_tokens - usual)


def _limit(ask: Ask) -> int | None:
    """The caller's own limit of one choice, as far as a model can go."""
    limit = ask.max_output_tokens
    return None if limit is None else min(limit, LONGEST_ANSWER_TOKENS)


def choices_of(ask: Ask) -> int:
    """How many answers the call asks for."""
    return min(ask.whole("n") or 1, MOST_CHOICES)
