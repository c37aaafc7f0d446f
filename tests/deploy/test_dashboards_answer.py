"""Every query of every panel and variable is asked of a real Prometheus that scrapes a real proxy: it answers, and it has data.

What may be empty is listed, each with its reason. Dashboards are checked by query; no Grafana runs here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.grafana.generate import files
from deploy.grafana.variables import ALL, QUERIES
from tests.contract.proxy_harness import Proxy, until
from tests.deploy.watched import PROMETHEUS, SHIPPED, Prometheus, calls, house, prometheus

pytestmark = [pytest.mark.prom, pytest.mark.skipif(PROMETHEUS is None, reason="the prometheus binary is not installed")]
ROUNDS = 3
MACROS = {"$__rate_interval": "20s", "$__range": "60s"}
OF_PROMETHEUS = {"up", "ALERTS", "scrape_samples_scraped", "scrape_duration_seconds"}
ENGLISH = {path: json.loads(text) for path, text in files() if path.startswith("en/")}
QUERIES_BY_NAME = {
    f"{path[3:-5]}: {panel['title']} ({target['legendFormat']})": target
    for path, document in ENGLISH.items()
    for panel in document["panels"]
    for target in panel.get("targets", [])
}
MAY_BE_ZERO: dict[str, str] = {
    "grid: Live sources: failures and refused readings ({{source}} {{zone}})": "each source is asked once, before the first scrape",
    "grid: Live sources: failures and refused readings ({{source}}: {{reason}})": "each source is asked once, before the first scrape",
    "operations: Calls that wait for their commit ({{instance}})": "a commit is quicker than a scrape",
    "operations: Age of the oldest waiting call ({{instance}})": "a commit is quicker than a scrape",
    "operations: Spooled and lost calls (spooled)": "the ledger takes every call",
    "operations: Spooled and lost calls (lost to the ledger)": "the ledger takes every call",
    "operations: Dropped log lines and folded counts (log lines dropped)": "the log takes every line",
    "operations: Dropped log lines and folded counts (counts folded into `other`)": "few series",
    "quality: Usage estimated (estimated usage)": "the provider tells usage, or a tokenizer counts it",
    "quality: Not weighed (not weighed)": "every call is weighed",
    "quality: Attempts not weighed, by reason ({{reason}})": "every call is weighed",
    "quality: Unknown models (unknown models)": "with `models` configured, other names are refused",
    "quality: Shadow methods that could not weigh ({{method}})": "the second method does not fail",
}
"""Query: why nothing but zeros is right for this traffic. No query may be without data."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with house(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def watching(made: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen several rounds of traffic, each between two scrapes."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), made.url.removeprefix("http://")) as running:
        for _ in range(ROUNDS):
            scraped = scrapes(running)
            until(lambda scraped=scraped: scrapes(running) >= scraped + 2 or None)  # type: ignore[misc]  # a default that binds now
            calls(made)
        scraped = scrapes(running)
        until(lambda: scrapes(running) >= scraped + 2 or None)
        yield running


def scrapes(running: Prometheus) -> int:
    rows = running.instant('count_over_time(up{job="grammage"}[10m])')
    return int(rows[0]["value"][1]) if rows else 0


def without_macros(expr: str, **chosen: str) -> str:
    """The expression as Grafana sends it, with all chosen unless told."""
    for macro, text in MACROS.items():
        expr = expr.replace(macro, text)
    expr = re.sub(r"\$(\w+)", lambda found: chosen.get(found[1], ALL), expr)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize("name", QUERIES_BY_NAME)
def test_every_query_of_every_panel_has_data(watching: Prometheus, name: str) -> None:
    """Numbers, and not nothing but zeros, unless it is said why."""
    target = QUERIES_BY_NAME[name]
    query = without_macros(target["expr"])
    ask = watching.course if target["range"] else watching.instant
    rows = until(lambda: ask(query) or None)
    if name not in MAY_BE_ZERO:
        assert any(number != 0 for row in rows for number in numbers(row))


def numbers(row: dict[str, Any]) -> list[float]:
    """The numbers of a series, those that are none left out."""
    points = row["values"] if "values" in row else [row["value"]]
    return [float(point[1]) for point in points if point[1] != "NaN"]


@pytest.mark.parametrize("name", QUERIES)
def test_every_variable_has_values(watching: Prometheus, name: str) -> None:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", QUERIES[name])
    assert found is not None
    values = watching.api(f"label/{found[2]}/values", **{"match[]": without_macros(found[1])})
    expected = {"brand": {"acme", "globex"}, "campaign": {"noel-26", "soldes-27", "other", "unassigned"}, "job": {"grammage"}}
    assert values
    assert expected.get(name, set()) <= set(values)


def test_a_chosen_campaign_narrows_the_figures(watching: Prometheus) -> None:
    (total,) = [
        target["expr"]
        for target in targets("en/footprint.json")
        if "increase(grammage_emissions_co2e_grams_total" in target["expr"] and "by" not in target["expr"]
    ]
    every, xmas, none = (number(watching, without_macros(total, campaign=name)) for name in (ALL, "noel-26", "no-such"))
    assert 0 < xmas < every
    assert none == 0
    both = number(watching, without_macros(total, campaign="(noel-26|soldes-27)"))
    assert xmas < both < every


def number(watching: Prometheus, query: str) -> float:
    rows = watching.instant(query)
    return float(rows[0]["value"][1]) if rows else 0.0


def targets(path: str) -> list[dict[str, Any]]:
    return [target for panel in ENGLISH[path]["panels"] for target in panel.get("targets", [])]


def test_panels_and_rules_name_only_metrics_that_the_proxy_has(made: Proxy, watching: Prometheus) -> None:
    families = list(text_string_to_metric_families(made.get("/metrics").body.decode()))
    assert all(family.documentation for family in families)
    known = {sample.name for family in families for sample in family.samples}
    shown = " ".join(target["expr"] for path in ENGLISH for target in targets(path))
    groups = [group for path in (SHIPPED / "rules").glob("*.yml") for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    ruled = " ".join(rule["expr"] for group in groups for rule in group["rules"])
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    for text in (shown, ruled):
        named = set(re.findall(r"[\w:]*grammage_\w+(?::\w+)?", text))
        assert named - recorded <= known
    assert recorded & set(re.findall(r"[\w:]*grammage_\w+(?::\w+)?", shown)) == set()


def test_rules_are_loaded_and_healthy(watching: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]] | None:
        found = [rule for group in watching.api("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    rules = until(evaluated)
    assert len(rules) > 30
    assert [rule["name"] for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


def test_a_budget_that_is_used_up_raises_its_alert(watching: Prometheus) -> None:
    firing = until(lambda: watching.instant('ALERTS{alertname="GrammageBudgetExceeded",alertstate="firing"}') or None)
    assert {row["metric"]["budget"] for row in firing} == {"everything"}


@pytest.mark.parametrize("histogram", ["request_duration", "time_to_first_token", "proxy_overhead"])
def test_exemplars_name_calls_of_the_ledger(made: Proxy, watching: Prometheus, histogram: str) -> None:
    query = f"grammage_{histogram}_seconds_bucket"

    def found() -> set[str] | None:
        series = watching.api("query_exemplars", query=query, start=0, end=4e9)
        return {each["labels"]["call_id"] for one in series for each in one["exemplars"]} or None

    assert until(found) <= {row["call_id"] for row in made.calls()}


def test_the_range_of_the_emissions_is_in_order(watching: Prometheus) -> None:
    low, expected, high = (
        number(watching, without_macros(QUERIES_BY_NAME[f"footprint: Emissions ({word})"]["expr"])) for word in ("low", "expected", "high")
    )
    assert 0 < low < expected < high


def test_what_may_be_zero_is_asked_for() -> None:
    assert MAY_BE_ZERO.keys() <= QUERIES_BY_NAME.keys()
    assert len(QUERIES_BY_NAME) == sum(len(targets(path)) for path in ENGLISH)
