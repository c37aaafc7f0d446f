"""Weighs a recorded attempt by what the ledger holds of it. It must never take a guess for a fact: what is not known is a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

import estimators
from config.deployment import StatedHardware
from config.place import Place
from config.tables import Tables
from estimators import local
from estimators.choose import named
from estimators.estimate import Estimate
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.local import local_estimate
from estimators.prepared import Prepared
from proxy.call import WeighingFacts
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.realtime import HEARD, LIVE, REALTIME
from proxy.late.book import BOOKED_LATE, CREATOR_UNKNOWN
from proxy.ledger.weighed_past import WeighedPast
from proxy.ledger.weighing_store import RulesInForce, in_force_at
from proxy.meter.energy import CAPPED, INVALID, SHAPES
from proxy.meters.board import SILENT
from proxy.policy.place_words import recorded_place
from proxy.weigh import WEIGHING_TROUBLE

NO_USAGE: Final = "no_usage"
"""Nothing was counted, and no reason was given."""

OPERATION_UNKNOWN: Final = "operation_unknown"
"""What was made is not recorded: work that was booked late by a version that did not keep it."""

TIME_UNKNOWN: Final = "processor_time_unknown"
"""What the proxy made itself, recorded by a version that did not keep how long that took."""

NOT_COVERED: Final = "not_covered"
"""The method asked for does not weigh such a call."""

NOT_WEIGHED: Final = "weighing_failed"

OF_THE_CALL: Final = frozenset({BOOKED_LATE, CREATOR_UNKNOWN, CAPPED, INVALID, SILENT, *(shape.caveat for shape in SHAPES if shape.caveat)})
"""Warnings that tell what happened, and not how it was weighed: they stay with the attempt."""

_WEIGHED_AS: Final[Mapping[tuple[str, str], str]] = {
    (each.path, each.operation): each.weighed_as for each in (*ENDPOINTS, REALTIME, HEARD, LIVE)
}
_NO_FACTS: Final = WeighingFacts()
_MOST_PREPARED: Final = 4096


@dataclass(frozen=True, slots=True)
class Unweighable:
    """Why an attempt cannot be weighed anew."""

    reason: str


class Restater:
    """Weighs attempts by `tables`, and by `method` where one is named, else as the configuration of the call's time had it."""

    def __init__(self, tables: Tables, rules: Sequence[RulesInForce], method: str | None = None) -> None:
        self._tables = tables
        self._rules = rules
        self._method = method
        self._prepared: dict[tuple[object, ...], Prepared | None] = {}

    @property
    def factor_set(self) -> str:
        """What the estimates bear."""
        return self._tables.factors.stamp

    def weigh(self, past: WeighedPast) -> Estimate | Unweighable:
        """The attempt's estimate."""
        facts = past.facts or _NO_FACTS
        if past.usage is None:
            return Unweighable(past.unweighed_reason or NO_USAGE)
        try:
            if facts.cpu_s is not None:
                return self._made_here(past, facts.cpu_s)
            if past.live is not None and past.live.method == local.METHOD:
                return Unweighable(TIME_UNKNOWN)
            return self._generated(past, facts)
        except (*WEIGHING_TROUBLE, msgspec.MsgspecError):
            return Unweighable(NOT_WEIGHED)

    def _made_here(self, past: WeighedPast, cpu_s: float) -> Estimate:
        return local_estimate(cpu_s, self._place(past), self._tables.factors, self._profile(past))

    def _generated(self, past: WeighedPast, facts: WeighingFacts) -> Estimate | Unweighable:
        operation = facts.weighed_as or _WEIGHED_AS.get((past.path, past.operation))
        if operation is None or past.usage is None:
            return Unweighable(OPERATION_UNKNOWN)
        prepared = self._ready(past, facts, operation)
        if prepared is None:
            return Unweighable(NOT_COVERED)
        travelled = past.bytes_travelled if facts.weighed_as is None else None
        found = prepared.estimate(past.usage, possible_output_tokens=facts.possible_output_tokens, network_bytes=travelled)
        said = [] if past.live is None else [warning for warning in past.live.warnings if warning in OF_THE_CALL]
        return found._replace(warnings=(*found.warnings, *said)) if said else found

    def _ready(self, past: WeighedPast, facts: WeighingFacts, operation: str) -> Prepared | None:
        """The method for such attempts; None where the one asked for does not cover them."""
        rules = self._in_force(past)
        deployment = (past.provider, past.region, past.zone, past.place_assumed, past.served_model, operation)
        key = (
            *deployment,
            facts.place,
            facts.catalogue_model,
            facts.hardware,
            facts.operating_prior,
            facts.batched,
            *rules.said,
            self._profile(past),
        )
        if key not in self._prepared:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            self._prepared[key] = self._prepare(past, facts, operation, rules)
        return self._prepared[key]

    def _prepare(self, past: WeighedPast, facts: WeighingFacts, operation: str, rules: RulesInForce) -> Prepared | None:
        match = self._tables.catalogue.resolve(facts.catalogue_model or past.served_model)
        if self._method is not None and not named(self._method).covers(operation, match.card):
            return None
        return estimators.prepare(
            match.card,
            self._place(past),
            self._tables.factors,
            operation=operation,
            operating_prior=facts.operating_prior or rules.operating_prior,
            profile=self._profile(past),
            methods=rules.methods,
            match_warnings=match.warnings,
            method=self._method,
            hardware=_hardware(facts.hardware),
            batched=facts.batched,
        )

    def _place(self, past: WeighedPast) -> Place:
        fact = None if past.facts is None else past.facts.place
        return recorded_place(
            past.provider, region=past.region, zone=past.zone, assumed=past.place_assumed, fact=fact, places=self._tables.places
        )

    def _profile(self, past: WeighedPast) -> str:
        """The boundary that the attempt was recorded in; where it was not weighed, that of its time."""
        return self._in_force(past).profile if past.live is None else past.live.profile

    def _in_force(self, past: WeighedPast) -> RulesInForce:
        found = in_force_at(self._rules, past.started_ms)
        if found is None:
            raise ValueError("no rules of weighing are known")
        return found


def _hardware(stated: str | None) -> Hardware:
    """What was known of the machines, from the ledger's JSON."""
    return UNKNOWN_HARDWARE if stated is None else Hardware(**StatedHardware.model_validate_json(stated).model_dump())
