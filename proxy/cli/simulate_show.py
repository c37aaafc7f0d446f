"""Shows weighed scenarios as tables, JSON or CSV. It must never show a figure without its range, nor word a difference as a gain."""

import json
from collections.abc import Sequence

from config.equivalences import Equivalence
from config.everyday import equivalents
from config.scenario import Scenario
from estimators.quantity import Quantity
from proxy.cli.output import Cell, Format, Row, show_rows
from proxy.cli.simulate_document import CSV_COLUMNS, Simulation, as_document, csv_rows
from proxy.cli.speech import Speech, mass_unit
from proxy.scenario.compare import Comparison
from proxy.scenario.weigh import LINES, Part, Weighed

UNITS = {"facility_energy_wh": "Wh", "water_ml": "mL"}
TEXT_COUNTS = ("products", "texts_per_product", "languages", "variants", "audiences", "campaigns_per_year")
PICTURE_COUNTS = ("products", "pictures_per_product", "variants", "audiences", "campaigns_per_year")
LARGER, PER_LARGER = {"Wh": "kWh", "mL": "L"}, 1e3
"""The unit for large figures, and how many of the small one it holds."""


def show_simulation(simulation: Simulation, speech: Speech, form: Format) -> None:
    """Prints it all."""
    if form is Format.JSON:
        print(json.dumps(as_document(simulation), indent=2, ensure_ascii=False))
    elif form is Format.CSV:
        show_rows(csv_rows(simulation), CSV_COLUMNS, form)
    else:
        _show_page(simulation, speech)


def _show_page(simulation: Simulation, speech: Speech) -> None:
    for weighed in simulation.weighed:
        print("\n".join([weighed.name, *(f"  {line}" for line in _facts(weighed, speech))]))
    per_unit = [row for weighed in simulation.weighed for row in _unit_rows(weighed, speech)]
    if per_unit:
        show_titled(per_unit, speech.say("emissions"), speech)
    if simulation.comparisons:
        _show_comparisons(simulation.comparisons, speech)
    else:
        rows = _line_rows(simulation.weighed[0], speech)
        show_titled(rows, speech.say("a_year"), speech)
    _show_advice(simulation, speech)
    for weighed in simulation.weighed:
        print("\n".join(alike(weighed.year("gco2e").mean, simulation.units, speech)))
    estimates = [part.estimate for weighed in simulation.weighed for part in weighed.parts]
    print("\n" + speech.say("note"))
    if estimates:
        print(speech.say("tiers"))
        print(speech.say("basis", profile=estimates[0].profile, factors=estimates[0].factor_set))


def show_titled(rows: Sequence[Row], title: str, speech: Speech) -> None:
    """A table under its title, which stands alone so that a narrow table does not fold it."""
    print(f"\n{title}")
    show_rows(rows, tuple(rows[0]), Format.TABLE, number=speech.number)


def _facts(weighed: Weighed, speech: Speech) -> list[str]:
    """What a scenario makes, with what, and what must be known about it."""
    plan, volume, lengths = weighed.scenario, weighed.volume, weighed.lengths
    found = []
    if volume.texts:
        found.append(speech.say("volume.texts", count=speech.count(volume.texts), product=_product(plan, TEXT_COUNTS, speech)))
        found += _calls(plan, volume.text_calls, speech)
        sides = ", ".join(speech.say(f"side.{side}") for side in lengths.assumed)
        tokens = {"input": speech.count(lengths.input_tokens), "output": speech.count(lengths.output_tokens)}
        found.append(speech.say("lengths.assumed" if sides else "lengths", sides=sides, **tokens))
    if volume.pictures:
        product = _product(plan, PICTURE_COUNTS, speech)
        found.append(speech.say("volume.pictures", count=speech.count(volume.pictures), product=product))
        found += _calls(plan, volume.picture_calls, speech)
    found += [_made(part, speech) for part in weighed.parts]
    found += [speech.say(f"left_out.{kind}") for kind in weighed.left_out]
    return [
        *found,
        *([speech.say("warnings", codes=", ".join(_warning(code, speech) for code in weighed.warnings))] if weighed.warnings else []),
    ]


def _warning(code: str, speech: Speech) -> str:
    """A warning in words with its code; a code that the catalogue does not know stands alone."""
    key = f"warning.{code}"
    return speech.say("warning", text=speech.say(key), code=code) if key in speech.texts else code


def _product(plan: Scenario, fields: Sequence[str], speech: Speech) -> str:
    """The counts that make a volume, those of 1 left out: ` = 1,000 products x 3 languages`."""
    counts = {field: _count_of(plan, field) for field in fields}
    found = [f"{speech.count(count)} {speech.say(f'count.{field}')}" for field, count in counts.items() if count != 1]
    return f" = {' x '.join(found)}" if found else ""


def _count_of(plan: Scenario, field: str) -> float:
    if field == "pictures_per_product":
        return plan.images.per_product if plan.images is not None else 0.0
    return float(getattr(plan, field))


def _calls(plan: Scenario, calls: float, speech: Speech) -> list[str]:
    """How many calls drafts and retries make of it; nothing where each text or picture is one call."""
    if plan.iterations == 1 and not plan.retries:
        return []
    counts = {"calls": speech.count(calls), "iterations": speech.count(plan.iterations), "retries": speech.count(plan.retries * 100)}
    return [speech.say("volume.calls", **counts)]


def _made(part: Part, speech: Speech) -> str:
    place, estimate = part.place, part.estimate
    where = f"{place.provider} {place.region or ''}".strip()
    return speech.say(
        f"made.{part.kind}",
        model=part.match.card.id,
        place=speech.say("assumed", place=where) if place.assumed else where,
        zone=estimate.zone,
        intensity=speech.number(estimate.gco2e_per_kwh),
        quality=estimate.quality,
        method=f"{estimate.method}@{estimate.method_version}",
    )


def _unit_rows(weighed: Weighed, speech: Speech) -> list[dict[str, Cell]]:
    return [
        {
            speech.say("scenario"): weighed.name,
            speech.say("per"): speech.say(f"unit.{unit}"),
            speech.say("unit"): mass_unit(quantity.mean)[1],
            **_spread(quantity, 1 / mass_unit(quantity.mean)[0], speech),
        }
        for unit, quantity in weighed.per_unit("gco2e").items()
    ]


def _line_rows(weighed: Weighed, speech: Speech) -> list[dict[str, Cell]]:
    found: list[dict[str, Cell]] = []
    for line in LINES:
        quantity = weighed.year(line)
        unit, size = _line_unit(line, quantity.mean)
        found.append({speech.say("line"): speech.say(f"line.{line}"), speech.say("unit"): unit, **_spread(quantity, 1 / size, speech)})
    return found


def _line_unit(line: str, mean: float) -> tuple[str, float]:
    """Unit and size of one unit for a line's figure."""
    if line not in UNITS:
        size, unit = mass_unit(mean)
        return unit, size
    small = UNITS[line]
    return (LARGER[small], PER_LARGER) if mean >= PER_LARGER else (small, 1.0)


def _spread(quantity: Quantity, by: float, speech: Speech) -> dict[str, Cell]:
    mean, low, high = quantity.spread()
    return {speech.say("expected"): mean * by, speech.say("low"): low * by, speech.say("high"): high * by}


def _show_comparisons(comparisons: Sequence[Comparison], speech: Speech) -> None:
    rows = [_difference_row(each, each.name, "scenario", speech) for each in comparisons]
    title = speech.say("compared", baseline=comparisons[0].baseline)
    show_titled(rows, title, speech)
    for each in comparisons:
        shared = ", ".join(speech.say(f"scope.{scope}") for scope in each.shared) or speech.say("nothing")
        print(speech.say("compared.shared", name=each.name, shared=shared))
    print(speech.say("compared.note"))


def _show_advice(simulation: Simulation, speech: Speech) -> None:
    base = simulation.weighed[0]
    if not simulation.advice:
        print("\n" + speech.say("advice.none") + "\n")
        return
    before = {"iterations": speech.count(base.scenario.iterations), "answer": speech.count(base.lengths.output_tokens)}
    rows = [
        _difference_row(
            each.comparison, speech.say(f"advice.{each.kind}", detail=each.detail, before=before.get(each.kind, "")), "change", speech
        )
        for each in simulation.advice
    ]
    show_titled(rows, speech.say("advice", baseline=base.name), speech)


def _difference_row(comparison: Comparison, label: str, head: str, speech: Speech) -> dict[str, Cell]:
    size, unit = mass_unit(comparison.gco2e.mean)
    return {
        speech.say(head): label,
        speech.say("unit"): unit,
        speech.say("expected"): comparison.gco2e.mean / size,
        speech.say("low"): comparison.gco2e.p5 / size,
        speech.say("high"): comparison.gco2e.p95 / size,
        speech.say("ratio"): comparison.ratio,
        speech.say("sure"): speech.say("word.yes" if comparison.gco2e.p95 < 0 else "word.no"),
    }


def alike(gco2e: float, units: Sequence[Equivalence], speech: Speech) -> list[str]:
    """A mass in everyday units with their source, as sentences; nothing for nothing."""
    found = equivalents(gco2e, units)
    if not found:
        return []
    named = ", ".join(speech.say("alike.item", times=speech.number(each.times), unit=unit_label(each.unit, speech)) for each in found)
    sentence = speech.say("alike", mass=speech.mass(gco2e), list=named)
    unit = found[0].unit
    return [f"{sentence} {speech.say('alike.source', source=unit.source, year=unit.year)}"]


def unit_label(unit: Equivalence, speech: Speech) -> str:
    """The everyday unit in the reader's language."""
    return unit.label_fr if speech.lang.value == "fr" else unit.label_en
