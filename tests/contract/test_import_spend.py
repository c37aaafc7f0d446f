"""Money and seats become records of grams alone, and the command says what became of each row."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from config.tables import Tables, load_tables
from estimators import Usage
from estimators.spend import Spend, spend_gco2e
from proxy.cli.imports import Kind, context_of, imports
from proxy.cli.output import Format
from proxy.imports.plan import IMPORTED, METERED, OTHER_FILE
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.summary import summarise
from proxy.web.record import footprint_record
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger
from tests.contract.test_import import NOON_MS, lines, live, sample, seen_live, settings, take_in


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def test_seats_weigh_by_their_price_month_by_month(url: str, tables: Tables) -> None:
    take_in(url, sample("seats"), "seats", tables)
    found = ask_ledger(
        url,
        """SELECT c.started_ms, a.model, s.amount, s.currency, s.seats, e.gco2e, e.facility_energy_wh, e.water_ml, e.quality, e.profile
           FROM import_spends s JOIN calls c ON c.call_id = s.call_id JOIN attempts a ON a.attempt_id = s.attempt_id
           JOIN estimates e ON e.attempt_id = s.attempt_id ORDER BY a.model, c.started_ms""",
    )
    october, november = 1_790_812_800_000, 1_793_491_200_000
    assert [row[:5] for row in found] == [
        (november, "Canva Pro", pytest.approx(5 * 9.5 * 1.17), "EUR", 5.0),
        (october, "ChatGPT Business", 1000.0, "EUR", 40.0),
        (november, "ChatGPT Business", 1000.0, "EUR", 40.0),
        (november, "Copilot Business", 228.0, "USD", 12.0),
    ]
    assert found[1][5:] == (
        pytest.approx(1000 * tables.factors["spend.it_services.kgco2e_per_eur"].value * 1000),
        None,
        None,
        "E",
        "ghgp-cat1",
    )


def test_many_invoices_are_no_surer_than_one(url: str, tables: Tables) -> None:
    take_in(url, sample("invoice"), "invoice", tables)
    whole = summarise(url, Selection(by="model")).whole.gco2e
    one = spend_gco2e(Spend(amount=1200, currency="EUR"), tables.factors)
    assert whole is not None
    assert whole.p5 / whole.mean < 1.02 * one.p5 / one.mean
    assert whole.p95 / whole.mean > 0.98 * one.p95 / one.mean


def test_an_invoice_of_calls_that_are_counted_is_not_weighed_again(url: str, tables: Tables) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=100, output_tokens=10)))
    told = take_in(url, sample("invoice"), "invoice", tables)
    assert (told.matched[METERED], told.added) == (1, 4)
    assert ask_ledger(url, "SELECT COUNT(*) FROM attempts a JOIN imports i ON i.call_id = a.call_id WHERE a.provider = 'openai'") == [(0,)]


def test_a_tool_that_came_as_seats_does_not_come_again_as_an_invoice(url: str, tables: Tables, tmp_path: Path) -> None:
    take_in(url, sample("seats"), "seats", tables)
    path = lines(tmp_path, "invoice_id,date,vendor,tool,amount,currency", "i1,2026-11-20,openai,ChatGPT Business,1000,EUR")
    assert dict(take_in(url, path, "invoice", tables).matched) == {IMPORTED: 0, OTHER_FILE: 1}


def test_a_record_of_money_shows_grams_alone(url: str, tables: Tables) -> None:
    take_in(url, sample("invoice"), "invoice", tables)
    ((call_id,), *_) = ask_ledger(url, "SELECT call_id FROM calls ORDER BY call_id")
    with closing(Store(url)) as store:
        found = store.find(str(call_id))
    assert found is not None
    shown = footprint_record(found, "link")
    assert (shown["energy_wh"], shown["water_ml"], shown["quality"], shown["method"]) == (None, None, "E", "spend@1.0.0")
    assert shown["gco2e"] is not None


@ON_A_FILE
def test_the_command_prints_what_became_of_the_rows(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    imports([sample("litellm")], Kind.LITELLM, form=Format.JSON, ledger=url)
    document = json.loads(capsys.readouterr().out)
    assert document["files"][0]["added"] == 4
    assert any("never below 0" in rule for rule in document["rules"])


@ON_A_FILE
def test_the_command_refuses_a_bad_file_with_exit_code_1(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("time,model\nnever,m\n")
    with pytest.raises(typer.Exit) as stopped:
        imports([bad], Kind.CSV, ledger=url)
    said = capsys.readouterr()
    assert (stopped.value.exit_code, said.out) == (1, "")
    assert "bad.csv:2: column 'time'" in said.err


@pytest.mark.parametrize("options", [{"tags": ["no tag"]}, {"rates": ["GBP=cheap"]}, {"time_zone": "Mars/Olympus"}])
def test_the_command_refuses_what_it_cannot_mean(options: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        context_of(settings(), **options)
