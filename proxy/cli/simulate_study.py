"""Shows the study of 2025 beside our figures. It must never print a reconstructed number as the study's own."""

import json
from collections.abc import Mapping

from config.ranges import Range
from config.tables import Tables
from estimators.quantity import Spread
from proxy.cli.output import Cell, Format, Row, show_rows
from proxy.cli.simulate_show import show_titled, unit_label
from proxy.cli.speech import Speech
from proxy.scenario.study import Figure, Likeness, Member, Present, Step, StudyPage, nearest_readings

CSV_COLUMNS = ("section", "id", "column", "unit", "value", "low", "high", "verdict")
PICTURES = ("visual", "audiences")
MORE_THAN = frozenset({"retailer"})
"""Figures that the study gives as a lower end."""


def show_study(page: StudyPage, tables: Tables, speech: Speech, form: Format) -> None:
    """Prints the whole page."""
    factor_set = tables.factors.stamp
    if form is Format.JSON:
        print(json.dumps(as_document(page, factor_set), indent=2, ensure_ascii=False))
    elif form is Format.CSV:
        show_rows(csv_rows(page), CSV_COLUMNS, form)
    else:
        _show_page(page, factor_set, speech)


def _show_page(page: StudyPage, factor_set: str, speech: Speech) -> None:
    tokens = {"input": speech.count(page.sheet_tokens[0]), "output": speech.count(page.sheet_tokens[1])}
    print(f"{speech.say('study.title')}\n{speech.say('study.label')}")
    texts = [_figure_row(each, page, speech) for each in page.figures if not each.id.startswith(PICTURES)]
    pictures = [_figure_row(each, page, speech) for each in page.figures if each.id.startswith(PICTURES)]
    show_titled(texts, speech.say("study.figures", **tokens), speech)
    show_titled(pictures, speech.say("study.visuals"), speech)
    print("\n".join(_readings(page, speech)))
    sheet = page.figures[0].each_gco2e.value
    training = {"training": speech.number((1 / page.steps[page.today[0].id][1].ratio - 1) * 100)}
    heading = speech.say("study.family", mass=speech.mass(sheet), intensity=speech.number(page.gco2e_per_kwh), **training)
    show_titled([_member_row(each, tokens["output"], speech) for each in page.family], heading, speech)
    show_titled(_step_rows(page, speech), speech.say("study.why"), speech)
    print("\n".join([*(_in_short(present, page.steps[present.id], speech) for present in page.today)]))
    show_titled([_likeness_row(each, speech) for each in page.likenesses], speech.say("study.alike"), speech)
    unit = page.likenesses[0].unit
    print(speech.say("study.sources", factors=factor_set, source=unit.source, year=unit.year))


def _figure_row(figure: Figure, page: StudyPage, speech: Speech) -> dict[str, Cell]:
    low = figure.stated_gco2e.value
    stated = speech.say("study.more_than", mass=speech.mass(low)) if figure.id in MORE_THAN else speech.mass(low)
    row: dict[str, Cell] = {
        speech.say("study.figure"): speech.say(f"study.figure.{figure.id}"),
        speech.say("study.stated"): stated,
        speech.say("study.arithmetic"): _product(figure, speech),
        speech.say("study.agrees"): speech.say("word.yes" if figure.agrees else "word.no"),
    }
    for present in page.today:
        model = f"{present.image_model} {present.image_quality}" if figure.id.startswith(PICTURES) else present.model
        row[_column(present, model, speech)] = _ours(figure.ours[present.id], speech)
    return row


def _product(figure: Figure, speech: Speech) -> str:
    """The arithmetic in words; a single piece has none."""
    if figure.pieces == 1:
        return "-"
    each, computed = figure.each_gco2e, figure.computed_gco2e
    counts = " x ".join(speech.count(count) for count in figure.counts)
    return f"{counts} x {_masses(each, speech)} = {_masses(computed, speech)}"


def _masses(span: Range, speech: Speech) -> str:
    """Low to high where they differ."""
    if span.low == span.high:
        return speech.mass(span.value)
    return speech.say("study.span", low=speech.mass(span.low), high=speech.mass(span.high))


def _column(present: Present, model: str, speech: Speech) -> str:
    return speech.say(f"study.ours.{present.id}", model=model)


def _ours(spread: Spread | None, speech: Speech) -> str:
    if spread is None:
        return speech.say("study.unweighed")
    return speech.say("study.range", expected=speech.mass(spread.mean), low=speech.mass(spread.p5), high=speech.mass(spread.p95))


def _readings(page: StudyPage, speech: Speech) -> list[str]:
    by_id = {figure.id: figure for figure in page.figures}
    retailer, first, second = by_id["retailer"].implied_gco2e, by_id["audiences"], by_id["audiences-of-20"]
    variants = by_id["visual-of-20"].pieces
    return [
        speech.say("study.implied", low=speech.mass(retailer.low), stated=speech.mass(retailer.high)),
        speech.say("study.campaigns", first=speech.count(first.counts[-1]), second=speech.count(second.counts[-1])),
        *(
            speech.say(f"study.near.{reading}", model=f"{present.image_model} {present.image_quality}", mass=speech.mass(mass))
            for present, mass, reading in nearest_readings(page)
        ),
        speech.say("study.visual", visual=speech.number(page.visual_gpu_wh), variant=speech.number(page.visual_gpu_wh / variants)),
    ]


def _member_row(member: Member, sheet_tokens: str, speech: Speech) -> dict[str, Cell]:
    assumed = member.assumptions
    sizes = {"active": speech.count(member.active_params_b), "total": speech.count(member.total_params_b)}
    return {
        speech.say("study.set"): speech.say(f"study.set.{assumed.id}"),
        speech.say("study.params"): speech.say("study.params.value", **sizes),
        speech.say("study.machines"): speech.say(
            "study.machines.value", gpus=member.gpus, gpu=assumed.gpu.upper(), precision=assumed.precision.upper()
        ),
        speech.say("study.batch"): round(member.batch),
        speech.say("study.joules"): member.gpu_j_per_output_token,
        speech.say("study.tokens"): float(member.output_tokens),
        speech.say("study.sheets", output=sheet_tokens): member.sheets,
        "gCO2e": _ours(member.gco2e, speech),
    }


def _step_rows(page: StudyPage, speech: Speech) -> list[dict[str, Cell]]:
    """One row per step, one column per way to make it today."""
    first = page.steps[page.today[0].id]
    rows: list[dict[str, Cell]] = []
    for at, step in enumerate(first):
        values = {"output": speech.count(page.sheet_tokens[1]), "tokens": speech.count(page.family[0].output_tokens)}
        label = speech.say(f"study.step.{step.id}", model=_ELLIPSIS, place=_ELLIPSIS, **values)
        row: dict[str, Cell] = {speech.say("study.step"): label}
        for present in page.today:
            mine = page.steps[present.id][at]
            ratio = "" if at == 0 else f" (x {speech.number(mine.ratio)})"
            row[_column(present, present.model, speech)] = f"{speech.mass(mine.gco2e)}{ratio}"
        rows.append(row)
    return rows


_ELLIPSIS = "…"
"""Stands for what the columns of a table name."""


def _in_short(present: Present, steps: tuple[Step, ...], speech: Speech) -> str:
    ratios = {f"by_{step.id}": speech.number(1 / step.ratio) for step in steps}
    return speech.say(
        "study.times", times=speech.number(steps[0].gco2e / steps[-1].gco2e), model=_column(present, present.model, speech), **ratios
    )


def _likeness_row(likeness: Likeness, speech: Speech) -> dict[str, Cell]:
    label, mass, now = unit_label(likeness.unit, speech), likeness.gco2e, likeness.now
    span = (
        speech.say("study.span", low=speech.number(now.low), high=speech.number(now.high))
        if now.high > now.low
        else speech.number(now.value)
    )
    return {
        speech.say("study.mass"): _masses(mass, speech),
        speech.say("study.then"): speech.say("study.of", count=speech.count(likeness.stated), unit=label),
        speech.say("study.now"): span,
        "kgCO2e": likeness.unit.kgco2e_per_unit,
        speech.say("study.holds"): speech.say("word.yes" if likeness.holds else "word.no"),
    }


def csv_rows(page: StudyPage) -> list[Row]:
    """Everything in one table."""
    found: list[Row] = []
    for each in page.figures:
        stated, computed = each.stated_gco2e, each.computed_gco2e
        found.append(_row("figure", each.id, "stated", "gCO2e", (stated.value, stated.low, stated.high), None))
        found.append(_row("figure", each.id, "computed", "gCO2e", (computed.value, computed.low, computed.high), each.agrees))
        found += [
            _row("figure", each.id, id_, "gCO2e", tuple(spread) if spread is not None else (None, None, None), None)
            for id_, spread in each.ours.items()
        ]
    for member in page.family:
        name = member.assumptions.id
        found.append(_row("reconstruction", name, "gpu_j_per_output_token", "J", (member.gpu_j_per_output_token, None, None), None))
        found.append(_row("reconstruction", name, "output_tokens", "tokens", (member.output_tokens, None, None), None))
        found.append(_row("reconstruction", name, "sheet", "gCO2e", tuple(member.gco2e), None))
    for id_, steps in page.steps.items():
        found += [_row("step", step.id, id_, "gCO2e", (step.gco2e, None, None), None) for step in steps]
    for like in page.likenesses:
        found.append(_row("likeness", like.unit.id, "stated", like.unit.unit, (like.stated, None, None), None))
        found.append(_row("likeness", like.unit.id, "now", like.unit.unit, (like.now.value, like.now.low, like.now.high), like.holds))
    return found


def _row(section: str, id_: str, column: str, unit: str, span: tuple[float | None, ...], verdict: bool | None) -> Row:
    value, low, high = span
    return {
        "section": section,
        "id": id_,
        "column": column,
        "unit": unit,
        "value": value,
        "low": low,
        "high": high,
        "verdict": None if verdict is None else str(verdict).lower(),
    }


def as_document(page: StudyPage, factor_set: str) -> dict[str, object]:
    """Everything as plain values, figures in full."""
    return {
        "object": "footprint.study",
        "reconstruction": "of this project, not the authors' method",
        "factor_set": factor_set,
        "sheet_tokens": {"input": page.sheet_tokens[0], "output": page.sheet_tokens[1]},
        "figures": [_figure_document(each) for each in page.figures],
        "today": [{"id": each.id, "model": each.model, "provider": each.provider, "region": each.region} for each in page.today],
        "family": [_member_document(each) for each in page.family],
        "steps": {id_: [{"id": step.id, "gco2e": step.gco2e, "ratio": step.ratio} for step in steps] for id_, steps in page.steps.items()},
        "visual_gpu_wh": page.visual_gpu_wh,
        "likenesses": [_likeness_document(each) for each in page.likenesses],
    }


def _figure_document(figure: Figure) -> dict[str, object]:
    computed, stated = figure.computed_gco2e, figure.stated_gco2e
    return {
        "id": figure.id,
        "counts": list(figure.counts),
        "each_gco2e": figure.each_gco2e.value,
        "stated_gco2e": {"value": stated.value, "low": stated.low, "high": stated.high},
        "computed_gco2e": {"value": computed.value, "low": computed.low, "high": computed.high},
        "agrees": figure.agrees,
        "ours": {id_: _spread(spread) for id_, spread in figure.ours.items()},
    }


def _spread(spread: Spread | None) -> Mapping[str, float] | None:
    return None if spread is None else {"expected": spread.mean, "p5": spread.p5, "p95": spread.p95}


def _member_document(member: Member) -> dict[str, object]:
    return {
        "id": member.assumptions.id,
        "active_params_b": member.active_params_b,
        "total_params_b": member.total_params_b,
        "gpu": member.assumptions.gpu,
        "gpus": member.gpus,
        "precision": member.assumptions.precision,
        "batch": member.batch,
        "gpu_j_per_output_token": member.gpu_j_per_output_token,
        "output_tokens": member.output_tokens,
        "gco2e": _spread(member.gco2e),
    }


def _likeness_document(likeness: Likeness) -> dict[str, object]:
    now = likeness.now
    return {
        "unit": likeness.unit.id,
        "label_en": likeness.unit.label_en,
        "label_fr": likeness.unit.label_fr,
        "kgco2e_per_unit": likeness.unit.kgco2e_per_unit,
        "source": likeness.unit.source,
        "year": likeness.unit.year,
        "gco2e": likeness.gco2e.value,
        "stated": likeness.stated,
        "now": {"value": now.value, "low": now.low, "high": now.high},
        "holds": likeness.holds,
    }
