"""The campaign that ships with the project: its records, its requests, and the whole road through a real proxy."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from proxy.campaign.products import LANGUAGES, MARKETS, load_products
from proxy.campaign.run import Unreachable, WeighedCall, plan_campaign, plan_visuals, run_campaign, tag_headers
from proxy.campaign.served import serve_child
from proxy.campaign.totals import sum_outer
from proxy.campaign.visuals import MOST_VARIANTS, visual_prompt
from proxy.errors import StartError
from proxy.simulate.wording import attributes_of, language_of
from tests.serving import free_port

BASE = "http://127.0.0.1"


def test_every_product_has_every_fact_in_every_language() -> None:
    products = load_products()
    assert len(products) >= 12
    assert len({product.id for product in products}) == len(products)
    for product in products:
        counts = {language: len(product.facts[language]) for language in LANGUAGES}
        assert len(set(counts.values())) == 1
        assert counts["fr"] >= 6


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_simulated_provider_reads_every_fact_of_every_prompt(language: str) -> None:
    for product in load_products():
        prompt = product.prompt(language)
        assert language_of(prompt) == language
        assert len(attributes_of(prompt)) == len(product.facts[language])


def test_plan_mixes_models_and_streaming_in_every_language() -> None:
    sheets = plan_campaign(load_products(), list(LANGUAGES), large="big", small="little")
    assert len(sheets) == 12 * len(LANGUAGES)
    for language in LANGUAGES:
        kinds = {(sheet.model, sheet.stream) for sheet in sheets if sheet.language == language}
        assert kinds == {("big", True), ("big", False), ("little", True), ("little", False)}


def test_twenty_variants_of_a_visual_differ_and_one_in_five_is_final() -> None:
    product = load_products()[0]
    visuals = plan_visuals(product, ["fr", "de"], 20, final="fine", draft="rough")
    assert len({visual_prompt(product, visual.variant or 0) for visual in visuals}) == len(visuals) == MOST_VARIANTS
    assert [visual.model for visual in visuals].count("fine") == 4
    assert {(visual.model, visual.stage) for visual in visuals} == {("fine", "final"), ("rough", "draft")}
    tags = tag_headers(visuals[1], "spring")
    assert tags["x-grammage-tag-tool"] == "ad-visuals"
    assert tags["x-grammage-tag-market"] == "DE"
    assert tags["x-grammage-tag-brand"] == product.brand


def test_outer_totals_add_up_and_count_what_was_not_weighed() -> None:
    sheet, other = plan_campaign(load_products()[:1], ["fr", "de"], large="big", small="little")
    calls = [
        WeighedCall(piece=sheet, input_tokens=10, output_tokens=5, energy_wh=0.5, gco2e=0.2, gco2e_low=0.1, gco2e_high=0.4),
        WeighedCall(piece=sheet, input_tokens=10, output_tokens=5),
        WeighedCall(piece=other, gco2e=0.5, gco2e_low=0.3, gco2e_high=0.9),
    ]
    first, second = sum_outer(calls, lambda call: call.piece.model)
    assert (first.name, first.calls, first.unweighed) == ("little", 1, 0)
    assert (second.calls, second.unweighed, second.input_tokens, second.output_tokens) == (2, 1, 20, 10)
    assert (second.gco2e_low, second.gco2e, second.gco2e_high) == pytest.approx((0.1, 0.2, 0.4))


async def test_a_proxy_that_does_not_answer_is_unreachable() -> None:
    sheets = plan_campaign(load_products()[:1], ["fr"], large="sim-large", small="sim-small")
    with pytest.raises(Unreachable, match="did not answer"):
        async for _ in run_campaign(sheets, base_url=f"{BASE}:{free_port()}/v1", api_key="any", campaign="test"):
            pass


async def test_another_proxy_on_the_port_is_not_taken_for_the_one_that_was_started(tmp_path: Path) -> None:
    port, ledgers = free_port(), [f"sqlite:///{tmp_path}/{name}.db" for name in ("first", "second")]
    async with serve_child(host="127.0.0.1", port=port, ledger_url=ledgers[0], environ={}):
        with pytest.raises(StartError, match="did not start; it said:\ncannot listen on"):
            async with serve_child(host="127.0.0.1", port=port, ledger_url=ledgers[1], environ={}):
                pass


async def test_every_call_through_a_real_proxy_comes_back_weighed(tmp_path: Path) -> None:
    sheets = plan_campaign(load_products()[:4], ["fr"], large="sim-large", small="sim-small")
    ledger = f"sqlite:///{tmp_path}/calls.db"
    async with serve_child(host="127.0.0.1", port=free_port(), ledger_url=ledger, environ={}) as served:
        calls = [call async for call in run_campaign(sheets, base_url=served.url + "/v1", api_key="any", campaign="test")]
    assert served.process.returncode is not None
    assert [call.problem for call in calls] == [None] * 4
    assert {call.piece.stream for call in calls} == {True, False}
    for call in calls:
        assert call.gco2e_low is not None
        assert call.gco2e is not None
        assert call.gco2e_high is not None
        assert 0 < call.gco2e_low < call.gco2e < call.gco2e_high
        assert call.energy_wh is not None
        assert call.energy_wh > 0
        assert call.input_tokens is not None
        assert call.input_tokens > 50
        assert call.quality in {"A", "B", "C", "D", "E"}
    assert len({call.call_id for call in calls}) == 4


async def test_every_visual_through_a_real_proxy_comes_back_weighed_and_finer_ones_weigh_more(tmp_path: Path) -> None:
    visuals = plan_visuals(load_products()[0], ["fr"], 5, final="sim-image-tokens", draft="sim-image")
    ledger = f"sqlite:///{tmp_path}/calls.db"
    async with serve_child(host="127.0.0.1", port=free_port(), ledger_url=ledger, environ={}) as served:
        calls = [call async for call in run_campaign(visuals, base_url=served.url + "/v1", api_key="any", campaign="test")]
    assert [call.problem for call in calls] == [None] * 5
    grams = {call.piece.model: call.gco2e for call in calls}
    assert grams["sim-image-tokens"] is not None
    assert grams["sim-image"] is not None
    assert grams["sim-image-tokens"] > grams["sim-image"] > 0.1
    assert {call.output_tokens for call in calls} == {None, 1056}


def demo(*options: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "proxy.cli.main", "demo", "--no-pace", *options]
    return subprocess.run(command, cwd=cwd, env={"COLUMNS": "160", **environ}, capture_output=True, text=True, timeout=90, check=False)


def test_demo_prints_a_line_per_call_and_closing_tables(tmp_path: Path) -> None:
    done = demo("--products", "2", "--languages", "fr,de", "--visuals", "5", "--ledger", "calls.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if re.match(r"[0-9a-f]{8}-[0-9a-f]{4}-7", line)]
    assert len(lines) == 9
    assert sum("1 picture" in line for line in lines) == 4
    for title in (
        "By model",
        "images",
        "sim-image-tokens",
        "By market",
        "sim-large",
        "sim-small",
        MARKETS["fr"],
        "simulated",
        "not a measurement",
    ):
        assert title in done.stdout
    assert (tmp_path / "calls.db").exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_demo_keeps_serving_until_it_is_told_to_end(tmp_path: Path, ending: signal.Signals) -> None:
    port = str(free_port())
    options = ("--no-pace", "--keep-serving", "--products", "1", "--languages", "en", "--visuals", "0", "--port", port)
    command = [sys.executable, "-P", "-m", "proxy.cli.main", "demo", *options]
    with subprocess.Popen(
        command, cwd=tmp_path, env={"COLUMNS": "160"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        shown = ""
        for line in running.stdout:
            shown += line
            if "report" in line:
                break
        try:
            with urllib.request.urlopen(f"{BASE}:{port}/readyz", timeout=10) as reply:
                ready = reply.status
        finally:
            running.send_signal(ending)
            _, said = running.communicate(timeout=60)
    assert ready == 200
    assert running.returncode == 0, said
    assert "drained and ended" in said
    assert f"{BASE}:{port}/v1" in shown
    assert (tmp_path / "grammage.db").exists()
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        pass


def test_demo_says_so_when_the_proxy_is_unreachable(tmp_path: Path) -> None:
    done = demo("--base-url", f"{BASE}:{free_port()}", cwd=tmp_path)
    assert done.returncode == 3
    assert "did not answer" in done.stderr


def test_demo_needs_a_key_for_the_real_provider(tmp_path: Path) -> None:
    done = demo("--provider", "openai", cwd=tmp_path)
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr


def test_demo_refuses_an_unknown_language(tmp_path: Path) -> None:
    done = demo("--languages", "fr,tlh", cwd=tmp_path)
    assert done.returncode == 2
    assert "tlh" in done.stderr
