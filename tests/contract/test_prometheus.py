"""The real Prometheus scrapes a real proxy and answers the questions that the dashboards ask. Skipped where there is no such binary."""

import contextlib
import json
import math
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import Proxy, ask, proxy, simulated, until
from tests.serving import free_port

BINARY = shutil.which("prometheus")
STOP_S = 20
CALLS = 3
SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"


def config_for(target: str) -> str:
    """The configuration that ships, pointed at `target` and made quick."""
    text = SHIPPED.read_text()
    for old, new in (
        ("127.0.0.1:8080", target),
        ("scrape_interval: 15s", "scrape_interval: 200ms"),
        ("scrape_timeout: 10s", "scrape_timeout: 200ms"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


pytestmark = [pytest.mark.prom, pytest.mark.skipif(BINARY is None, reason="the prometheus binary is not installed")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        simulated() as upstream,
        proxy(tmp_path_factory.mktemp("proxy"), upstream, tags={"campaign": ["noel-26"]}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def prometheus(made: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with running(folder, made.url.removeprefix("http://")) as url:
        yield url


@contextlib.contextmanager
def running(folder: Path, target: str) -> Iterator[str]:
    """Prometheus on a port of its own, scraping `target`; its address."""
    (folder / "prometheus.yml").write_text(config_for(target))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(BINARY),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _is_up(address))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(STOP_S)


def _is_up(address: str) -> bool | None:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return None
    return True


def asked(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The vector that a PromQL query gives now."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=5) as reply:
        answer = json.load(reply)
    assert answer["status"] == "success", answer
    rows: list[dict[str, Any]] = answer["data"]["result"]
    return rows


def number(prometheus: str, query: str, least: float = 0) -> float:
    """The only value that a query gives, once it is there and above `least`."""

    def found() -> float | None:
        rows = asked(prometheus, query)
        value = float(rows[0]["value"][1]) if len(rows) == 1 else math.nan
        return value if value > least else None

    return until(found)


def grams(made: Proxy) -> float:
    """What the ledger says was emitted."""
    return math.fsum(row["gco2e"] for row in made.calls() if row["gco2e"] is not None)


def test_prometheus_sees_what_the_ledger_has(made: Proxy, prometheus: str) -> None:
    for number_of_call in range(CALLS):
        made.chat(ask(stream=number_of_call == 0), x_grammage_tag_campaign="noel-26" if number_of_call else "never-declared")
    calls = CALLS - 1e-6
    assert number(prometheus, 'sum(grammage_requests_total{operation="chat",outcome="ok"})', calls) == CALLS
    truth = grams(made)
    assert number(prometheus, "sum(grammage_emissions_co2e_grams_total)", truth * 0.999) == pytest.approx(truth, rel=1e-6)
    low = number(prometheus, "sum(grammage_emissions_co2e_low_grams_total)")
    high = number(prometheus, "sum(grammage_emissions_co2e_high_grams_total)")
    assert low < truth < high
    joules = math.fsum(row["facility_energy_wh"] for row in made.calls()) * 3600
    assert number(prometheus, "sum(grammage_energy_joules_total)") == pytest.approx(joules, rel=1e-6)
    written = sum(row["output_tokens"] for row in made.calls())
    assert number(prometheus, "sum(grammage_output_tokens_total)") == written


def test_tags_and_phases_are_labels(made: Proxy, prometheus: str) -> None:
    made.chat(x_grammage_tag_campaign="noel-26")
    made.chat(x_grammage_tag_campaign="never-declared")
    for value in ("noel-26", "other"):
        assert number(prometheus, f'sum(grammage_emissions_co2e_grams_total{{campaign="{value}"}})') > 0
    phases = {row["metric"]["phase"] for row in asked(prometheus, "sum by (phase) (grammage_emissions_co2e_grams_total)")}
    assert phases == {"operational", "embodied"}


def test_a_rate_is_seen_while_calls_go_on(made: Proxy, prometheus: str) -> None:
    def growing() -> float | None:
        made.chat()
        rows = asked(prometheus, "sum(rate(grammage_emissions_co2e_grams_total[5s]))")
        value = float(rows[0]["value"][1]) if rows else 0.0
        return value if value > 0 else None

    assert until(growing) > 0


def test_latencies_are_histograms_that_quantiles_can_be_taken_of(made: Proxy, prometheus: str) -> None:
    made.chat()
    for name in ("proxy_overhead_seconds", "request_duration_seconds"):
        assert number(prometheus, f"histogram_quantile(0.95, sum by (le) (grammage_{name}_bucket))") < 60


def test_facts_about_the_proxy_are_there(prometheus: str) -> None:
    assert number(prometheus, 'up{job="grammage"}') == 1
    assert number(prometheus, "count(grammage_build_info)") == 1
    assert number(prometheus, "sum(grammage_usage_source_total)") >= 1
    assert asked(prometheus, "grammage_ledger_queue_calls") != []
