"""Shadow methods: a second opinion on every call, beside the one that counts, never in its way."""

import asyncio
import importlib.metadata
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from config.settings import Settings
from config.tables import load_tables
from estimators.usage import Usage
from proxy.app import App
from proxy.call import CallRecord
from proxy.cli.main import app as command_line
from proxy.clock import Clock
from proxy.errors import StartError
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.store import Store
from proxy.log import LineWriter
from proxy.policy.candidates import Candidate, candidates_from
from proxy.shadow import MOST_WAITING, OVERFLOW, Shadows, Weighed, shadow_scales
from proxy.weigh import WeighingRules
from tests.contract.ledgers import open_store, record, sqlite_url
from tests.contract.logical_rows import made_at
from tests.contract.proxy_harness import Proxy, ask, proxy, simulated, until
from tests.sample_records import attempt, estimate

TABLES = load_tables()
RULES = WeighingRules(operating_prior="typical", profile="sci-consumer")
VERSION = importlib.metadata.version("ecologits")


def opinions(served: Proxy) -> list[tuple[str, str]]:
    """Method and role of each estimate in the ledger."""
    with closing(sqlite3.connect(f"file:{served.ledger}?mode=ro", uri=True)) as database:
        return [(str(row[0]), str(row[1])) for row in database.execute("SELECT method, role FROM estimates ORDER BY estimate_id")]


def shadows_of(served: Proxy, call_id: str) -> dict[str, Any] | None:
    """The call's record once it has a shadow."""
    found = served.get(f"/v1/footprint/{call_id}").json
    return found if found["shadow"] else None


def test_a_shadow_stands_beside_the_estimate_that_counts(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["ecologits"]}) as served:
        answer = served.chat()
        call_id = answer.ours["call-id"]
        found = until(lambda: shadows_of(served, call_id))
        assert found["method"].startswith("tokens@")
        (shadow,) = found["shadow"]
        assert shadow["method"] == f"ecologits@{VERSION}"
        assert shadow["gco2e"] > 0
        assert shadow["gco2e"] != found["gco2e"]
        assert "output-tokens-only" in shadow["warnings"]
        assert "output-tokens-only" not in found["warnings"]
        (only,) = found["attempts"]
        assert [each["method"] for each in only["estimates"]] == ["tokens"]
        assert [each["method"] for each in only["shadow"]] == ["ecologits"]
        assert float(answer.ours["gco2e"]) == pytest.approx(found["gco2e"], rel=1e-3)


@pytest.mark.parametrize("stream", [False, True])
def test_reports_count_the_chosen_estimate_alone_and_can_be_asked_for_the_shadow(tmp_path: Path, stream: bool) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["ecologits"]}) as served:
        for _ in range(3):
            served.chat(ask(stream=stream))
        until(lambda: True if len(opinions(served)) == 6 else None)
        ledger = f"sqlite:///{served.ledger}"
        counted, beside = (read_sums(ledger, Selection(by="model", method=method)) for method in (None, "ecologits"))
        chosen_g = sum(row["gco2e"] for row in served.calls() if "output-tokens-only" not in row["warnings"])
        shadow_g = sum(row["gco2e"] for row in served.calls() if "output-tokens-only" in row["warnings"])
    assert (counted.whole.calls, counted.whole.attempts) == (3, 3)
    assert sum(group.attempts for group in counted.opinions) == 3
    assert sum(group.lines["gco2e"].mean for group in counted.opinions) == pytest.approx(chosen_g)
    assert sum(group.lines["gco2e"].mean for group in beside.opinions) == pytest.approx(shadow_g)


def test_without_shadows_nothing_is_added(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream) as served:
        call_id = served.chat().ours["call-id"]
        assert served.get(f"/v1/footprint/{call_id}").json["shadow"] == []
    assert opinions(served) == [("tokens", "chosen")]


def test_a_method_that_does_not_cover_a_call_or_weighed_it_adds_nothing(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["tokens", "ecologits"]}) as served:
        served.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "merino"})
        served.chat()
    assert sorted(opinions(served)) == [("ecologits", "shadow"), ("embeddings", "chosen"), ("tokens", "chosen")]


def test_what_waits_at_the_end_is_still_recorded(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["ecologits"]}) as served:
        for _ in range(5):
            served.chat()
    assert sorted(opinions(served)) == [("ecologits", "shadow")] * 5 + [("tokens", "chosen")] * 5


def test_a_call_that_generated_nothing_has_no_shadow(tmp_path: Path) -> None:
    with simulated(always="500") as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["ecologits"]}) as served:
        assert served.chat().status == 500
    assert opinions(served) == []


class Kept:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def append(self, record: CallRecord) -> None:
        self.records.append(record)


def candidate() -> Candidate:
    settings = Settings.model_validate({"models": {"m": {"deployments": [{"provider": "openai", "model": "gpt-4o-mini"}]}}})
    return candidates_from(settings, TABLES.places).of("m")[0]


def weighed(**changes: Any) -> Weighed:
    given: dict[str, Any] = {
        "record": record(),
        "ordinal": 0,
        "candidate": candidate(),
        "model": "gpt-4o-mini",
        "operation": "chat",
        "usage": Usage(input_tokens=100, output_tokens=50),
        "possible_output_tokens": None,
        "network_bytes": 1000,
    }
    return Weighed(**(given | changes))


async def test_a_failing_method_is_counted_said_once_and_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    room = Shadows(kept)
    room.start()
    scales = shadow_scales(["ecologits", "disclosed", "tokens"], TABLES, RULES)
    broken = {**scales, "no-such-method": scales["tokens"]}
    without_usage: Any = None
    room.take(weighed(), broken)
    room.take(weighed(), broken)
    room.take(weighed(usage=without_usage), scales)
    await room.close()
    assert room.failures["no-such-method"] == 2
    assert room.failures["ecologits"] == 1
    said = [line.getMessage() for line in caplog.records if line.name == "grammage.shadow"]
    assert len([line for line in said if "no-such-method" in line]) == 1
    assert [[shadow.method for shadow in each.attempts[0].shadows] for each in kept.records] == [["ecologits"], ["ecologits"]]


async def test_beyond_the_bound_calls_go_without_shadows() -> None:
    room = Shadows(Kept())
    room.start()
    room._waiting = MOST_WAITING
    room.take(weighed(), shadow_scales(["ecologits"], TABLES, RULES))
    await room.close()
    assert room.failures[OVERFLOW] == 1
    room.take(weighed(), shadow_scales(["ecologits"], TABLES, RULES))
    assert room.failures[OVERFLOW] == 2


async def test_opinions_are_formed_off_the_event_loop_and_kept_on_it() -> None:
    kept = Kept()
    room = Shadows(kept)
    room.start()
    room.take(weighed(), shadow_scales(["ecologits"], TABLES, RULES))
    assert kept.records == []
    await room.close()
    await asyncio.sleep(0)
    assert len(kept.records) == 1


def test_failures_are_a_metric(tmp_path: Path) -> None:
    with simulated() as upstream, proxy(tmp_path, upstream, weighing={"shadow": ["ecologits"]}) as served:
        served.chat()
        assert "# TYPE grammage_shadow_failures counter" in served.get("/metrics", accept="application/openmetrics-text").body.decode()


async def test_a_method_that_does_not_exist_stops_the_start_with_a_suggestion(tmp_path: Path) -> None:
    settings = Settings.model_validate({"ledger": {"url": sqlite_url(tmp_path)}, "weighing": {"shadow": ["ecologit"]}})
    made = App(settings, TABLES, clock=Clock(), version="0", log_writer=LineWriter())
    try:
        with pytest.raises(StartError, match=r"weighing\.shadow: there is no method `ecologit`; did you mean `ecologits`\?"):
            await made.start()
    finally:
        await made.stop()


def test_check_config_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "grammage.yaml"
    file.write_text("version: 1\nweighing: {shadow: [ecologit]}\n", encoding="utf-8")
    refused = CliRunner().invoke(command_line, ["check-config", str(file)])
    assert refused.exit_code == 1
    assert "did you mean `ecologits`?" in refused.stderr

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    file.write_text("version: 1\nweighing: {shadow: [ecologits]}\n", encoding="utf-8")
    assert CliRunner().invoke(command_line, ["check-config", str(file)]).exit_code == 0
    monkeypatch.setattr(importlib.metadata, "version", missing)
    refused = CliRunner().invoke(command_line, ["check-config", str(file)])
    assert refused.exit_code == 1
    assert "pip install 'grammage[ecologits]'" in refused.stderr


def test_the_ledger_keeps_shadows_apart_and_once(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path))
    plain = record()
    shadow = estimate(method="ecologits", method_version="0.11.3")
    again = record(call_id=plain.call_id, attempts=(attempt(attempt_id=plain.attempts[0].attempt_id, shadows=(shadow,)),))
    for each in ([plain], [again], [again, again]):
        store.write(each)
    found = store.find(plain.call_id)
    store.close()
    assert found is not None
    attempts: Any = found["attempts"]
    (only,) = attempts
    assert [(each["method"], each["role"]) for each in only["estimates"]] == [("tokens", "chosen")]
    assert [(each["method"], each["role"]) for each in only["shadow"]] == [("ecologits", "shadow")]


def test_an_attempt_with_nothing_but_a_shadow_counts_as_unweighed(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path))
    unweighed = attempt(estimate=None, unweighed_reason="weighing_failed", shadows=(estimate(method="ecologits"),))
    store.write([record(attempts=(unweighed,))])
    store.close()
    sums = read_sums(sqlite_url(tmp_path), Selection(by="model"))
    assert [(each.reason, each.attempts) for each in sums.unweighed] == [("weighing_failed", 1)]
    assert sums.opinions == []


def test_estimates_of_an_older_ledger_count_after_its_upgrade(tmp_path: Path) -> None:
    old = record()
    made_at("0001", sqlite_url(tmp_path), [old])
    store = Store(sqlite_url(tmp_path))
    store.upgrade()
    found = store.find(old.call_id)
    store.close()
    assert found is not None
    assert json.dumps(found["attempts"], default=str).count('"role": "chosen"') == 1
    assert [each.attempts for each in read_sums(sqlite_url(tmp_path), Selection(by="model")).opinions] == [1]
