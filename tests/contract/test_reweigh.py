"""Recorded calls are weighed anew from the ledger alone: to the last digit by the same factors, beside the old by others, once."""

import csv
import io
import json
import subprocess
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from config.tables import load_tables
from proxy.call import PENDING
from proxy.ledger.queries import Selection
from proxy.ledger.set_ledger import SetLedger
from proxy.ledger.set_store import SetTerms
from proxy.ledger.store import Store
from proxy.ledger.weighed_past import Period
from proxy.ledger.weighing_store import RulesInForce, in_force_at
from proxy.reports.summary import summarise
from proxy.restate.again import Restater
from proxy.restate.run import begin, restate
from tests.contract.endpoint_cases import CASES, STREAMING
from tests.contract.late_harness import answer_by_path, completed, post, queued
from tests.contract.ledger_rows import ask_ledger, change_ledger
from tests.contract.past_calls import Weigher, settings_of
from tests.contract.proxy_harness import GRAMMAGE, Proxy, ask, proxy
from tests.contract.restated import AGAIN, LATER_MS, weigh_again
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, streamed, whole
from tests.contract.test_endpoints import UNARY, answers

RULES = RulesInForce(since_ms=0, operating_prior="typical", profile="sci-consumer", methods=())
BATCH = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "created_at": 1}
BATCH_USAGE = {"input_tokens": 900, "output_tokens": 300, "total_tokens": 1200}
BATCH_ASK = {"input_file_id": "file-in1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
METERED = {"energy_joules": 720.0, "energy_kwh": 0.0002, "attribution_method": "prorated", "attribution_ratio": 0.5}
POLICY = {"name": "worth", "mode": "enforce", "alternative": {"ref": "greetings", "mode": "run"}}
BILLED = {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42}


def answer(model: str, **more: Any) -> bytes:
    return json.dumps({"id": "x", "object": "chat.completion", "model": model, "choices": [], "usage": BILLED, **more}).encode()


def all_operations(made: Proxy, upstream: ScriptedUpstream) -> None:
    """Every endpoint whole, and as a stream that ends, and one that is cut."""
    for row in UNARY:
        case = CASES[row.path]
        upstream.answers(*answers(case))
        made.send("POST", case.sent_to, case.sent(), case.headers)
    for case in STREAMING.values():
        upstream.answers(*streamed(*case.events))
        made.send("POST", case.sent_to, case.sent(**case.stream_ask), case.headers)
    case = CASES["/v1/chat/completions"]
    upstream.answers(*streamed(*case.events[:1], end=False), RESET)
    made.send("POST", case.sent_to, case.sent(**case.stream_ask, max_tokens=900), case.headers)


def late_work(made: Proxy, upstream: ScriptedUpstream) -> None:
    """A batch and an answer in the background, booked when they have ended."""
    done = {**BATCH, "status": "completed", "usage": BATCH_USAGE, "model": "gpt-4o-mini", "output_file_id": "f", "completed_at": 2}
    answer_by_path(
        upstream,
        {
            "POST /v1/batches": whole(json.dumps({**BATCH, "status": "validating"}).encode()),
            "GET /v1/batches/batch_1": whole(json.dumps(done).encode()),
            "POST /v1/responses": whole(queued()),
            "GET /v1/responses/resp_bg": whole(completed()),
        },
    )
    post(made, "/v1/batches", BATCH_ASK)
    made.get("/v1/batches/batch_1")
    post(made, "/v1/responses", {"model": "gpt-5-mini", "input": "Hello", "background": True})
    made.get("/v1/responses/resp_bg")


def known_deployments(made: Proxy, upstream: ScriptedUpstream) -> None:
    """Stated machines, a stated place, a region that the answer tells, energy in the answer, and what needs no model."""
    for alias in ("known", "idle", "strange", "renamed", "zoned", "both", "regional", "unknown-region"):
        upstream.answers(*whole(answer("llama-3.3-70b-instruct")))
        assert made.chat(ask(model=alias)).status == 200
    upstream.answers(*whole(answer("gpt-4o-mini"), (b"x-ms-region", b"Sweden Central")))
    made.chat(ask(model="told"))
    upstream.answers(*whole(answer("llama-3.3-70b-instruct", energy=METERED)))
    made.chat(ask(model="known"))
    upstream.answers(*whole(answer("mistral-large-2407")))
    made.chat(ask(model="disclosed"))
    assert made.chat(ask(model="regional"), x_grammage_fields='{"name": "Ada"}').ours["alternative"]


def deployments(url: str) -> dict[str, Any]:
    own = {"provider": "local", "model": "llama-3.3-70b-instruct", "api_base": f"{url}/v1", "zone": "FR"}
    cloud = {"provider": "azure", "api_base": f"{url}/v1", "model": "gpt-4o"}
    stated: dict[str, dict[str, Any]] = {
        "known": own | {"hardware": {"gpu": "NVIDIA H100 80GB", "gpus": 4, "precision": "fp8", "batch": 32}},
        "idle": own | {"operating_prior": "low_traffic"},
        "strange": own | {"hardware": {"gpu": "abacus"}},
        "renamed": own | {"catalogue_model": "mistral-small-3.1"},
        "zoned": cloud | {"zone": "PL"},
        "both": cloud | {"zone": "PL", "region": "swedencentral"},
        "regional": cloud | {"region": "swedencentral"},
        "unknown-region": cloud | {"region": "atlantis"},
        "told": cloud | {"model": "gpt-4o-mini"},
        "disclosed": {"provider": "mistral", "api_base": f"{url}/v1", "model": "mistral-large-2407"},
    }
    return {alias: {"deployments": [facts]} for alias, facts in stated.items()}


@pytest.fixture(params=["sci-consumer", "ghgp-cat1"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_same_factors_give_every_figure_of_every_operation_again(
    tmp_path: Path, url: str, upstream: ScriptedUpstream, profile: str
) -> None:
    with proxy(tmp_path, upstream.url, ledger={"url": url}, weighing={"profile": profile}) as made:
        all_operations(made, upstream)
        late_work(made, upstream)
    again = weigh_again(url, batch_calls=7)
    assert (again.differing, again.missing) == ({}, [])
    assert again.same >= len(UNARY) + len(STREAMING) + 3
    assert set(again.unweighable) == {PENDING}
    used = {row[0] for row in ask_ledger(url, "SELECT DISTINCT method FROM estimates")}
    assert {"tokens", "embeddings", "moderation", "image_tokens", "audio", "video"} <= used


def test_the_same_factors_give_every_stated_deployment_again(tmp_path: Path, url: str, upstream: ScriptedUpstream) -> None:
    sections = {
        "alternatives": {"greetings": {"kind": "template", "text": "Hello {name}"}},
        "policies": [{**POLICY, "when": {"alias": "regional"}}],
    }
    with proxy(tmp_path, None, ledger={"url": url}, models=deployments(upstream.url), **sections) as made:
        known_deployments(made, upstream)
    again = weigh_again(url)
    assert (again.differing, again.missing) == ({}, [])
    methods = {row[0] for row in ask_ledger(url, "SELECT DISTINCT method FROM estimates")}
    assert {"metered", "disclosed", "local", "tokens"} <= methods
    assert again.same == 12


def test_a_lost_fact_would_be_noticed(tmp_path: Path, url: str, upstream: ScriptedUpstream) -> None:
    with proxy(tmp_path, None, ledger={"url": url}, models=deployments(upstream.url)) as made:
        for alias in ("known", "unknown-region"):
            upstream.answers(*whole(answer("llama-3.3-70b-instruct")))
            made.chat(ask(model=alias))
    change_ledger(url, "DELETE FROM weighing_facts")
    again = weigh_again(url)
    assert again.same == 0
    assert sorted("facility_energy_wh" in columns for columns in again.differing.values()) == [False, True]
    assert all("warnings" in columns or "quality" in columns for columns in again.differing.values())


def test_rules_are_kept_when_they_change_and_hold_from_then_on(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    for weighing in ({}, {}, {"operating_prior": "low_traffic"}, {"operating_prior": "low_traffic", "methods": ["tokens"]}):
        with proxy(tmp_path, upstream.url, weighing=weighing) as made:
            upstream.answers(*whole(answer("gpt-4o-mini")))
            made.chat()
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    with closing(Store(url)) as store:
        kept = store.weighing().all()
    assert [(each.operating_prior, each.methods) for each in kept] == [("typical", ()), ("low_traffic", ()), ("low_traffic", ("tokens",))]
    assert weigh_again(url).same == 4


def test_the_rules_of_a_time_are_the_last_before_it() -> None:
    first, second = RULES, RulesInForce(since_ms=100, operating_prior="low_traffic", profile="sci-consumer", methods=())
    assert [in_force_at([first, second], at) for at in (-5, 0, 99, 100, 10**15)] == [first, first, first, second, second]
    assert in_force_at([], 5) is None


@pytest.fixture
def filled(url: str, store: Store) -> str:
    """Thirty calls of two models, weighed as the proxy does."""
    weigher = Weigher(settings_of(), load_tables())
    store.write([weigher.call(number, "large" if number % 3 else "small", input_tokens=100 + number) for number in range(30)])
    store.weighing().keep(RULES)
    return url


def changed_tables(folder: Path, column: int = 2, by: float = 2.0, prefix: str = "embodied.server") -> Path:
    """The shipped factors with some rows changed, as a folder of one file."""
    folder.mkdir()
    lines = files("config").joinpath("data/factors.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(lines))
    for row in rows[1:]:
        if row[0].startswith(prefix):
            row[1:4] = [str(float(cell) * by) for cell in row[1:4]]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    (folder / "factors.csv").write_text(written.getvalue(), encoding="utf-8")
    return folder


def grammage(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*GRAMMAGE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def rows_by_role(url: str) -> dict[str, int]:
    return dict(ask_ledger(url, "SELECT role, COUNT(*) FROM estimates GROUP BY role"))


def test_changed_tables_make_a_set_beside_and_leave_every_row_alone(filled: str, tmp_path: Path) -> None:
    before = ask_ledger(filled, "SELECT * FROM estimates ORDER BY estimate_id")
    live = summarise(filled, Selection(by="model"))
    tables = changed_tables(tmp_path / "tables")
    done = grammage("reweigh", "--since", "2020-01-01", "--factor-set", tables, "--set", "doubled", "--ledger", filled, "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["reweighed"], document["already_there"], document["unweighable"]) == (30, 0, {})
    first, second = document["totals"]
    assert first["gco2e"] < second["gco2e"]
    assert first["facility_energy_wh"] == pytest.approx(second["facility_energy_wh"], rel=1e-12)
    assert second["gco2e_low"] < second["gco2e"] < second["gco2e_high"]
    kept = ask_ledger(filled, "SELECT * FROM estimates WHERE role = 'chosen' ORDER BY estimate_id")
    assert kept == before
    assert summarise(filled, Selection(by="model")) == live, "the newest that counts is not the set's"
    (stamp,) = {row[0] for row in ask_ledger(filled, "SELECT DISTINCT factor_set FROM estimates WHERE role = 'set:doubled'")}
    assert stamp != before[0][6]


def test_a_set_is_filled_once_and_goes_on_where_it_was_stopped(filled: str) -> None:
    restater = Restater(load_tables(), [RULES])
    with closing(SetLedger(filled)) as ledger:
        begin(ledger, AGAIN, SetTerms(factor_set=restater.factor_set))
        steps = restate(ledger, Period(), AGAIN, restater, lambda: LATER_MS, 10)
        assert next(steps).reweighed == 10
        steps.close()
        assert rows_by_role(filled) == {"chosen": 30, f"set:{AGAIN}": 10}
        *_, done = restate(ledger, Period(), AGAIN, restater, lambda: LATER_MS, 10)
        assert (done.calls, done.reweighed, done.already_there) == (30, 20, 10)
        *_, done = restate(ledger, Period(), AGAIN, restater, lambda: LATER_MS, 10)
    assert (done.reweighed, done.already_there) == (0, 30)
    assert rows_by_role(filled) == {"chosen": 30, f"set:{AGAIN}": 30}


def test_a_set_is_never_mixed(filled: str, tmp_path: Path) -> None:
    assert grammage("reweigh", "--since", "2020-01-01", "--set", "mine", "--ledger", filled).returncode == 0
    tables = changed_tables(tmp_path / "tables")
    refused = grammage("reweigh", "--since", "2020-01-01", "--set", "mine", "--factor-set", tables, "--ledger", filled)
    assert refused.returncode == 1
    assert "the set 'mine' holds estimates by factor set" in refused.stderr
    assert rows_by_role(filled)["set:mine"] == 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "study"), "refused"),
        (("--method", "tokns"), "did you mean `tokens`?"),
        (("--set", "live"), "no name for a set"),
        (("--set", "a b"), "no name for a set"),
        (("--factor-set", "/nowhere.csv"), "/nowhere.csv"),
    ],
)
def test_what_cannot_be_a_set_is_refused(filled: str, arguments: tuple[str, ...], said: str) -> None:
    refused = grammage("reweigh", "--since", "2020-01-01", "--ledger", filled, *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert rows_by_role(filled) == {"chosen": 30}


def test_a_report_of_a_set_says_what_the_set_does_not_hold(filled: str) -> None:
    (middle,) = ask_ledger(filled, "SELECT started_ms FROM calls ORDER BY started_ms LIMIT 1 OFFSET 10")
    restater = Restater(load_tables(), [RULES])
    with closing(SetLedger(filled)) as ledger:
        begin(ledger, "part", SetTerms(factor_set=restater.factor_set))
        list(restate(ledger, Period(since_ms=middle[0]), "part", restater, lambda: LATER_MS))
    whole_line = summarise(filled, Selection(by="model", estimate_set="part")).whole
    assert (whole_line.weighed_attempts, whole_line.unweighed) == (20, {"not_in_set": 10})
    printed = grammage("report", "--set", "part", "--ledger", filled)
    assert "not_in_set 10" in printed.stdout
    assert "part" in printed.stdout
    unknown = summarise(filled, Selection(by="model", estimate_set="nobody")).whole
    assert (unknown.weighed_attempts, unknown.gco2e, unknown.unweighed) == (0, None, {"not_in_set": 30})


def test_a_comparison_of_changed_embodied_factors_is_all_embodied(filled: str, tmp_path: Path) -> None:
    tables = changed_tables(tmp_path / "tables")
    assert grammage("reweigh", "--since", "2020-01-01", "--factor-set", tables, "--set", "doubled", "--ledger", filled).returncode == 0
    found = json.loads(grammage("report", "--compare", "live", "doubled", "--ledger", filled, "--format", "json").stdout)
    lines = {line["factor"]: line for line in found["lines"]}
    assert lines["embodied"]["share"] == pytest.approx(1.0, abs=1e-6)
    by_factor = [line["gco2e"] for name, line in lines.items() if name != "difference"]
    assert sum(by_factor) == pytest.approx(found["b"]["gco2e"] - found["a"]["gco2e"], rel=1e-9)
    live = summarise(filled, Selection(by="model")).whole.gco2e
    assert live is not None
    assert found["a"]["gco2e"] == pytest.approx(live.mean, rel=1e-12)


def test_a_comparison_names_the_method_where_that_changed_and_takes_factor_sets(filled: str, tmp_path: Path) -> None:
    tables = changed_tables(tmp_path / "tables", prefix="host.")
    assert grammage("reweigh", "--since", "2020-01-01", "--method", "ecologits", "--set", "other", "--ledger", filled).returncode == 0
    assert grammage("reweigh", "--since", "2020-01-01", "--factor-set", tables, "--set", "hosts", "--ledger", filled).returncode == 0
    found = json.loads(grammage("report", "--compare", "live", "other", "--ledger", filled, "--format", "json").stdout)
    assert {line["factor"] for line in found["lines"]} == {"method", "difference"}
    ((stamp,),) = ask_ledger(filled, "SELECT DISTINCT factor_set FROM estimates WHERE role = 'set:hosts'")
    by_set, by_stamp = (
        json.loads(grammage("report", "--compare", "live", name, "--ledger", filled, "--format", "json").stdout)
        for name in ("hosts", stamp.rpartition("+")[2])
    )
    assert by_set["lines"] == by_stamp["lines"]
    missing = grammage("report", "--compare", "live", "nobody", "--ledger", filled)
    assert (missing.returncode, "there is no set 'nobody'" in missing.stderr) == (1, True)


def test_what_cannot_be_weighed_is_counted_by_reason(filled: str, store: Store) -> None:
    weigher = Weigher(settings_of(), load_tables())
    made = weigher.call(100)
    (tried,) = made.attempts
    unmade = replace(made, attempts=(replace(tried, usage=None, estimate=None, unweighed_reason="not_generated"),))
    odd = replace(weigher.call(101), path="/v1/elsewhere", operation="elsewhere")
    store.write([unmade, odd])
    assert weigh_again(filled).unweighable == {"not_generated": 1, "operation_unknown": 1}


def test_a_killed_reweigh_goes_on(filled: str) -> None:
    """What was committed stays; the same command finishes."""
    command = [*GRAMMAGE, "reweigh", "--since", "2020-01-01", "--set", "again", "--ledger", filled]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    killed.kill()
    killed.communicate(timeout=30)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "of 30 calls" in done.stderr
    assert rows_by_role(filled) == {"chosen": 30, "set:again": 30}
