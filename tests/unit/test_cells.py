"""What a cell of a CSV file holds: text that a spreadsheet would run is text, and numbers are numbers."""

import csv
import io
from pathlib import Path

import pytest

import proxy
from proxy.cli.output import Format, show_rows
from proxy.reports.cell import harmless

FORMULAS = ('=HYPERLINK("http://x","y")', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠SUM(1)")  # noqa: RUF001


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_would_run_gets_an_apostrophe_in_every_csv_of_the_command_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": text, "gco2e": -0.5, "calls": 3, "ok": True, "none": None}], ("name", "gco2e", "calls", "ok", "none"), Format.CSV)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row == {"name": f"'{text}".replace("\r", "\n"), "gco2e": "-0.5", "calls": "3", "ok": "True", "none": ""}


@pytest.mark.parametrize("cell", ["noel-26", "-", "a=b", "", " =1", "1+1", -0.5, -3, 1e-9, True, None])
def test_what_would_not_run_stays_as_it_is(cell: object) -> None:
    assert harmless(cell) is cell


@pytest.mark.parametrize("text", ["a\r=1", "a\r\n=1,2", "a\n=1", 'a"\r=1'])
def test_a_line_end_inside_a_text_begins_no_other_cell(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": text, "calls": 3}], ("name", "calls"), Format.CSV)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert (row["name"].splitlines()[0], row["calls"]) == (text.splitlines()[0], "3")


def test_json_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": "=1"}], ("name",), Format.JSON)
    assert '"=1"' in capsys.readouterr().out


def test_whoever_writes_csv_makes_its_cells_harmless() -> None:
    sources = Path(proxy.__path__[0]).rglob("*.py")
    writers = [file for file in sources if "csv.writer(" in (text := file.read_text()) or "csv.DictWriter(" in text]
    assert len(writers) >= 3
    assert [file.name for file in writers if "harmless(" not in file.read_text()] == []
