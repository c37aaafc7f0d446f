"""How a report looks: what a long page keeps, what charts name, how workbooks are laid out, in both languages."""

import re
from dataclasses import replace
from datetime import datetime

import pytest

from proxy.reports.document import Branch
from proxy.reports.pages.charts import draw
from proxy.reports.pages.html import html_page
from proxy.reports.pages.language import Language
from proxy.reports.pages.write import write
from tests.contract.test_report_pages import opened
from tests.report_samples import around, line, sample_report


def test_a_page_shows_every_brand_before_any_asset() -> None:
    """A tree that is too long loses assets first, then campaigns."""
    assets = tuple(Branch(level="asset", name=f"sku-{place}", calls=1, gco2e=around(1.0)) for place in range(30))
    campaign = Branch(level="campaign", name="noel-26", calls=30, gco2e=around(30.0), below=assets)
    tree = tuple(Branch(level="brand", name=f"brand-{place}", calls=30, gco2e=around(30.0), below=(campaign,)) for place in range(3))
    text = html_page(sample_report(tree=tree), "en")
    assert [name in text for name in ("brand-0", "brand-2", "noel-26", "sku-3")] == [True, True, True, False]
    assert "Lines not listed here: 90." in text
    many = tuple(replace(branch, below=(campaign,) * 9) for branch in tree)
    assert "noel-26<" not in re.sub(r"(?s)^.*Brands, campaigns, assets", "", html_page(sample_report(tree=many, purposes={}), "en"))


def test_a_day_without_calls_leaves_a_gap_in_the_chart() -> None:
    language = Language(code="en")

    def lefts(*days: str) -> list[float]:
        report = sample_report(groups={"day": tuple(line(day, 10.0) for day in days)})
        found = next(table for section in write(report, "en").sections for table in section.tables if table.id == "days")
        picture = draw(found, language)
        assert picture is not None
        return [box.x for box in picture.boxes]

    first, second, fourth = lefts("2026-11-01", "2026-11-02", "2026-11-04")
    assert fourth - second == pytest.approx(2 * (second - first))
    assert len(lefts("none", "2026-11-02")) == 2


def test_a_long_name_in_a_chart_takes_two_lines_before_it_is_cut() -> None:
    lines = (line("an agency of a name that needs the room of two lines", 2.0), line("word " * 40, 1.0))
    report = sample_report(groups={"tag:campaign": lines})
    found = next(table for section in write(report, "en").sections for table in section.tables if table.id == "by_tag")
    picture = draw(found, Language(code="en"))
    assert picture is not None
    names = [word.text for word in picture.words if word.anchor == "end"]
    assert " ".join(names[:2]) == lines[0].key
    assert (len(names), names[3][-1]) == (4, "\N{HORIZONTAL ELLIPSIS}")


def test_codes_of_ours_have_names_in_the_language() -> None:
    groups = {"policy": (line("none", 2.0), line("shadow:go", 1.0)), "zone": (line("WORLD", 3.0),), "model": (line("none", 3.0),)}
    tables = {table.id: table for section in write(sample_report(groups=groups), "fr").sections for table in section.tables}
    assert [row[0] for row in tables["by_policy"].rows] == ["(aucune politique)", "go (observe seulement)"]
    assert [tables[id].rows[0][0] for id in ("by_zone", "by_model")] == ["moyenne mondiale", "none"]


def test_a_team_of_which_only_the_cost_is_known_gets_no_page() -> None:
    seats = replace(sample_report().habits[0], team="Seats", calls_per_accepted=None, oversized_share=None, long_answer_share=None)
    report = sample_report()
    section = next(each for each in write(replace(report, habits=(seats, *report.habits)), "en").sections if each.id == "habits")
    assert [part.title for part in section.parts] == ["Team content"]


@pytest.mark.parametrize(("language", "dates"), [("en", "d mmm yyyy"), ("fr", "dd/mm/yyyy")])
def test_a_workbook_keeps_its_head_in_sight_and_writes_dates_as_people_do(language: str, dates: str) -> None:
    book = opened(sample_report(), language)
    assert {sheet.freeze_panes for sheet in book} == {"B3"}
    days = [cell.number_format for sheet in book for row in sheet.iter_rows() for cell in row if isinstance(cell.value, datetime)]
    assert set(days) == {dates}
    below = [
        (chart.anchor._from.col, chart.anchor._from.row > int(series.val.numRef.f.rpartition("$")[2]) - 1)
        for sheet in book
        for chart in sheet._charts
        for series in chart.series
    ]
    assert set(below) == {(0, True)}
