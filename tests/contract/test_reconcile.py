"""A comparison with a provider shows coverage and every gap, fails below the least coverage, and is kept for reports."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer

from config.tables import load_tables
from estimators.usage import Usage
from proxy.cli.output import Format
from proxy.cli.reconcile import UsageKind, reconcile
from proxy.errors import StartError
from proxy.ledger.import_queries import Covered, coverage_of
from proxy.ledger.reading import open_engine
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger
from tests.contract.ledgers import open_store
from tests.contract.test_import import HOUR_MS, NOON_MS, buckets, live, seen_live, take_in

OCTOBER_MS = NOON_MS - 20 * 86_400_000
CONFIG = """version: 1
auth: open
models:
  gpt-4o-mini:
    deployments:
      - {provider: openai, model: gpt-4o-mini, api_key: k, price: {input_per_million: 100, output_per_million: 400}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a price, high enough that small samples cost something."""
    path = tmp_path / "grammage.yaml"
    path.write_text(CONFIG)
    return path


def compared(url: str, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[list[dict[str, Any]], str, int]:
    """The lines, what was said beside them, and the exit code."""
    code = 0
    try:
        reconcile(**({"form": Format.JSON, "ledger": url} | options))
    except typer.Exit as stopped:
        code = stopped.exit_code
    said = capsys.readouterr()
    return (json.loads(said.out)["lines"] if said.out else []), said.err, code


def invoice(folder: Path, *rows: str) -> Path:
    path = folder / "invoice.csv"
    path.write_text("\n".join(("invoice_id,date,vendor,amount,currency", *rows)) + "\n")
    return path


def kept(url: str) -> list[Covered]:
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            return coverage_of(connection, None, None)
    finally:
        engine.dispose()


def test_a_period_that_was_seen_whole_is_covered(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=400), model="gpt-4o-mini-2024-07-18"))
    lines, _, code = compared(url, capsys, usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})], provider="openai")
    assert code == 0
    assert [(line["model"], line["provider_tokens"], line["seen_tokens"], line["coverage"], line["gap_tokens"]) for line in lines] == [
        ("gpt-4o-mini", 1400, 1400, 1.0, 0),
        ("all", 1400, 1400, 1.0, 0),
    ]


def test_what_the_provider_counted_and_the_ledger_does_not_hold_is_a_line_and_an_exit_code(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=400)))
    path = buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400}, {"input_tokens": 500, "output_tokens": 100, "model": "gpt-4o"})
    lines, said, code = compared(url, capsys, usage=[path], provider="openai")
    assert code == 1
    assert [(line["model"], line["gap_tokens"]) for line in lines] == [("gpt-4o", 600), ("gpt-4o-mini", 0), ("all", 600)]
    assert lines[-1]["coverage"] == pytest.approx(0.7)
    assert "openai 2026-11, gpt-4o: 600 tokens counted by the provider and not in the ledger (100.0% of its count)" in said
    assert compared(url, capsys, usage=[path], provider="openai", least=0.7)[2] == 0


def test_what_the_ledger_holds_beyond_the_provider_is_told_too(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(
        url,
        live(NOON_MS, Usage(input_tokens=1100, output_tokens=400)),
        live(NOON_MS + 1, Usage(input_tokens=50, output_tokens=0), model="gpt-4o"),
    )
    lines, said, code = compared(url, capsys, usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})])
    assert (code, {line["model"]: line["gap_tokens"] for line in lines}) == (0, {"gpt-4o-mini": -100, "gpt-4o": -50, "all": -150})
    assert "150 tokens in the ledger and not counted by the provider" in said


def test_calls_of_other_providers_and_times_are_not_compared(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(
        url,
        live(NOON_MS, Usage(input_tokens=1000, output_tokens=400)),
        live(NOON_MS + 1, Usage(input_tokens=7, output_tokens=7), provider="azure"),
        live(NOON_MS + HOUR_MS, Usage(input_tokens=7, output_tokens=7)),
    )
    lines, _, _ = compared(url, capsys, usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})])
    assert lines[-1]["seen_tokens"] == 1400


def test_imported_tokens_are_shown_apart(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=0)))
    path = buckets(tmp_path, {"input_tokens": 1500, "output_tokens": 400})
    take_in(url, path, "openai-usage", load_tables())
    lines, _, code = compared(url, capsys, usage=[path])
    assert (code, lines[-1]["seen_tokens"], lines[-1]["imported_tokens"]) == (0, 1900, 900)


def test_money_is_compared_at_the_configured_prices(url: str, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=10_000, output_tokens=1_000), model="gpt-4o-mini"))
    lines, said, code = compared(url, capsys, invoice=[invoice(tmp_path, "i1,2026-11-30,openai,1.75,EUR")], config=config)
    assert code == 1
    assert (lines[0]["seen_amount"], lines[0]["money_coverage"]) == (pytest.approx(1.4), pytest.approx(0.8))
    assert (lines[0]["coverage"], lines[0]["currency"]) == (None, "EUR")
    assert "openai 2026-11, all models: 0.35 EUR of 1.75 not explained by calls" in said


def test_money_without_prices_is_unknown_and_not_covered_by_nothing(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=10_000, output_tokens=1_000)))
    lines, said, code = compared(url, capsys, invoice=[invoice(tmp_path, "i1,2026-11-30,openai,1.75,EUR")])
    assert (lines[0]["seen_amount"], lines[0]["money_coverage"], code) == (None, None, 0)
    assert "no deployment has a price" in said


def test_the_costs_of_openais_api_are_read_as_money(url: str, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=10_000, output_tokens=1_000)))
    costs = {"object": "organization.costs.result", "amount": {"value": 1.4, "currency": "usd"}, "line_item": None}
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"data": [{"start_time": NOON_MS // 1000, "end_time": NOON_MS // 1000 + 3600, "results": [costs]}]}))
    lines, _, code = compared(url, capsys, usage=[path], config=config)
    assert (lines[-1]["provider_amount"], lines[-1]["currency"], lines[-1]["money_coverage"], code) == (1.4, "USD", pytest.approx(1.0), 0)


def test_a_provider_that_was_never_seen_is_not_covered_at_all(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(url).close()
    lines, _, code = compared(url, capsys, usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})])
    assert (lines[-1]["seen_tokens"], lines[-1]["coverage"], code) == (0, 0.0, 1)


def test_the_period_can_be_narrowed(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=400)), live(OCTOBER_MS, Usage(input_tokens=1, output_tokens=1)))
    both = [
        buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400}),
        buckets(tmp_path, {"input_tokens": 900, "output_tokens": 0}, start_ms=OCTOBER_MS),
    ]
    lines, _, code = compared(url, capsys, usage=both, since="2026-11-01")
    assert ([line["month"] for line in lines], code) == (["2026-11", "2026-11"], 0)
    lines, _, code = compared(url, capsys, usage=both)
    assert ([line["month"] for line in lines if line["model"] == "all"], code) == (["2026-10", "2026-11"], 1)


def test_the_result_is_kept_for_reports_with_the_newest_word_on_tokens_and_on_money(
    url: str, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=10_000, output_tokens=1_000), model="gpt-4o-mini"))
    path = buckets(tmp_path, {"input_tokens": 20_000, "output_tokens": 2_000})
    compared(url, capsys, usage=[path], config=config, dry_run=True)
    assert kept(url) == []
    compared(url, capsys, usage=[path], config=config)
    compared(url, capsys, invoice=[invoice(tmp_path, "i1,2026-11-30,openai,1.75,EUR")], config=config)
    (found,) = kept(url)
    assert (found.provider, found.month) == ("openai", "2026-11")
    assert found.tokens == pytest.approx(0.5)
    assert found.money == pytest.approx(0.8)
    assert ask_ledger(url, "SELECT COUNT(DISTINCT reconciliation_id) FROM reconciliations") == [(2,)]


def test_litellms_own_spend_is_compared_as_money(url: str, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=10_000, output_tokens=1_000), model="gpt-4o-mini"))
    path = tmp_path / "spend.csv"
    path.write_text(
        "request_id,call_type,model,custom_llm_provider,prompt_tokens,completion_tokens,startTime,spend\n"
        "r1,acompletion,gpt-4o-mini,openai,10000,1000,2026-11-03T12:00:00Z,2.8\n"
    )
    options = {"usage": [path], "kind": UsageKind.LITELLM, "config": config, "until": "2026-11-03"}
    lines, _, code = compared(url, capsys, **options)
    assert (lines[-1]["coverage"], lines[-1]["money_coverage"], code) == (1.0, pytest.approx(0.5), 1)


@pytest.mark.parametrize("form", [Format.TABLE, Format.CSV])
def test_every_format_has_the_lines(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Format) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=400)))
    reconcile(usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})], form=form, ledger=url)
    printed = capsys.readouterr().out
    assert "gpt-4o-mini" in printed
    assert "1400" in printed


def test_a_period_whose_calls_were_pruned_is_not_compared(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(open_store(url)) as store:
        store.remember("pruned_before_ms", str(NOON_MS + 1))
    with pytest.raises(StartError, match="were pruned"):
        compared(url, capsys, usage=[buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400})])


def test_nothing_to_compare_with_is_a_usage_error(url: str) -> None:
    with pytest.raises(typer.BadParameter, match="--usage FILE"):
        reconcile(ledger=url)


def test_a_file_without_this_provider_is_a_problem(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(open_store(url)):
        lines, said, code = compared(url, capsys, invoice=[invoice(tmp_path, "i1,2026-11-30,adobe,9,EUR")], provider="openai")
    assert (lines, code) == ([], 1)
    assert "tell nothing of this provider" in said


KEY = "sk-admin-made-up"


@contextmanager
def usage_api(*, circles: bool = False) -> Iterator[tuple[str, list[str]]]:
    """A server in the shape of the usage API, two pages of completions long; its address, and what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked.append(f"{parts.path}?{parts.query}")
            status, body = (200, page(parts.path, query)) if self.headers["authorization"] == f"Bearer {KEY}" else (401, {})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    def page(path: str, query: dict[str, str]) -> dict[str, Any]:
        if not path.endswith("usage/completions"):
            return {"object": "page", "data": [], "has_more": False, "next_page": None}
        second = query.get("page") == "page-2"
        start = NOON_MS // 1000 + (3600 if second else 0)
        result = {"object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 400, "model": "gpt-4o-mini"}
        data = [{"object": "bucket", "start_time": start, "end_time": start + 3600, "results": [result | {"num_model_requests": 2}]}]
        more = circles or not second
        return {"object": "page", "data": data, "has_more": more, "next_page": "page-2" if more else None}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@ON_A_FILE
def test_the_usage_api_is_asked_page_by_page_and_its_answer_can_be_imported(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    seen_live(url, live(NOON_MS, Usage(input_tokens=1000, output_tokens=400)))
    saved = tmp_path / "usage.jsonl"
    with usage_api() as (base, asked):
        options = {"from_api": True, "api_base": base, "save": saved, "since": "2026-11-03", "until": "2026-11-03"}
        lines, _, code = compared(url, capsys, **options)
    assert (lines[-1]["provider_tokens"], lines[-1]["coverage"], code) == (2800, 0.5, 1)
    assert len(asked) == 8
    assert "group_by=model" in asked[0]
    assert asked[1].endswith("page=page-2")
    assert take_in(url, saved, "openai-usage", load_tables()).added == 1
    assert KEY not in saved.read_text()


@ON_A_FILE
def test_a_usage_api_that_goes_in_circles_or_refuses_is_a_problem(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(url).close()
    with usage_api(circles=True) as (base, _):
        options = {"from_api": True, "api_base": base, "since": "2026-11-03"}
        monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
        with pytest.raises(StartError, match="in circles"):
            compared(url, capsys, **options)
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-other")
        lines, said, code = compared(url, capsys, **options)
    assert (lines, code) == ([], 3)
    assert "answers 401" in said
    assert "sk-other" not in said


def test_the_usage_api_needs_a_key_and_a_beginning(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    with pytest.raises(typer.BadParameter, match="OPENAI_ADMIN_KEY"):
        reconcile(from_api=True, since="2026-11-01", ledger=url)
