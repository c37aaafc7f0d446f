"""Past calls under policies once more, and two policies beside each other: on either database, with ranges, at the usage that they had."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from config.policies import Policy
from config.tables import Tables, load_tables
from estimators.quantity import difference
from proxy.call import Caller
from proxy.ledger.past import Past, PastCall
from proxy.ledger.store import Store
from proxy.replay.again import Bench
from proxy.replay.compare import Moves, changes
from proxy.replay.tally import Tally
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import STARTED_MS, open_store, record
from tests.contract.past_calls import DRAFTS, MODELS, Weigher, settings_of
from tests.contract.proxy_harness import ask
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_policies import SMALL, aliases
from tests.contract.test_policies import house as serving
from tests.contract.test_policy_cli import grammage
from tests.sample_records import attempt

NOBODY: dict[str, Caller] = {}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture(scope="module")
def weigher(tables: Tables) -> Weigher:
    return Weigher(settings_of(), tables)


def past_calls(url: str, **period: Any) -> list[PastCall]:
    past = Past(url, **period)
    found = [call for batch in past.batches() for call in batch]
    past.close()
    return found


def tally_of(calls: list[PastCall], bench: Bench) -> Tally:
    made = Tally()
    for call in calls:
        made.add(call, bench.judge(call))
    return made


def test_every_call_comes_once_in_turn_whatever_the_batch(store: Store, url: str, weigher: Weigher) -> None:
    store.open_writer("commit")
    same_instant = [replace(weigher.call(5), call_id=f"{n:08d}-0000-7000-8000-000000000000", attempts=()) for n in range(3)]
    store.write([weigher.call(number) for number in (0, 1, 2, 3)] + same_instant)
    whole = past_calls(url)
    assert len(whole) == 7
    assert [call.started_ms for call in whole] == sorted(call.started_ms for call in whole)
    for size in (1, 2, 3, 7):
        assert past_calls(url, batch_calls=size) == whole
    assert [call.started_ms - STARTED_MS for call in past_calls(url, since_ms=STARTED_MS + 1, until_ms=STARTED_MS + 3)] == [1, 2]
    past = Past(url, since_ms=STARTED_MS + 2)
    assert past.count() == 5
    past.close()


def test_a_call_is_read_as_it_was_recorded(store: Store, url: str, weigher: Weigher) -> None:
    store.open_writer("commit")
    made = weigher.call(0)
    store.write([made])
    change_ledger(url, "INSERT INTO retags VALUES (:id, 'campaign', 5, 'soldes')", id=made.call_id)
    (call,) = past_calls(url)
    assert (call.alias, call.tags, call.policy, call.is_late) == ("large", {"campaign": "soldes", "stage": "draft"}, None, False)
    (tried,) = call.attempts
    (written,) = made.attempts
    assert written.estimate is not None
    assert tried.usage == written.usage
    for read, kept in ((tried.gco2e, written.estimate.gco2e), (tried.water_ml, written.estimate.water_ml)):
        assert read is not None
        assert tuple(read.spread()) == pytest.approx(tuple(kept.spread()), rel=1e-6)
    assert (tried.provider, tried.model, tried.region) == ("azure", "gpt-4o", "eastus")


def test_a_call_booked_late_stands_once(store: Store, url: str) -> None:
    store.open_writer("commit")
    began = record(0, attempts=(attempt(attempt_id="x", estimate=None, usage=None, unweighed_reason="pending"),))
    store.write([began, record(9, origin_call_id=began.call_id)])
    (call,) = past_calls(url)
    assert (call.began, call.is_late) == (began.call_id, True)


def test_the_sums_are_those_of_the_calls_and_their_difference_has_the_range_of_one(
    store: Store, url: str, weigher: Weigher, tables: Tables
) -> None:
    store.open_writer("commit")
    final = weigher.call(7, tags=(("stage", "final"),))
    store.write([*(weigher.call(number) for number in range(4)), final])
    bench = Bench(settings_of(DRAFTS), tables, NOBODY)
    calls = past_calls(url)
    found = tally_of(calls, bench).figures()
    assert {name: found[name] for name in ("calls", "judged", "routed", "kept", "not_judged")} == {
        "calls": 5,
        "judged": 4,
        "routed": 4,
        "kept": 0,
        "not_judged": {},
    }
    first = bench.judge(calls[0])
    assert first.baseline is not None
    assert first.would is not None
    assert (first.baseline.label, first.would.label) == ("azure/gpt-4o@eastus", "azure/gpt-4o-mini@swedencentral")
    told = calls[0].attempts[0].gco2e
    assert told is not None
    assert tuple(first.baseline.gco2e.spread()) == pytest.approx(tuple(told.spread()), rel=1e-6)
    assert found["was_gco2e"] == pytest.approx(5 * first.baseline.gco2e.mean, rel=1e-6)
    assert found["baseline_gco2e"] == pytest.approx(4 * first.baseline.gco2e.mean)
    assert found["would_be_water_ml"] == pytest.approx(4 * first.would.water_ml.mean)
    shared = ("method", "provider")
    without_call = [
        quantity._replace(variance=quantity.variance._replace(call=0.0)) for quantity in (first.would.gco2e, first.baseline.gco2e)
    ]
    expected = difference(*without_call, shared=shared)
    assert found["difference_gco2e"] == pytest.approx(4 * (first.would.gco2e.mean - first.baseline.gco2e.mean))
    assert found["difference_gco2e_low"] == pytest.approx(4 * expected.p5, rel=0.03)
    assert found["difference_gco2e_high"] == pytest.approx(4 * expected.p95, rel=0.1)
    assert found["difference_gco2e_high"] < 0


def test_a_cap_ends_longer_answers_and_leaves_shorter_ones(store: Store, url: str, weigher: Weigher, tables: Tables) -> None:
    store.open_writer("commit")
    store.write([weigher.call(0, output_tokens=1200), weigher.call(1, output_tokens=100)])
    stays = {**DRAFTS, "prefer": None}
    bench = Bench(settings_of(stays), tables, NOBODY)
    long, short = (bench.judge(call) for call in past_calls(url))
    assert (long.action, long.altered, long.changes) == ("kept", True, True)
    assert (short.action, short.altered, short.changes) == ("kept", False, False)
    assert long.would is not None
    assert long.baseline is not None
    assert long.would.gco2e.mean < 0.6 * long.baseline.gco2e.mean
    figures = tally_of(past_calls(url), bench).figures()
    assert figures["difference_gco2e"] == pytest.approx(long.would.gco2e.mean - long.baseline.gco2e.mean)


def test_who_called_and_what_was_asked_for_count_again(store: Store, url: str, weigher: Weigher, tables: Tables) -> None:
    store.open_writer("commit")
    bound = attempt(attempt_id="kept", upstream_object_id="resp_1")
    store.write(
        [
            weigher.call(0, caller_id="narrow"),
            weigher.call(1, policy="off"),
            weigher.call(2, alias="small"),
            weigher.call(3, attempts=()),
            replace(weigher.call(4), alias="gone"),
            weigher.call(5, operation="responses", path="/v1/responses", attempts=(bound,)),
        ]
    )
    callers = {"narrow": Caller(id="narrow", models=frozenset({"large"}), forwards_own_key=False)}
    everything = {**DRAFTS, "when": {}}
    bench = Bench(settings_of(everything), tables, callers)
    found = [bench.judge(call) for call in past_calls(url)]
    assert [(judged.action, judged.reason, judged.why_not) for judged in found] == [
        ("kept", "not_lower", ""),
        ("none", "", ""),
        ("kept", "", ""),
        ("none", "", "no_usage"),
        ("none", "", "unknown_model"),
        ("kept", "not_lower", ""),
    ]


def test_held_back_and_refused_calls_are_counted_as_such(store: Store, url: str, weigher: Weigher, tables: Tables) -> None:
    store.open_writer("commit")
    store.write([weigher.call(number) for number in range(3)])
    calls = past_calls(url)
    held = tally_of(calls, Bench(settings_of({**DRAFTS, "holdback": 1}), tables, NOBODY)).figures()
    assert (held["holdback"], held["difference_gco2e"], held["difference_gco2e_high"]) == (3, 0, 0)
    assert held["would_be_gco2e"] == pytest.approx(held["baseline_gco2e"])
    strict = {**DRAFTS, "require": {"zone_in": ["XX"]}, "otherwise": "refuse"}
    refused = tally_of(calls, Bench(settings_of(strict), tables, NOBODY)).figures()
    assert (refused["refused"], refused["baseline_gco2e"], refused["difference_gco2e"]) == (3, None, None)
    assert refused["was_gco2e"] > 0


def test_two_policies_differ_by_the_calls_that_they_decide_otherwise(store: Store, url: str, weigher: Weigher, tables: Tables) -> None:
    store.open_writer("commit")
    store.write([weigher.call(number, input_tokens=100 if number < 3 else 900) for number in range(5)])
    short = {**DRAFTS, "when": {**DRAFTS["when"], "input_tokens_at_most": 500}}
    benches = [Bench(settings_of(policy), tables, NOBODY) for policy in (DRAFTS, short)]
    moves = Moves()
    for call in past_calls(url):
        moves.add(benches[0].judge(call), benches[1].judge(call))
    move, total = moves.rows()
    assert (move["old"], move["new"], move["calls"]) == ("routed azure/gpt-4o-mini@swedencentral", "unchanged -", 2)
    assert 0 < move["difference_gco2e_low"] < move["difference_gco2e"] < move["difference_gco2e_high"]
    assert {**total, "old": move["old"], "new": move["new"]} == move
    assert (moves.calls, moves.moved) == (5, 2)


def test_what_differs_in_the_text_is_told_by_policy_and_key() -> None:
    def policies(*changes: dict[str, Any]) -> list[Policy]:
        return [Policy.model_validate({**DRAFTS, **change}) for change in changes]

    old = policies({"name": "a"}, {"name": "b"}, {"name": "gone"})
    new = policies({"name": "b", "mode": "shadow"}, {"name": "a", "require": {"zone_in": ["FR", "SE"]}}, {"name": "fresh"})
    found = {tuple(change) for change in changes(old, new)}
    assert found == {
        ("gone", "removed", "", None, None),
        ("fresh", "added", "", None, None),
        ("b", "moved", "order", "2", "1"),
        ("b", "changed", "mode", "enforce", "shadow"),
        ("a", "moved", "order", "1", "2"),
        ("a", "changed", "require.zone_in", None, "FR, SE"),
    }
    assert changes(old, old) == []


@pytest.fixture
def house(tmp_path: Path, weigher: Weigher) -> Path:
    """A folder with a configuration, a file of other policies, and a ledger."""
    whole = {"version": 1, "auth": "open", "models": MODELS, "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"}, "policies": [DRAFTS]}
    (tmp_path / "grammage.yaml").write_text(yaml.safe_dump(whole))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"policies": [{**DRAFTS, "prefer": None}]}))
    made = open_store(f"sqlite:///{tmp_path}/ledger.db")
    made.open_writer("commit")
    made.write([weigher.call(number, tags=(("stage", "draft"), ("campaign", ("noel", "soldes")[number % 2]))) for number in range(6)])
    made.close()
    return tmp_path


def test_replay_prints_every_policy_with_its_range(house: Path) -> None:
    done = grammage("policy", "replay", "--config", f"{house}/grammage.yaml", "--since", "2026-01-01", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    drafts, total = told["lines"]
    assert (drafts["key"], drafts["mode"], drafts["routed"], total["key"], total["calls"]) == ("drafts", "enforce", 6, "total", 6)
    for line in ("gco2e", "water_ml"):
        figures = [drafts[f"difference_{line}{end}"] for end in ("_low", "", "_high")]
        assert figures == sorted(figures)
        assert figures[2] < 0
    table = grammage("policy", "replay", "--config", f"{house}/grammage.yaml")
    assert "modelled difference in attributed emissions" in table.stdout
    assert "routed" in table.stdout
    assert "refused" not in table.stdout, "a column of nothing only makes the table wide"
    assert "policies in mode shadow are taken as if they acted" in table.stderr.lower()


def test_replay_takes_other_policies_and_sums_by_tag(house: Path) -> None:
    where = ("--config", f"{house}/grammage.yaml", "--policies", f"{house}/other.yaml", "--format", "json")
    told = json.loads(grammage("policy", "replay", *where, "--by", "tag", "--tag-name", "campaign").stdout)
    assert [(line["key"], line["calls"], line["kept"]) for line in told["lines"]] == [("noel", 3, 3), ("soldes", 3, 3), ("total", 6, 6)]
    assert all(math.isclose(line["difference_gco2e"], 0, abs_tol=1e-12) for line in told["lines"])
    csv = grammage("policy", "replay", *where[:4], "--format", "csv").stdout.splitlines()
    assert csv[0].startswith("key,mode,calls,judged")
    assert len(csv) == 3


def test_diff_compares_texts_ledgers_and_cases(house: Path) -> None:
    files = (f"{house}/grammage.yaml", f"{house}/other.yaml", "--config", f"{house}/grammage.yaml", "--format", "json")
    text = json.loads(grammage("policy", "diff", *files).stdout)
    assert {row["key"] for row in text} == {"prefer.among", "prefer.lowest", "prefer.intensity", "prefer.hysteresis"}
    told = json.loads(grammage("policy", "diff", *files, "--since", "2026-01-01").stdout)
    assert (told["calls"], told["decided_otherwise"]) == (6, 6)
    assert told["lines"][0]["new"] == "kept azure/gpt-4o@eastus"
    assert told["lines"][0]["difference_gco2e_low"] > 0
    (house / "cases.yaml").write_text(
        "cases:\n  - {name: draft, call: {alias: large, tags: {stage: draft}}, expect: {}}\n"
        "  - {name: final, call: {alias: large}, expect: {}}\n"
    )
    assert [row["case"] for row in json.loads(grammage("policy", "diff", *files, "--cases", f"{house}/cases.yaml").stdout)] == ["draft"]


@pytest.mark.parametrize(
    "wrong",
    [("replay", "--by", "tag"), ("replay", "--since", "soon"), ("replay", "--since", "2026-02-01", "--until", "2026-01-01"), ("diff",)],
)
def test_what_cannot_be_meant_is_a_wrong_use(wrong: tuple[str, ...]) -> None:
    assert grammage("policy", *wrong).returncode == 2


def test_a_ledger_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = grammage("policy", "replay", "--ledger", f"sqlite:///{tmp_path}/none.db")
    assert (done.returncode, "there is no ledger" in done.stderr) == (1, True)


def test_a_call_judged_again_comes_to_what_was_recorded_of_it(upstream: ScriptedUpstream, tmp_path: Path, tables: Tables) -> None:
    with serving(tmp_path, upstream, SMALL) as proxy:
        answers = [proxy.chat(ask(model="large"), x_grammage_tag_stage=stage) for stage in ("draft", "final")]
        shown = [proxy.get(f"/v1/footprint/{answer.ours['call-id']}").json for answer in answers]
    bench = Bench(settings_of(SMALL, models=aliases(upstream.url)), tables, NOBODY)
    draft, final = past_calls(f"sqlite:///{proxy.ledger}")
    judged, other = bench.judge(draft), bench.judge(final)
    assert (judged.policy, judged.action) == (shown[0]["decision"]["policy"], shown[0]["decision"]["action"]) == ("drafts-small", "routed")
    assert (other.policy, shown[1]["decision"]) == ("none", None)
    figures = Tally()
    figures.add(draft, judged)
    found = figures.figures()
    difference = shown[0]["decision"]["difference"]
    assert found["baseline_gco2e"] == pytest.approx(shown[0]["decision"]["baseline"]["gco2e"], rel=1e-3)
    assert found["would_be_gco2e"] == pytest.approx(shown[0]["decision"]["choice"]["gco2e"], rel=1e-3)
    for end in ("", "_low", "_high"):
        assert found[f"difference_gco2e{end}"] == pytest.approx(difference[f"gco2e{end}"], rel=2e-2)
