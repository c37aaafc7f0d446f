"""A live source that fails, lies or stalls while calls are routed by it: decisions stay, and only the age of what it said grows."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import openai
import pytest

from config.load import load_settings
from proxy.clock import Clock
from tests.contract.proxy_harness import KEY, Proxy, proxy, until
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, Received, Script, ScriptedUpstream, scripted_upstream, whole
from tests.contract.test_intensity import metric
from tests.contract.test_policies import OK
from tests.intensity_samples import TOKEN, em_forecast, em_latest, energy_charts

RECIPE = Path(__file__).resolve().parents[2] / "config" / "examples" / "policies" / "by-the-hour.yaml"
TRUTH = {"FR": 12.0, "SE": 90.0, "PL": 650.0}
"""By the hour France is lowest; by the year Sweden is, so that a lost figure would be seen."""

AGE, FIGURE = "grid_carbon_intensity_age_seconds", "grid_carbon_intensity_grams_per_kilowatt_hour"
FAILURES = "grid_intensity_failures_total"
CALLS = 5

Page = Callable[[Received, Any], bytes]
LIES: dict[str, Any] = {
    "not a number": float("nan"),
    "endless": float("inf"),
    "zero": 0,
    "below zero": -20,
    "a million": 1e6,
    "a word": "twelve",
    "nothing": None,
}
TROUBLES: dict[str, Script] = {
    "stalls": [UNTIL_LEFT],
    "resets": [RESET],
    "fails": whole(b"oops", status=b"500 Internal Server Error"),
    "is tired of us": whole(b'{"error": "Too Many Requests"}', status=b"429 Too Many Requests"),
    "talks of something else": whole(b"<html>maintenance</html>", kind=b"text/html"),
}


def charts(request: Received, figure: Any) -> bytes:
    """Energy-Charts: the quarters until now; none that would begin to hold in the midst of a test."""
    return energy_charts([figure] * 3, [None] * 3, first_s=_quarter_s() - 1800)


def maps(request: Received, figure: Any) -> bytes:
    """Electricity Maps: the newest hour, or the one that is under way."""
    (zone,) = parse_qs(urlsplit(request.target).query)["zone"]
    if "forecast" in request.target:
        return em_forecast(figure, first_s=_quarter_s() // 3600 * 3600).replace(b'"zone": "FR"', f'"zone": "{zone}"'.encode())
    return em_latest(figure, at_s=_quarter_s() - 900, zone=zone)


PAGES: dict[str, tuple[Page, str, int]] = {"energy-charts": (charts, "country", 1), "electricity-maps": (maps, "zone", 2)}
"""Of each source: its page, the name of the zone in its questions, how many pages it has."""


def _quarter_s() -> float:
    return Clock().now_ms() / 1000 // 900 * 900


@dataclass
class Source:
    """A local server in a source's shapes; `lie` takes the place of each figure, `trouble` of each answer."""

    kind: str
    lies: bool = False
    lie: Any = None
    trouble: Script | None = None
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def script(self, request: Received) -> Script:
        page, name, _ = PAGES[self.kind]
        zone = parse_qs(urlsplit(request.target).query)[name][0].upper().partition("-")[0]
        self.asked[urlsplit(request.target).path, zone] += 1
        if self.trouble is not None:
            return self.trouble
        return whole(page(request, self.lie if self.lies else TRUTH[zone]))

    def is_heard(self) -> bool:
        """True when each page was asked for each zone, and again: what it said first is taken by then."""
        pages = {path for path, _ in self.asked}
        return len(pages) == PAGES[self.kind][2] and all(self.asked[path, zone] > 1 for path in pages for zone in TRUTH)


@pytest.fixture
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source that is asked all the time: what takes quarters of an hour takes hundredths of a second."""
    monkeypatch.setattr("proxy.intensity.asker.SPACING_S", 0.01)
    monkeypatch.setattr("proxy.intensity.asker.next_publication_s", lambda now_s, every_s, name: now_s + 0.05)
    monkeypatch.setattr("proxy.intensity.asker.pause_s", lambda failures, error, rest_s, name: 0.05)
    monkeypatch.setattr("proxy.http_client.PAGE_S", 0.1)
    return Source(request.param)


@pytest.fixture
def made(tmp_path: Path, source: Source) -> Iterator[Proxy]:
    """A proxy whose source tells the truth so far."""
    with serving(tmp_path, source) as found:
        yield found


@contextlib.contextmanager
def serving(folder: Path, source: Source) -> Iterator[Proxy]:
    """The recipe `by-the-hour`, its deployments and its source on local servers."""
    with scripted_upstream() as provider, scripted_upstream() as grid:
        provider.answers(*OK)
        grid.script = source.script
        with house(folder, provider, grid, source.kind) as made:
            yield made


@contextlib.contextmanager
def house(folder: Path, provider: ScriptedUpstream, grid: ScriptedUpstream, kind: str) -> Iterator[Proxy]:
    content = load_settings(RECIPE, {}).model_dump(mode="json", exclude_defaults=True)
    for deployment in content["models"]["writer"]["deployments"]:
        deployment["api_base"] = f"{provider.url}/v1"
    given = {"token": TOKEN} if kind == "electricity-maps" else {}
    zones = ["FR", "SE-SE3", "PL"] if kind == "electricity-maps" else ["FR", "SE", "PL"]
    sources = [{"kind": kind, "zones": zones, "url": grid.url, **given}]
    with proxy(folder, models=content["models"], policies=content["policies"], intensity={"sources": sources}) as made:
        yield made


def decided(made: Proxy) -> list[tuple[object, ...]]:
    """What is decided of some calls by the client, and what their records say of the hour, less its age."""
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        raws = [
            client.chat.completions.with_raw_response.create(model="writer", messages=[{"role": "user", "content": "A slogan"}])
            for _ in range(CALLS)
        ]
    found: list[tuple[object, ...]] = []
    for raw in raws:
        record = made.get(f"/v1/footprint/{raw.headers['x-grammage-call-id']}").json
        (attempt,) = record["attempts"]
        hour = attempt["hourly_intensity"] or {}
        hour.pop("age_s", None)
        region, grams = raw.headers["x-grammage-region"], raw.headers["x-grammage-gco2e"]
        found.append((region, record["decision"]["action"], record["decision"]["reason"], grams, json.dumps(hour, sort_keys=True)))
    return found


def reasons(made: Proxy) -> set[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        return set(database.execute("SELECT reason, choice_region FROM decisions"))


def nothing_came(made: Proxy) -> float:
    return sum(metric(made, FAILURES).values())


def holds_while(made: Proxy, source: Source, begins: Callable[[], None]) -> None:
    """Decisions, records and figures are the same before and during the trouble; the ages grow."""
    until(lambda: True if source.is_heard() else None)
    before, figures, before_ages = decided(made), metric(made, FIGURE), metric(made, AGE)
    assert {row[:3] for row in before} == {("francecentral", "kept", "hourly")}
    assert len(before_ages) == len(TRUTH)
    begins()
    source.asked.clear()
    until(lambda: True if source.is_heard() else None)
    failures = nothing_came(made)
    until(lambda: True if nothing_came(made) > failures else None)
    assert decided(made) == before
    assert metric(made, FIGURE) == figures
    after = metric(made, AGE)
    assert set(after) == set(before_ages)
    assert all(after[labels] > age for labels, age in before_ages.items())
    assert reasons(made) == {("hourly", "francecentral")}
    assert made.get("/readyz").status == 200


KINDS = pytest.mark.parametrize("source", PAGES, indirect=True)


@KINDS
@pytest.mark.parametrize("lie", LIES)
def test_a_source_that_begins_to_lie_changes_nothing_but_the_age(made: Proxy, source: Source, lie: str) -> None:
    def begins() -> None:
        source.lie, source.lies = LIES[lie], True

    holds_while(made, source, begins)


@KINDS
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_source_that_stalls_or_fails_changes_nothing_but_the_age(made: Proxy, source: Source, trouble: str) -> None:
    def begins() -> None:
        source.trouble = TROUBLES[trouble]

    holds_while(made, source, begins)


@KINDS
@pytest.mark.parametrize("lie", LIES)
def test_a_source_that_always_lied_leaves_decisions_to_the_year(tmp_path: Path, source: Source, lie: str) -> None:
    source.lie, source.lies = LIES[lie], True
    with serving(tmp_path, source) as made:
        until(lambda: True if source.is_heard() else None)
        found = decided(made)
        assert {row[:3] for row in found} == {("swedencentral", "routed", "hourly_unknown")}
        assert {row[4] for row in found} == {"{}"}, "no figure of the hour was believed"
        assert metric(made, AGE) == {}
