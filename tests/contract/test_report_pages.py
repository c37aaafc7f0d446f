"""A report in every form: the same figures, in the order of a page, in two languages, and nothing in it that runs or is fetched."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pypdf
import pytest
import typer

from proxy.cli.report_pages import show_report, write_page
from proxy.errors import StartError
from proxy.reports.cell import BEGINS_A_FORMULA
from proxy.reports.document import Report
from proxy.reports.line import Spread
from proxy.reports.pages.charts import WIDTH, draw
from proxy.reports.pages.forms import FORMS
from proxy.reports.pages.html import html_page
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import PAGE_ROWS, Table
from proxy.reports.pages.plain import csv_report
from proxy.reports.pages.write import write
from tests.report_samples import line, sample_report
from tests.unit.test_report_words import FORBIDDEN, THIN

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "fr")
ORDER = (
    "total boundary change deliverables quality policies lighter drivers equivalences details habits claims basis".split()  # noqa: SIM905
)
HOSTILE = (
    '=HYPERLINK("http://evil.example";"x")',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "a\x1b[31mb\u202e",
    "</style><b>",
)


def hostile_report() -> Report:
    """Every name a client can choose tries to be a formula, markup or an escape sequence."""
    report = sample_report()
    lines = tuple(line(name, 10.0 + place) for place, name in enumerate(HOSTILE))
    return replace(
        report,
        groups={name: lines if name != "day" else found for name, found in report.groups.items()},
        purposes=dict.fromkeys(HOSTILE, HOSTILE[0]),
        basis=replace(report.basis, scope={"brand": HOSTILE[4]}),
        habits=tuple(replace(habit, team=name) for habit in report.habits for name in HOSTILE),
        equivalences=tuple(replace(each, url="javascript:alert(1)") for each in report.equivalences),
    )


def empty_report() -> Report:
    """A period without any call."""
    nothing = replace(
        line("total", 0.0, 0),
        gco2e=None,
        operational_gco2e=None,
        embodied_gco2e=None,
        facility_energy_wh=None,
        water_ml=None,
        gco2e_share_by_tier={},
        unweighed={},
        weighed_attempts=0,
    )
    none: dict[str, Any] = dict.fromkeys(
        ("deliverables", "units", "coverage", "policies", "lighter", "drivers", "equivalences", "tree", "boundary"), ()
    )
    return sample_report(total=nothing, hourly=None, change=None, groups={}, habits=(), purposes={}, notes=(), instead={}, own=None, **none)


def long_report() -> Report:
    """Names as long as a client may make them, 92 days, 300 campaigns, and weights of tonnes and of milligrams."""
    report = sample_report()
    days = tuple(line(f"2026-{8 + day // 31:02}-{day % 31 + 1:02}", 3e6 + day, 9) for day in range(92))
    campaigns = tuple(line(f"{place}-" + "very-long-name-" * 8, 5e6 / (place + 1), 9) for place in range(300))
    return replace(
        report, total=line("total", 4.2e8, 9_000_000), groups={"day": days, "tag:campaign": campaigns, "model": (line("m", 2e-3, 1),)}
    )


REPORTS: dict[str, Callable[[], Report]] = {"sample": sample_report, "hostile": hostile_report, "empty": empty_report, "long": long_report}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [name] if (name := found.get("id")) else []
        self.links += [value for name in ("href", "src") if (value := found.get(name))]
        assert not [name for name in found if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += [] if self.tags[-1:] == ["style"] else [data]


def opened(report: Report, language: str) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(FORMS["xlsx"].make(report, language)))


@cache
def pdf_of(name: str, language: str) -> bytes:
    """Made once: it takes seconds."""
    return FORMS["pdf"].make(REPORTS[name](), language)


def pdf_text(body: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(body)).pages)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_has_the_parts_in_order_and_the_total_first(language: str) -> None:
    text = html_page(sample_report(), language)
    page = Page(text)
    assert [each for each in page.ids if each in ORDER] == ORDER
    assert f'<html lang="{language}">' in text
    shown = {"en": "12\N{NO-BREAK SPACE}kg CO₂e", "fr": f"12{THIN}kg CO₂e"}[language]
    assert text.index(shown) < text.index('id="total"')
    assert {"en": "6.2 to 22\N{NO-BREAK SPACE}kg", "fr": f"de 6,2 à 22{THIN}kg"}[language] in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REPORTS)
def test_a_page_runs_and_fetches_nothing_and_is_light(name: str, language: str) -> None:
    text = html_page(REPORTS[name](), language)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(page.tags)
    assert all(link.startswith(("#", "https://", "http://")) for link in page.links)
    assert "@import" not in text
    assert "url(" not in text
    assert len(page.ids) == len(set(page.ids))
    assert len(gzip.compress(text.encode())) < 100_000
    assert not FORBIDDEN.search(" ".join(page.words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_stands_before_a_table_with_its_figures(language: str) -> None:
    text = html_page(sample_report(), language)
    charts = re.findall(r"</svg>\s*</figure>\s*<div class=\"wide\".*?<table", text, re.DOTALL)
    assert len(charts) == text.count("<svg ") == 9
    assert text.count('role="img" aria-labelledby="') == len(charts)


@pytest.mark.parametrize("key", ["tool_version", "config_sha256", "time_zone", "since", "until"])
@pytest.mark.parametrize("form", ["html", "csv", "xlsx", "parquet"])
def test_every_form_carries_its_basis(form: str, key: str) -> None:
    report = sample_report()
    body = FORMS[form].make(report, "en")
    if form == "xlsx":
        files = zipfile.ZipFile(io.BytesIO(body))
        body = b"".join(files.read(name) for name in files.namelist())
    assert str(getattr(report.basis, key)).encode() in body
    assert report.basis.factor_sets[0].encode() in body
    assert report.basis.profiles[0].encode() in body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["html", "csv", "xlsx", "pdf"])
def test_every_form_for_people_says_what_may_not_be_claimed(form: str, language: str) -> None:
    body = pdf_of("sample", language) if form == "pdf" else FORMS[form].make(sample_report(), language)
    if form == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(body))
        text = " ".join(str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row)
    else:
        text = pdf_text(body) if form == "pdf" else body.decode()
    said = {"en": "reduction that took place", "fr": "une réduction qui a eu lieu"}[language]
    assert said in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("form", "name"), [*((form, name) for form in FORMS if form != "pdf" for name in REPORTS), ("pdf", "sample")])
def test_the_same_report_gives_the_same_bytes(form: str, name: str) -> None:
    first = pdf_of(name, "fr") if form == "pdf" else FORMS[form].make(REPORTS[name](), "fr")
    assert first
    assert FORMS[form].make(REPORTS[name](), "fr") == first


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_workbook_has_charts_units_and_figures_in_full(language: str) -> None:
    book = opened(sample_report(), language)
    charts = {sheet.title: len(sheet._charts) for sheet in book}
    assert sorted(charts.values(), reverse=True)[:4] == [6, 1, 1, 1]
    assert len(book.sheetnames) == len(ORDER)
    total = book.worksheets[0]
    titles = {str(cell.value): cell for row in total.iter_rows() for cell in row if cell.value}
    title = {"en": "CO₂e, expected (g)", "fr": "CO₂e, attendu (g)"}[language]
    column, row = titles[title].column, titles[title].row
    assert [total.cell(row + 1, column + place).value for place in range(3)] == [12_300.0, 6150.0, 22_140.0]
    days = [cell.value for sheet in book for cells in sheet.iter_rows() for cell in cells if isinstance(cell.value, datetime)]
    assert (len(days), days[0]) == (30, datetime.fromisoformat("2026-11-01"))


def test_a_chart_of_a_workbook_reads_the_cells_of_its_table() -> None:
    body = FORMS["xlsx"].make(sample_report(), "en")
    files = zipfile.ZipFile(io.BytesIO(body))
    charts = [files.read(name).decode() for name in files.namelist() if re.fullmatch(r"xl/charts/chart\d+\.xml", name)]
    assert len(charts) == 9
    book = openpyxl.load_workbook(io.BytesIO(body))
    for chart in charts:
        for sheet, first, last in re.findall(r"<c:f>'?([^'!<]+)'?!\$([A-Z]+\$\d+):\$([A-Z]+\$\d+)</c:f>", chart):
            cells = [cell for row in book[sheet][f"{first.replace('$', '')}:{last.replace('$', '')}"] for cell in row]
            assert all(cell.value is not None for cell in cells), (sheet, first, last)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_name_becomes_a_formula_a_link_or_markup(language: str) -> None:
    report = hostile_report()
    for sheet in opened(report, language):
        cells = [cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
        assert not [cell.value for cell in cells if cell.data_type == "f" or cell.hyperlink or cell.value.startswith(BEGINS_A_FORMULA)]
    rows = list(csv.reader(io.StringIO(csv_report(write(report, language)))))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "@", "+")) or re.match(r"-(?!\d)", cell)]
    assert any(cell == f"'{HOSTILE[0]}" for row in rows for cell in row)
    text = html_page(report, language)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("</style>") == 1
    assert "javascript:alert(1)" not in "".join(Page(text).links)
    assert "\x1b" not in text + "".join(cell for row in rows for cell in row)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_pdf_has_the_figures_tags_and_its_language(language: str) -> None:
    body = pdf_of("sample", language)
    reader = pypdf.PdfReader(io.BytesIO(body))
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == language
    assert root["/MarkInfo"]["/Marked"]
    text = re.sub(r"\s", " ", pdf_text(body))
    wanted = {
        "en": ("12 kg CO₂e", "6.2 to 22 kg", "36,900,000", "1 November 2026", "62%"),
        "fr": ("12 kg CO₂e", "de 6,2 à 22 kg", "36 900 000", "1er novembre 2026", "62 %"),
    }
    assert not [figure for figure in wanted[language] if figure not in text]
    assert reader.metadata is not None
    assert "grammage 0.1.0" in str(reader.metadata.get("/Creator"))


@pytest.mark.parametrize("name", REPORTS)
def test_no_text_of_a_pdf_begins_outside_of_its_sheet(name: str) -> None:
    reader = pypdf.PdfReader(io.BytesIO(pdf_of(name, "fr")))
    outside: list[str] = []

    def look(text: str, at: list[float], matrix: list[float], *_: Any) -> None:
        x = matrix[4] * at[0] + at[4]
        is_drawing = matrix[0] == 1.0  # a chart has its own scale, which the reader does not apply
        outside.extend([text] if text.strip() and not is_drawing and not 0 <= x <= 595 - 42 else [])

    for page in reader.pages:
        assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)
        page.extract_text(visitor_text=look)
    assert not outside


def test_parquet_has_the_total_and_every_group_with_the_basis_beside() -> None:
    report = sample_report()
    table = pq.read_table(io.BytesIO(FORMS["parquet"].make(report, "en")))
    rows = table.to_pylist()
    assert len(rows) == 1 + sum(map(len, report.groups.values()))
    total = rows[0]
    assert (total["dimension"], total["gco2e"], total["gco2e_low"], total["gco2e_high"]) == ("total", 12_300.0, 6150.0, 22_140.0)
    assert json.loads(table.schema.metadata[b"grammage.basis"])["config_sha256"] == report.basis.config_sha256
    unknown = pq.read_table(io.BytesIO(FORMS["parquet"].make(empty_report(), "en"))).to_pylist()
    assert unknown[0]["gco2e"] is None


def test_csv_holds_every_cell_in_full_with_its_unit() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_report(write(sample_report(), "en")))))
    found = [row for row in rows if row["section"] == "lighter" and row["column"] == "difference"]
    assert [(row["figure"], row["low"], row["high"], row["unit"]) for row in found] == [
        ("-4800.0", "-9000.0", "-1900.0", "gCO2e"),
        ("-500.0", "-900.0", "-240.0", "gCO2e"),
    ]
    assert len([row for row in rows if row["column"] == "day"]) == 30
    assert {row["section"] for row in rows} == set(ORDER)


@pytest.mark.parametrize("language", LANGUAGES)
def test_everyday_terms_can_be_left_out(language: str) -> None:
    sections = [section.id for section in write(sample_report(equivalences=()), language).sections]
    assert sections == [each for each in ORDER if each != "equivalences"]


def test_an_unknown_total_is_said_and_never_shown_as_zero() -> None:
    text = " ".join(Page(html_page(empty_report(), "en")).words)
    assert "the total is unknown, not zero" in text
    assert "kg CO₂e" not in text
    assert "0\N{NO-BREAK SPACE}g" not in text


def test_a_long_table_is_cut_on_the_page_and_says_so_but_not_in_the_data() -> None:
    text = html_page(long_report(), "en")
    assert f"Lines not listed here: {300 - PAGE_ROWS}." in text
    assert len([row for row in csv.DictReader(io.StringIO(csv_report(write(long_report(), "en")))) if row["column"] == "gco2e"]) > 390


def tables_with_charts(report: Report) -> list[Table]:
    return [table for section in write(report, "en").sections for table in section.all_tables() if table.chart]


@pytest.mark.parametrize("name", REPORTS)
def test_every_mark_of_a_chart_lies_within_it(name: str) -> None:
    for table in tables_with_charts(REPORTS[name]()):
        picture = draw(table, Language(code="fr"))
        if picture is None:
            continue
        assert all(0 <= box.x <= box.x + box.width <= WIDTH and 0 <= box.y <= box.y + box.height <= picture.height for box in picture.boxes)
        assert all(0 <= x <= WIDTH for rule in picture.rules for x in (rule.x1, rule.x2))
        assert all(0 <= y <= picture.height for rule in picture.rules for y in (rule.y1, rule.y2))


def test_a_bar_is_as_long_as_its_figure_and_its_range_as_wide() -> None:
    (table,) = [table for table in tables_with_charts(sample_report()) if table.id == "by_tag"]
    picture = draw(table, Language(code="en"))
    assert picture is not None
    grams = [cell for cell in table.column("gco2e") if isinstance(cell, Spread)]
    scale = picture.boxes[0].width / grams[0].mean
    assert [box.width for box in picture.boxes] == pytest.approx([each.mean * scale for each in grams])
    spans = [rule.x2 - rule.x1 for rule in picture.rules if rule.ink == "range" and rule.y1 == rule.y2]
    assert spans == pytest.approx([(each.p95 - each.p5) * scale for each in grams])


def test_the_steps_of_a_waterfall_meet_and_end_at_the_total() -> None:
    (table,) = [table for table in tables_with_charts(sample_report()) if table.id == "change"]
    picture = draw(table, Language(code="en"))
    assert picture is not None
    before, *steps, now = picture.boxes
    inks = [box.ink for box in steps]
    assert inks == ["more", "less", "more", "less", "more"]
    reached = before.x + before.width
    for box in steps:
        start, end = (box.x, box.x + box.width) if box.ink == "more" else (box.x + box.width, box.x)
        assert start == pytest.approx(reached)
        reached = end
    assert reached == pytest.approx(now.x + now.width)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REPORTS)
def test_the_terminal_shows_the_whole_report_and_obeys_no_name(name: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = REPORTS[name]()
    show_report(report, language)
    text = capsys.readouterr().out
    assert all(section.title in text for section in write(report, language).sections)
    assert "\x1b" not in text
    assert not FORBIDDEN.search(text)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_written_whole_or_not_at_all(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"report.{FORMS[form].extension}"
    write_page(sample_report(), form, "en", file)
    assert file.read_bytes() == (pdf_of("sample", "en") if form == "pdf" else FORMS[form].make(sample_report(), "en"))
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    assert f"wrote {file}" in capsys.readouterr().err
    with pytest.raises(StartError, match="choose another --output"):
        write_page(sample_report(), form, "en", tmp_path / "nowhere" / "x")


def test_bytes_do_not_go_into_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(typer.BadParameter, match=r"--output report\.pdf"):
        write_page(sample_report(), "pdf", "en", None)


@pytest.mark.parametrize(
    ("form", "package", "extra"), [("pdf", "weasyprint", "report"), ("xlsx", "xlsxwriter", "report"), ("parquet", "pyarrow", "parquet")]
)
def test_a_missing_extra_is_named_with_what_to_install(form: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StartError, match=rf"pip install 'grammage\[{extra}\]'"):
        FORMS[form].make(sample_report(), "en")


def test_a_missing_library_of_the_system_is_named_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutPango:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0': not found")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutPango(), *sys.meta_path])
    with pytest.raises(StartError, match=r"libpango-1\.0-0 libpangoft2-1\.0-0 fonts-dejavu-core"):
        FORMS["pdf"].make(sample_report(), "en")


def test_neither_the_server_nor_the_forms_import_what_makes_pages() -> None:
    code = "import json, sys, proxy.app, proxy.cli.report_pages, proxy.reports.pages.forms; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert not {"babel", "jinja2", "weasyprint", "xlsxwriter", "pyarrow", "rich", "yaml.dumper.x"} & set(json.loads(done.stdout))
