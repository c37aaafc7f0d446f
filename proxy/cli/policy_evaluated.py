"""Weighs labelled calls as the policies would have them served, and as each model would. It must never print."""

from collections.abc import Mapping, Sequence

from config.policies import Escalate
from config.policy_cases import CaseCall
from config.settings import Settings
from config.tables import Tables
from estimators.quantity import ScopeKeys
from estimators.usage import Usage
from proxy.cli.policy_try import Trial, Tried
from proxy.endpoints import ENDPOINTS
from proxy.labelled.rows import Answer, Row
from proxy.labelled.ways import Part, Served
from proxy.policy.candidates import Candidate, candidates_from
from proxy.policy.option import Options
from proxy.policy.requirement import unmet
from proxy.weigh import Scales, WeighingRules


class Evaluation:
    """Labelled calls and a configuration. tried: each call by every model that has its score, at the model's first deployment.

    large, small: the models to compare with. Raises LookupError for a model that is not configured, or has no score in a row.
    """

    def __init__(self, settings: Settings, tables: Tables, rows: Sequence[Row], *, large: str | None, small: str | None) -> None:
        weighing = settings.weighing
        rules = WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))
        self._trial = Trial(settings, tables)
        self._candidates = candidates_from(settings, tables.places)
        self._options = Options(self._candidates, settings, tables.catalogue.resolve)
        self._scales = Scales(tables, rules)
        self._rows = rows
        self._policies = {policy.name: policy for policy in settings.policies}
        self._usual = _usual_lengths(rows)
        for row in rows:
            self._check(row)
        self.tried = [{alias: self._served(row, self._first(alias), alias) for alias in row.answers} for row in rows]
        weights = {alias: sum(row[alias].gco2e for row in self.tried) for alias in self.tried[0]}
        self.large = self._named(large, max(weights, key=lambda alias: weights[alias]))
        self.small = self._named(small, min(weights, key=lambda alias: weights[alias]))

    def under_policies(self) -> list[Served]:
        """Each call as the policies have it served; what falls short escalates where the policy that acted says so.

        Raises GrammageError where the proxy would refuse the call without any policy, LookupError where a model serves that has no score.
        """
        return [self._under_policies(row, number) for number, row in enumerate(self._rows, 1)]

    def _under_policies(self, row: Row, number: int) -> Served:
        tried = self._trial.run(
            CaseCall.model_validate(
                {
                    "alias": row.alias,
                    "operation": row.operation,
                    "tags": dict(row.tags),
                    "input_tokens": row.input_tokens,
                    "output_tokens": self._usual.get(row.alias),
                    "id": f"row-{number}",
                }
            )
        )
        if tried.decision is None:
            return Served(alias="", parts=(), score=0.0)
        served = tried.decision.attempts[0]
        usual = self._first(row.alias)
        alias = self._alias_of(served, row)
        found = self._served(row, served, alias)
        is_moved = (served.pattern, served.deployment) != (usual.pattern, usual.deployment)
        above = self._above(tried, row, alias)
        if above is None:
            return Served(alias=alias, parts=found.parts, score=found.score, is_moved=is_moved)
        second = self._served(row, above, self._alias_of(above, row))
        return Served(alias=second.alias, parts=(*found.parts, *second.parts), score=second.score, is_moved=is_moved)

    def _above(self, tried: Tried, row: Row, alias: str) -> Candidate | None:
        """Who is asked after the first answer, where that fell short and the policy that acted escalates."""
        verdict = tried.verdict
        policy = None if verdict is None or not verdict.acts else self._policies[verdict.policy]
        if policy is None or policy.escalate is None or policy.escalate.to == alias:
            return None
        if not _falls_short(row.answers[alias], row, policy.escalate):
            return None
        row_above = [
            option.candidate for option in self._options.own(policy.escalate.to, "openai") if unmet(policy.require, option) is None
        ]
        return row_above[0] if row_above else None

    def _served(self, row: Row, candidate: Candidate, alias: str) -> Served:
        answer = row.answers.get(alias)
        if answer is None:
            raise LookupError(f"row {row.line}: {alias} would serve it and has no column {alias}.score; add its scores, or take it out")
        model, operation = candidate.name_of(alias), self._weighed_as(row)
        prepared = self._scales.known(candidate, model, operation) or self._scales.prepare(candidate, model, operation)
        estimate = prepared.estimate(Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens))
        keys = ScopeKeys(prepared.labels.method, candidate.place.provider, self._scales.card(candidate, model).id, candidate.place.zone)
        return Served(alias=alias, parts=(Part(gco2e=estimate.gco2e, keys=keys, water_ml=estimate.water_ml.mean),), score=answer.score)

    def _weighed_as(self, row: Row) -> str:
        return next(each.weighed_as for each in ENDPOINTS if each.operation == row.operation)

    def lowest(self) -> list[dict[str, Served]]:
        """Each call by every model that has its score, at whichever of the model's deployments weighs least."""
        return [{alias: self._lowest(row, alias) for alias in row.answers} for row in self._rows]

    def _lowest(self, row: Row, alias: str) -> Served:
        return min((self._served(row, each, alias) for each in self._candidates.of(alias)), key=lambda served: served.gco2e)

    def _alias_of(self, candidate: Candidate, row: Row) -> str:
        """The alias that it serves under: what the caller wrote where a pattern took the call."""
        return candidate.pattern if candidate.pattern in self._candidates.exact else row.alias

    def _first(self, alias: str) -> Candidate:
        return self._candidates.of(alias)[0]

    def _check(self, row: Row) -> None:
        """Every model that a row names must be configured: else its grams would be those of a stranger."""
        for alias in (row.alias, *row.answers):
            if not self._candidates.of(alias):
                known = ", ".join(self._candidates.aliases)
                raise LookupError(
                    f"row {row.line}: model {alias!r} is not configured; known: {known}. Add it under models: or fix the name"
                )

    def _named(self, asked: str | None, default: str) -> str:
        if asked is not None and asked not in self.tried[0]:
            raise LookupError(f"{asked!r} has no column {asked}.score; there are: {', '.join(self.tried[0])}")
        return asked or default


def _falls_short(answer: Answer, row: Row, said: Escalate) -> bool:
    if answer.shortcoming is not None and answer.shortcoming in said.when:
        return True
    return row.escalate_below is not None and answer.score < row.escalate_below


def _usual_lengths(rows: Sequence[Row]) -> Mapping[str, int]:
    """Mean answer of each model, which the proxy would have learned: a forecast never knows the answer itself."""
    written: dict[str, list[int]] = {}
    for row in rows:
        for alias, answer in row.answers.items():
            written.setdefault(alias, []).append(answer.output_tokens)
    return {alias: round(sum(lengths) / len(lengths)) for alias, lengths in written.items()}
