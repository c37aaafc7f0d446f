"""Live sources of grid intensity against local servers in their shapes, and calls beside them. No call may ever wait for one."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from typer.testing import CliRunner

from proxy.call import CallRecord, Hour
from proxy.cli.main import app
from proxy.clock import Clock
from proxy.http_client import close_session, fetch, open_session
from proxy.intensity.keeper import Keeper
from proxy.intensity.snapshot import Current
from proxy.ledger.store import Store
from tests.contract.ledgers import record as record_of
from tests.contract.proxy_harness import Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, Received, Script, ScriptedUpstream, scripted_upstream, whole
from tests.intensity_samples import (
    LOGIN,
    TOKEN,
    Beat,
    configured,
    em_forecast,
    em_latest,
    energy_charts,
    france_odre,
    uk_neso,
    watttime,
)
from tests.sample_records import attempt as attempt_of

QUARTERS = energy_charts([24.0, 25.0, None], [None, None, 26.0])
PAGES: dict[str, dict[str, bytes]] = {
    "energy-charts": {"/co2eq": QUARTERS},
    "uk-neso": {"/intensity": uk_neso((166, 163)), "/intensity/2026-11-23T12:05Z/fw24h": uk_neso((166, None), (158, None))},
    "france-odre": {"/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records": france_odre(28.0, 29.0)},
    "electricity-maps": {"/carbon-intensity/latest": em_latest(41), "/carbon-intensity/forecast": em_forecast(43, 38)},
    "watttime": {"/login": LOGIN, "/v3/forecast": watttime(1000.0, 990.0)},
}
EXPECTED = {
    "energy-charts": ("FR", 26.0, "average", "lifecycle", "forecast"),
    "uk-neso": ("GB", 163.0, "average", "direct", "measured"),
    "france-odre": ("FR", 28.0, "average", "direct", "measured"),
    "electricity-maps": ("FR", 43.0, "average", "lifecycle", "forecast"),
    "watttime": ("CAISO_NORTH", pytest.approx(990 * 0.45359237), "marginal", "direct", "forecast"),
}


@pytest.fixture
def server() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def serving(pages: dict[str, bytes]) -> Callable[[Received], Script]:
    return lambda request: whole(pages.get(urlsplit(request.target).path, b"no such page"))


def asked(server: ScriptedUpstream, kind: str, *then: Callable[[Keeper, Beat], None]) -> Keeper:
    """A keeper of one source that has asked the server for each of its pages; once more after each of `then`."""
    beat = Beat()

    async def run() -> Keeper:
        session = open_session()
        try:
            made = Keeper([configured(kind, url=server.url)], partial(fetch, session), beat)  # type: ignore[arg-type]  # a clock that a test moves
            await ask_all(made, beat)
            for prepare in then:
                prepare(made, beat)
                await ask_all(made, beat)
            return made
        finally:
            await close_session(session)

    return asyncio.run(run())


async def ask_all(keeper: Keeper, beat: Beat) -> None:
    """Each line of the only source once, when it is due."""
    (asker,) = keeper.askers
    for line in sorted(asker.lines, key=lambda line: line.due_s):
        beat.at_s = max(beat.at_s, line.due_s)
        await keeper.step(asker)


def told(keeper: Keeper) -> Current:
    (found,) = keeper.now()
    return found


@pytest.mark.parametrize("kind", PAGES)
def test_each_source_is_asked_and_read_through_the_one_client(server: ScriptedUpstream, kind: str) -> None:
    server.script = serving(PAGES[kind])
    found = told(asked(server, kind))
    assert (found.zone, found.gco2e_per_kwh, found.kind, found.basis, found.state) == EXPECTED[kind]
    assert {urlsplit(request.target).path for request in server.received} == set(PAGES[kind])
    assert all(request.method == "GET" for request in server.received)


def test_tokens_go_where_the_source_wants_them_and_nowhere_else(server: ScriptedUpstream) -> None:
    server.script = serving(PAGES["electricity-maps"])
    asked(server, "electricity-maps")
    assert server.last.value("auth-token") == TOKEN.encode()
    assert parse_qs(urlsplit(server.last.target).query)["zone"] == ["FR"]
    server.script = serving(PAGES["watttime"])
    asked(server, "watttime")
    login, forecast = server.received[-2:]
    assert (login.value("authorization") or b"").startswith(b"Basic ")
    assert forecast.value("authorization") == b"Bearer abcdef0123456789fedcabc"
    assert not any(TOKEN in request.target for request in server.received)


FAILURES: dict[str, Script] = {
    "500": whole(b"oops", status=b"500 Internal Server Error"),
    "429": whole(b'{"error": "Too Many Requests"}', (b"Retry-After", b"60"), status=b"429 Too Many Requests"),
    "429 of a portal": whole(b'{"errorcode": 10002, "reset_time": "2026-12-01T00:00:00Z"}', status=b"429 Too Many Requests"),
    "400 in plain text": whole(b"'xx' is not the code for an available country.", status=b"400 Bad Request", kind=b"text/plain"),
    "401 of the plan": whole(b'{"error": "Request unauthorized for zoneKey=FR", "message": "no"}', status=b"401 Unauthorized"),
    "403": whole(b'{"error": "Forbidden", "message": "no access"}', status=b"403 Forbidden"),
    "404": whole(b'{"status": "no-data", "message": "No recent data"}', status=b"404 Not Found"),
    "a redirect": whole(b"", (b"location", b"http://127.0.0.1:9/"), status=b"302 Found"),
    "half a page": [whole(QUARTERS)[0][:-20]],
    "hangs up": [],
    "resets": [RESET],
    "malformed": whole(QUARTERS[:-5]),
    "not a number": whole(QUARTERS.replace(b"26.0", b"NaN")),
    "zero": whole(energy_charts([0], [None])),
    "a million": whole(energy_charts([1e6], [None])),
    "too large": whole(b" " * 5_000_000),
}


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_changes_nothing_but_the_age(server: ScriptedUpstream, kind: str, failure: str) -> None:
    server.script = serving(PAGES[kind])
    seen: list[tuple[Current, dict[Any, Any]]] = []

    def fails(keeper: Keeper, beat: Beat) -> None:
        beat.at_s += 3600
        seen.append((told(keeper), dict(keeper.snapshot.curves)))
        server.script = lambda request: FAILURES[failure]

    keeper = asked(server, kind, fails, lambda keeper, beat: None)
    (before, curves), after = seen[0], told(keeper)
    assert dict(keeper.snapshot.curves) == curves
    assert after.age_s > before.age_s
    assert after._replace(age_s=before.age_s) == before
    assert sum(keeper.failures().values()) >= 2
    assert all(line.problem for line in keeper.askers[0].lines)


def test_the_rest_that_a_429_asks_for_is_given(server: ScriptedUpstream) -> None:
    server.script = lambda request: FAILURES["429"]
    keeper = asked(server, "energy-charts")
    assert keeper.askers[0].lines[0].due_s >= Beat().at_s + 60


def test_a_source_that_stalls_is_given_up(server: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.http_client.PAGE_S", 0.05)
    server.script = lambda request: [UNTIL_LEFT]
    keeper = asked(server, "energy-charts")
    assert keeper.askers[0].lines[0].problem == "does not answer within 0.05 s"
    assert server.left.wait(15)


DEPLOYMENT = {"provider": "simulated", "zone": "FR"}


def settings_of(url: str, *kinds: str) -> dict[str, Any]:
    sources = [json.loads(configured(kind, url=url).model_dump_json()) for kind in kinds]
    return {"models": {"sim-small": {"deployments": [DEPLOYMENT]}}, "intensity": {"sources": sources}}


def today(kind: str) -> dict[str, bytes]:
    """Pages whose readings hold now."""
    now_s = Clock().now_ms() / 1000 // 900 * 900
    return {
        "energy-charts": {"/co2eq": energy_charts([24.0, 25.0, None], [None, None, 26.0], first_s=now_s - 1800)},
        "france-odre": {
            "/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records": france_odre(28.0, newest_s=now_s),
        },
    }[kind]


def metric(made: Proxy, name: str) -> dict[str, float]:
    """Samples of a family by their labels."""
    lines = made.get("/metrics").body.decode().splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith(f"grammage_{name}" + "{")]
    return {labels.partition("{")[2].rstrip("}"): float(value) for labels, _, value in found}


def test_calls_carry_the_hours_figure_beside_the_yearly_one_that_weighs_them(tmp_path: Path, server: ScriptedUpstream) -> None:
    server.script = serving({**today("energy-charts"), **today("france-odre")})
    live = 'source="energy-charts",zone="FR"'
    for name in ("live", "yearly"):
        (tmp_path / name).mkdir()
    with (
        proxy(tmp_path / "live", **settings_of(server.url, "energy-charts", "france-odre")) as made,
        proxy(tmp_path / "yearly", models={"sim-small": {"deployments": [DEPLOYMENT]}}) as plain,
    ):
        until(lambda: metric(made, "grid_carbon_intensity_age_seconds").get(live))
        replies = [each.chat(ask(model="sim-small")) for each in (made, plain)]
        records = [each.get(f"/v1/footprint/{reply.ours['call-id']}").json for each, reply in zip((made, plain), replies, strict=True)]
        yearly, weighed = metric(made, "grid_carbon_intensity_grams_per_kilowatt_hour"), records[0]["attempts"][0]["estimates"][0]
        direct = until(lambda: metric(made, "grid_direct_intensity_grams_per_kilowatt_hour") or None)
        failures = metric(made, "grid_intensity_failures_total")
    hour = records[0]["attempts"][0]["hourly_intensity"]
    assert 0 <= hour.pop("age_s") < 1800
    assert hour == {
        "gco2e_per_kwh": 26.0,
        "source": "energy-charts",
        "zone": "FR",
        "basis": "production-based, lifecycle",
        "state": "forecast",
    }
    assert records[1]["attempts"][0]["hourly_intensity"] is None
    assert records[0]["gco2e"] == records[1]["gco2e"], "the live figure is in no total"
    assert yearly[live] == 26.0
    assert yearly[f'source="{weighed["intensity_source"]}",zone="FR"'] == 31.0
    assert direct == {'source="france-odre",zone="FR"': 28.0}
    assert set(failures.values()) == {0.0}


def test_a_stalled_source_holds_back_no_call_nor_the_end(tmp_path: Path, server: ScriptedUpstream) -> None:
    asked_for = threading.Event()

    def stall(request: Received) -> Script:
        asked_for.set()
        return [UNTIL_LEFT]

    server.script = stall
    with proxy(tmp_path, **settings_of(server.url, "energy-charts", "electricity-maps", "uk-neso")) as made:
        assert asked_for.wait(15)
        replies = [made.chat(ask(model="sim-small")) for _ in range(5)]
        call = made.calls()[-1]
        assert not server.left.is_set(), "the question is still open"
        assert metric(made, "grid_carbon_intensity_age_seconds") == {}
    assert {reply.status for reply in replies} == {200}
    assert float(replies[-1].ours["gco2e"]) > 0
    assert call["gco2e"] > 0
    assert server.left.wait(15), "at the end the question is given up"


def test_the_hours_figure_comes_back_from_the_ledger_and_only_where_there_was_one(store: Store) -> None:
    hour = Hour(gco2e_per_kwh=0.1 + 0.2, source="so", zone="zo", basis="ba", state="st", age_s=7.25)
    with_it = record_of(1, attempts=(attempt_of(attempt_id="a1", hour=hour),))
    without = record_of(2, attempts=(attempt_of(attempt_id="a2"),))
    store.write([with_it, without])
    store.write([with_it])
    found = [store.find(each.call_id) for each in (with_it, without)]
    hours = [call["attempts"][0]["hour"] for call in found if call is not None]  # type: ignore[index]  # a list of attempts
    assert hours == [{name: getattr(hour, name) for name in Hour.__struct_fields__}, None]


def test_a_spooled_record_keeps_the_hours_figure() -> None:
    hour = Hour(gco2e_per_kwh=26.0, source="energy-charts", zone="FR", basis="production-based, lifecycle", state="forecast", age_s=3.0)
    record = record_of(1, attempts=(attempt_of(hour=hour),))
    assert msgspec.json.decode(msgspec.json.encode(record), type=CallRecord) == record


def write_config(file: Path, sources: list[dict[str, Any]], drain_s: int = 1) -> None:
    file.write_text(json.dumps({"version": 1, "server": {"listen": "127.0.0.1:0", "drain_s": drain_s}, "intensity": {"sources": sources}}))


def test_a_reload_begins_and_ends_the_asking_and_asks_nothing_anew(tmp_path: Path, server: ScriptedUpstream) -> None:
    server.script = serving({**today("energy-charts"), **today("france-odre")})
    charts, odre = ({"kind": kind, "zones": ["FR"], "url": server.url} for kind in ("energy-charts", "france-odre"))
    file = tmp_path / "c.yaml"
    write_config(file, [])

    def ages(made: Proxy) -> set[str]:
        return set(metric(made, "grid_carbon_intensity_age_seconds"))

    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        assert ages(made) == set()
        for sources in ([charts], [odre, charts], [odre], []):
            write_config(file, sources, drain_s=len(sources) + 1)
            child.process.send_signal(signal.SIGHUP)
            expected = {f'source="{source["kind"]}",zone="FR"' for source in sources}
            until(lambda expected=expected: ages(made) == expected or None)  # type: ignore[misc]  # bound now
    paths = [urlsplit(request.target).path for request in server.received]
    assert len(paths) == 2, "each source once, however often the file changed"


def test_the_command_shows_each_figure_with_its_basis_beside_the_yearly_one(tmp_path: Path, server: ScriptedUpstream) -> None:
    server.script = serving({**today("energy-charts"), **today("france-odre")})
    sources = [{"kind": kind, "zones": ["FR"], "url": server.url} for kind in ("energy-charts", "france-odre")]
    file = tmp_path / "c.yaml"
    write_config(file, sources)
    done = CliRunner().invoke(app, ["intensity", "--config", str(file), "--format", "json"])
    assert done.exit_code == 0, done.output
    charts, odre = json.loads(done.stdout)
    assert (charts["zone"], charts["gco2e_per_kwh"], charts["yearly_gco2e_per_kwh"], charts["state"]) == ("FR", 26.0, 31.0, "forecast")
    assert (charts["basis"], odre["basis"]) == ("production-based, lifecycle", "production-based, direct")


def test_the_command_says_what_came_to_nothing(tmp_path: Path, server: ScriptedUpstream) -> None:
    server.script = lambda request: FAILURES["401 of the plan"]
    file = tmp_path / "c.yaml"
    write_config(file, [{"kind": "electricity-maps", "zones": ["FR"], "token": TOKEN, "url": server.url}])
    done = CliRunner().invoke(app, ["intensity", "--config", str(file)])
    assert (done.exit_code, done.stdout) == (3, "")
    assert "electricity-maps FR (latest): answers 401" in done.stderr
    assert TOKEN not in done.output
    write_config(file, [])
    nothing = CliRunner().invoke(app, ["intensity", "--config", str(file)])
    assert nothing.exit_code == 1
    assert "no live source is configured" in nothing.stderr
