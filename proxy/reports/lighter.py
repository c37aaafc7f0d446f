"""What would weigh less, each computed at the usage that there was. It must never show what may as well weigh more.

Both ways are weighed by the same method at the mean call of a group; doubts that they share cancel. The grams of the modelled call are then
brought to those that the group really has. Whether a smaller model does the job, or a provider serves it elsewhere, is not judged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import estimators
from config.deployment import Deployment
from config.model_card import ModelCard
from config.place import Place
from config.providers import provider_id
from config.relatives import BIG_STEP, lowest_region, smaller_relative
from config.settings import Settings
from config.tables import Tables
from estimators.paired import PairedTotal
from estimators.quantity import Quantity, ScopeKeys
from estimators.usage import Usage
from proxy.endpoints import ENDPOINTS
from proxy.ledger.details import Detail, LengthClass
from proxy.reports.document import Deliverable, Lighter
from proxy.reports.line import Spread
from proxy.reports.sums import repeated, rescaled, times

LEAST_PROBABILITY: Final = 0.8
"""What weighs less with a lower probability is not shown (definition)."""

MADE_OVER: Final = 2
"""Calls per accepted asset from which one less is a way (definition)."""

MOST_SHOWN: Final = 8
TEXT: Final = frozenset({"chat", "completions"})
WEIGHING: Final[Mapping[str, str]] = {endpoint.operation: endpoint.weighed_as for endpoint in ENDPOINTS}
COUNTS: Final = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
Kind = Literal["smaller_model", "lower_carbon_region", "shorter_answers", "fewer_iterations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model at a place: what is weighed."""

    provider: str
    model: str
    card: ModelCard
    place: Place
    prior: str

    @property
    def label(self) -> str:
        """Where, in a word."""
        return f"{self.provider} {self.place.region or self.place.zone}"


@dataclass(slots=True)
class Group:
    """Text calls of one operation to one model at one place."""

    operation: str
    served: Served
    attempts: int = 0
    grams: float = 0.0
    usage: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0.0))

    def add(self, cell: Detail) -> None:
        """One more cell."""
        self.attempts += cell.opinions.attempts
        self.grams += cell.opinions.lines["gco2e"].mean
        for name in COUNTS:
            self.usage[name] += cell.usage[name]

    def mean_usage(self) -> Usage:
        """The mean call."""
        mean = {name: round(total / self.attempts) for name, total in self.usage.items()}
        mean["cached_input_tokens"] = min(mean["cached_input_tokens"], mean["input_tokens"])
        mean["reasoning_output_tokens"] = min(mean["reasoning_output_tokens"], mean["output_tokens"])
        return _usage(mean)


class Bench:
    """Weighs what-ifs by one set of tables and one configuration."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        self._settings = settings
        self._tables = tables
        self._configured = tuple(self._deployed(settings))

    def groups(self, cells: Iterable[Detail]) -> list[Group]:
        """Text calls with grams, heaviest first."""
        found: dict[tuple[str, str, str, str | None, str], Group] = {}
        for cell in cells:
            weighed = WEIGHING.get(cell.operation) if "gco2e" in cell.opinions.lines else None
            if weighed in TEXT and cell.usage["output_tokens"] > 0:
                key = (cell.operation, cell.provider, cell.model, cell.region, cell.zone)
                found.setdefault(key, Group(cell.operation, self._served(cell))).add(cell)
        return sorted((group for group in found.values() if group.grams > 0), key=lambda group: -group.grams)

    def smaller(self, group: Group) -> Served | None:
        """The largest configured model that is clearly smaller, else the vendor's nearest; None where there is neither."""
        card = group.served.card
        limit = card.active_params_b.value * BIG_STEP
        if card.size_basis == "class":
            return None
        known = [each for each in self._configured if each.card.active_params_b.value <= limit and card.operations <= each.card.operations]
        if known:
            return max(known, key=lambda each: (each.card.active_params_b.value, -_intensity(each.place)))
        relative = smaller_relative(card, self._tables.catalogue.cards())
        if relative is None:
            return None
        served = group.served
        return Served(provider=served.provider, model=relative.id, card=relative, place=served.place, prior=served.prior)

    def elsewhere(self, group: Group) -> Served | None:
        """The same model where computing has the least carbon: at a configured deployment, else in the provider's own cloud."""
        here = group.served
        known = [each for each in self._configured if each.card.id == here.card.id and _intensity(each.place) < _intensity(here.place)]
        if known:
            return min(known, key=lambda each: _intensity(each.place))
        row = next((row for row in self._tables.places.providers() if row.provider == here.provider), None)
        region = lowest_region((row.provider, row.cloud), self._tables) if row is not None and row.cloud else None
        if row is None or region is None or region.provider not in (row.provider, row.cloud):
            return None
        place = self._tables.places.resolve(here.provider, region=region.region)
        moved = Served(provider=here.provider, model=here.model, card=here.card, place=place, prior=here.prior)
        return moved if _intensity(place) < _intensity(here.place) else None

    def weighed(self, served: Served, operation: str, usage: Usage) -> tuple[Quantity, ScopeKeys]:
        """One call there, by the usual method."""
        weighing = self._settings.weighing
        prepared = estimators.prepare(
            served.card,
            served.place,
            self._tables.factors,
            operation=WEIGHING[operation],
            operating_prior=served.prior,
            profile=weighing.profile,
            methods=tuple(weighing.methods),
        )
        found = prepared.estimate(usage, network_bytes=0)
        keys = ScopeKeys(f"{found.method}@{found.method_version}", served.provider, served.card.id, served.place.zone)
        return found.gco2e, keys

    def _served(self, cell: Detail) -> Served:
        card = self._tables.catalogue.resolve(cell.model).card
        place = self._tables.places.resolve(cell.provider, region=cell.region, zone=cell.zone)
        same = (each for each in self._configured if (each.provider, each.model) == (cell.provider, cell.model))
        known = next(same, None)
        prior = known.prior if known is not None else self._settings.weighing.operating_prior
        return Served(provider=cell.provider, model=cell.model, card=known.card if known is not None else card, place=place, prior=prior)

    def _deployed(self, settings: Settings) -> Iterator[Served]:
        for alias, entry in settings.models.items():
            for deployment in entry.deployments:
                model = deployment.model or alias
                if "*" not in model:
                    yield self._configured_at(deployment, model)

    def _configured_at(self, deployment: Deployment, model: str) -> Served:
        place = self._tables.places.resolve(
            deployment.provider, region=deployment.region, zone=deployment.zone, api_host=_host(deployment.api_base)
        )
        return Served(
            provider=provider_id(deployment.provider),
            model=model,
            card=self._tables.catalogue.resolve(deployment.catalogue_model or model).card,
            place=place,
            prior=deployment.operating_prior or self._settings.weighing.operating_prior,
        )


def lighter(
    bench: Bench, cells: Sequence[Detail], lengths: Sequence[LengthClass], deliverables: Sequence[Deliverable]
) -> tuple[Lighter, ...]:
    """What would weigh less, the largest modelled difference first."""
    groups = bench.groups(cells)
    found = [
        *_paired("smaller_model", groups, bench, lambda group: _other(group, bench.smaller(group), lambda served: served.model)),
        *_paired("lower_carbon_region", groups, bench, lambda group: _other(group, bench.elsewhere(group), lambda served: served.label)),
        *_paired("shorter_answers", groups, bench, lambda group: _shorter(group, lengths)),
        *(each for line in deliverables for each in _fewer(line)),
    ]
    kept = [each for each in found if each.difference_gco2e.mean < 0 and each.probability_less >= LEAST_PROBABILITY]
    return tuple(sorted(kept, key=lambda each: each.difference_gco2e.mean)[:MOST_SHOWN])


What = tuple[str, Served, Usage]


def _other(group: Group, served: Served | None, label: Callable[[Served], str]) -> What | None:
    return None if served is None else (label(served), served, group.mean_usage())


def _shorter(group: Group, lengths: Sequence[LengthClass]) -> What | None:
    """Every answer above the median ends there."""
    served = group.served
    own = [each for each in lengths if (each.operation, each.provider, each.model) == (group.operation, served.provider, served.model)]
    answers = sum(each.answers for each in own)
    median = median_length(own)
    if median is None or answers == 0:
        return None
    capped = sum(min(each.output_tokens, each.answers * median) for each in own)
    usage = group.mean_usage()
    left = round(usage.output_tokens * capped / sum(each.output_tokens for each in own))
    parts = {name: getattr(usage, name) for name in COUNTS} | {"output_tokens": left}
    parts["reasoning_output_tokens"] = min(parts["reasoning_output_tokens"], left)
    return f"{median:.0f}", served, _usage(parts)


def _usage(counts: Mapping[str, int]) -> Usage:
    return Usage(
        input_tokens=counts["input_tokens"],
        cached_input_tokens=counts["cached_input_tokens"],
        output_tokens=counts["output_tokens"],
        reasoning_output_tokens=counts["reasoning_output_tokens"],
    )


def median_length(classes: Iterable[LengthClass]) -> float | None:
    """The mean length of the class that the median answer is in; None of nothing."""
    sizes: dict[int, list[int]] = {}
    for each in classes:
        size = sizes.setdefault(each.length_class, [0, 0])
        size[0] += each.answers
        size[1] += each.output_tokens
    half, seen = sum(answers for answers, _ in sizes.values()) / 2, 0
    for name in sorted(sizes):
        seen += sizes[name][0]
        if seen >= half:
            return sizes[name][1] / sizes[name][0]
    return None


def _paired(kind: Kind, groups: Sequence[Group], bench: Bench, change: Callable[[Group], What | None]) -> Iterator[Lighter]:
    """Groups of one model that change to the same thing are one line."""
    sums: dict[tuple[str, str], tuple[PairedTotal, list[int]]] = {}
    for group in groups:
        changed = change(group)
        if changed is None:
            continue
        label, served, usage = changed
        now, now_keys = bench.weighed(group.served, group.operation, group.mean_usage())
        then, then_keys = bench.weighed(served, group.operation, usage)
        if now.mean <= 0:
            continue
        ratio = group.grams / group.attempts / now.mean
        paired, calls = sums.setdefault((group.served.model, label), (PairedTotal(), []))
        calls.append(group.attempts)
        now, then = (rescaled(repeated(each, group.attempts), each.mean * group.attempts * ratio) for each in (now, then))
        paired.add(then, then_keys, now, now_keys)
    for (what, label), (paired, calls) in sums.items():
        gap = paired.difference()
        yield Lighter(
            kind=kind,
            what=what,
            instead=label,
            calls=sum(calls),
            gco2e=Spread(paired.b.mean, paired.b.p5, paired.b.p95),
            difference_gco2e=Spread(gap.mean, gap.p5, gap.p95),
            probability_less=gap.probability_a_is_less,
        )


def _fewer(line: Deliverable) -> Iterator[Lighter]:
    """One call less for each accepted asset, where there were two or more: all doubt is shared."""
    if line.calls_per_accepted is None or line.gco2e is None or line.calls_per_accepted < MADE_OVER:
        return
    part = times(line.gco2e, line.accepted / line.calls)
    yield Lighter(
        kind="fewer_iterations",
        what=line.kind,
        instead=f"{line.calls_per_accepted - 1:.1f}",
        calls=line.calls,
        gco2e=line.gco2e,
        difference_gco2e=Spread(-part.mean, -part.p95, -part.p5),
        probability_less=1.0,
    )


def _intensity(place: Place) -> float:
    return place.gco2e_per_kwh.value * place.pue.value


def _host(api_base: str | None) -> str | None:
    return None if api_base is None else api_base.partition("://")[2].partition("/")[0]
