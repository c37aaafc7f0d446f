"""Months, years and figures that a file has wrong, or by another clock, are told or put where they belong; never weighed elsewhere."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config.tables import load_tables
from proxy.imports.context import Context
from proxy.imports.money import Purse
from proxy.imports.row import SpendRow
from proxy.imports.run import BadFile, read_rows

NOVEMBER_MS = 1_793_491_200_000
"""2026-11-01T00:00:00Z."""
SEATS = "tool,vendor,seats,price_per_seat,currency,month,months\nCanva Pro,Canva,{seats},9.5,EUR,{month},{months}\n"
INVOICE = "invoice_id,date,vendor,tool,amount,currency\nA1,{date},Adobe,Firefly,{amount},EUR\n"
CALL = '[{{"time": {time}, "model": "gpt-4o-mini", "input_tokens": {tokens}}}]'
OBSERVATION = '[{{"type": "GENERATION", "startTime": "2026-11-03", "model": "gpt-4o-mini", "usageDetails": {{"input": {tokens}}}}}]'


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def seats(folder: Path, *, month: str = "2026-11", months: int = 1, held: str = "5") -> Path:
    return written(folder, "seats.csv", SEATS.format(seats=held, month=month, months=months))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York", "Pacific/Auckland"])
@pytest.mark.parametrize("kind", ["seats", "invoice"])
def test_money_for_a_month_stays_in_it_by_every_clock(tmp_path: Path, kind: str, zone: str) -> None:
    paths = {"seats": seats(tmp_path), "invoice": written(tmp_path, "bills.csv", INVOICE.format(date="2026-11-01", amount="10"))}
    found = read_rows(paths[kind], kind, Context(zone=ZoneInfo(zone)))
    assert [row.start_ms for row in found if isinstance(row, SpendRow)] == [NOVEMBER_MS]


@pytest.mark.parametrize("month", ["2026", "202611", "11", "9999-12", "20261301"])
def test_what_is_no_month_of_our_time_is_refused_and_not_taken_for_seconds_since_1970(tmp_path: Path, month: str) -> None:
    with pytest.raises(BadFile, match=rf"seats\.csv:2: column 'month': '{month}' is no time"):
        read_rows(seats(tmp_path, month=month, months=2), "seats", Context())


def test_a_day_without_hyphens_is_that_day(tmp_path: Path) -> None:
    found = read_rows(seats(tmp_path, month="20261105"), "seats", Context())
    assert [row.start_ms for row in found if isinstance(row, SpendRow)] == [NOVEMBER_MS]


@pytest.mark.parametrize("time", ["NaN", "Infinity", "2026", "1e400"])
def test_a_time_that_is_no_number_of_seconds_is_told(tmp_path: Path, time: str) -> None:
    with pytest.raises(BadFile, match=r"calls\.json:1: column 'time': .* is no time"):
        read_rows(written(tmp_path, "calls.json", CALL.format(time=time, tokens=5)), "csv", Context())


@pytest.mark.parametrize("tokens", ["1e30", "99999999999999999999", "NaN", "1e400"])
def test_a_count_beyond_what_a_ledger_holds_is_told_with_its_line(tmp_path: Path, tokens: str) -> None:
    with pytest.raises(BadFile, match=r"calls\.json:1: column 'input_tokens'"):
        read_rows(written(tmp_path, "calls.json", CALL.format(time='"2026-11-03"', tokens=tokens)), "csv", Context())


@pytest.mark.parametrize("tokens", ["1e30", "1e400"])
def test_so_is_one_that_stands_in_an_object_of_another_tool(tmp_path: Path, tokens: str) -> None:
    with pytest.raises(BadFile, match=r"obs\.json:1: column 'input_tokens'"):
        read_rows(written(tmp_path, "obs.json", OBSERVATION.format(tokens=tokens)), "langfuse", Context())


def test_money_that_would_weigh_without_end_is_told(tmp_path: Path) -> None:
    tables = load_tables()
    path = written(tmp_path, "bills.csv", INVOICE.format(date="2026-11-03", amount="1e308"))
    with pytest.raises(BadFile, match=r"bills\.csv:2: column 'amount'"):
        read_rows(path, "invoice", Context(), Purse(tables, Context()))
