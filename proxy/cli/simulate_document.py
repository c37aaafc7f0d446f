"""Weighed scenarios as plain values for JSON and CSV. It must never round, nor word a difference as a gain."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.equivalences import Equivalence
from config.everyday import Equivalent, equivalents
from estimators.quantity import Quantity
from proxy.cli.output import Cell, Row
from proxy.scenario.advise import Advice
from proxy.scenario.compare import Comparison
from proxy.scenario.weigh import LINES, Part, Weighed

CSV_COLUMNS = ("section", "scenario", "baseline", "per", "line", "expected", "p5", "p95", "ratio", "probability_lower")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Weighed scenarios, the others against the first, what would change the first, and everyday units."""

    weighed: tuple[Weighed, ...]
    comparisons: tuple[Comparison, ...]
    advice: tuple[Advice, ...]
    units: tuple[Equivalence, ...]


def csv_rows(simulation: Simulation) -> list[Row]:
    """Everything in one table: figures of a section leave the columns of the others empty."""
    found: list[Row] = [
        {"section": "scenario", "scenario": weighed.name, "per": unit, "line": line, **_plain(quantity)}
        for weighed in simulation.weighed
        for line in LINES
        for unit, quantity in weighed.per_unit(line).items()
    ]
    pairs = [("difference", each, each.name) for each in simulation.comparisons]
    pairs += [("advice", each.comparison, f"{each.kind}: {each.detail}") for each in simulation.advice]
    found += [
        {
            "section": section,
            "scenario": label,
            "baseline": each.baseline,
            "per": "year",
            "line": "gco2e",
            "expected": each.gco2e.mean,
            "p5": each.gco2e.p5,
            "p95": each.gco2e.p95,
            "ratio": each.ratio,
            "probability_lower": each.gco2e.probability_a_is_less,
        }
        for section, each, label in pairs
    ]
    return found


def as_document(simulation: Simulation) -> dict[str, object]:
    """Everything as plain values, figures in full."""
    return {
        "object": "footprint.simulation",
        "scenarios": [_scenario_document(each, simulation.units) for each in simulation.weighed],
        "comparisons": [{"scenario": each.name, **_difference(each)} for each in simulation.comparisons],
        "advice": [{"change": each.kind, "to": each.detail, **_difference(each.comparison)} for each in simulation.advice],
    }


def _scenario_document(weighed: Weighed, units: Sequence[Equivalence]) -> dict[str, object]:
    volume, lengths = weighed.volume, weighed.lengths
    per: dict[str, dict[str, object]] = {}
    for line in LINES:
        for unit, quantity in weighed.per_unit(line).items():
            per.setdefault(unit, {})[line] = _plain(quantity)
    return {
        "name": weighed.name,
        "scenario": weighed.scenario.model_dump(exclude_none=True, exclude_defaults=True),
        "texts": volume.texts,
        "pictures": volume.pictures,
        "calls": volume.text_calls + volume.picture_calls,
        "input_tokens": lengths.input_tokens,
        "output_tokens": lengths.output_tokens,
        "assumed_lengths": list(lengths.assumed),
        "per": per,
        "parts": [_part_document(part) for part in weighed.parts],
        "left_out": list(weighed.left_out),
        "warnings": list(weighed.warnings),
        "equivalents": [equivalent_document(each) for each in equivalents(weighed.year("gco2e").mean, units)],
    }


def _part_document(part: Part) -> dict[str, object]:
    estimate, place = part.estimate, part.place
    return {
        "kind": part.kind,
        "calls": part.calls,
        "model": part.match.card.id,
        "provider": place.provider,
        "region": place.region,
        "place_assumed": place.assumed,
        "zone": estimate.zone,
        "gco2e_per_kwh": estimate.gco2e_per_kwh,
        "quality": estimate.quality,
        "method": f"{estimate.method}@{estimate.method_version}",
        "profile": estimate.profile,
        "factor_set": estimate.factor_set,
    }


def equivalent_document(each: Equivalent) -> dict[str, object]:
    """So many units, with their source and year."""
    return {
        "times": each.times,
        "unit": each.unit.id,
        "label_en": each.unit.label_en,
        "label_fr": each.unit.label_fr,
        "kgco2e_per_unit": each.unit.kgco2e_per_unit,
        "source": each.unit.source,
        "year": each.unit.year,
    }


def _difference(comparison: Comparison) -> dict[str, object]:
    gap = comparison.gco2e
    return {
        "baseline": comparison.baseline,
        "modelled_difference_gco2e": {"expected": gap.mean, "p5": gap.p5, "p95": gap.p95},
        "ratio": comparison.ratio,
        "probability_lower": gap.probability_a_is_less,
        "shared_doubt": list(comparison.shared),
    }


def _plain(quantity: Quantity) -> dict[str, Cell]:
    mean, low, high = quantity.spread()
    return {"expected": mean, "p5": low, "p95": high}
