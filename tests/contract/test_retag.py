"""Late tags on recorded calls, on each database: what a rule moves, in which order rules count, and how an act is taken back."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.store import Store
from tests.contract.ledger_rows import ask_ledger, change_ledger
from tests.contract.ledgers import STARTED_MS, record
from tests.sample_records import attempt

NOEL = ("--set", "campaign=noel-26")
UNASSIGNED = ("--where", "tag.campaign=unassigned")


@pytest.fixture(autouse=True)
def _no_other_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["retag", "--ledger", url, "--format", "json", *arguments])


def moved(done: Result) -> list[tuple[str, str, int]]:
    assert done.exit_code == 0, done.stderr
    return [(row["before"], row["after"], row["calls"]) for row in json.loads(done.stdout)]


def campaigns(url: str) -> dict[str, int]:
    return {group.key: group.calls for group in read_sums(url, Selection(by="tag", tag_name="campaign")).groups}


def test_calls_that_a_rule_names_get_the_tag_and_no_others(store: Store, url: str) -> None:
    bare = {"tags": (("brand", "acme"),)}
    store.write([record(0, caller_id="studio", **bare), record(1, caller_id="studio"), record(2, caller_id="other", **bare)])
    before = ask_ledger(url, "SELECT call_id, CAST(tags AS text) FROM calls ORDER BY call_id")
    wish = (*UNASSIGNED, "--where", "key=studio", *NOEL)
    assert moved(run(url, *wish, "--dry-run")) == [("unassigned", "noel-26", 1)]
    assert campaigns(url) == {"noel-26": 1, "unassigned": 2}
    assert moved(run(url, *wish)) == [("unassigned", "noel-26", 1)]
    assert campaigns(url) == {"noel-26": 2, "unassigned": 1}, "what stays unassigned is shown"
    assert ask_ledger(url, "SELECT call_id, CAST(tags AS text) FROM calls ORDER BY call_id") == before, "facts stay as they were"


def test_a_rule_run_twice_moves_nothing_and_leaves_no_trace(store: Store, url: str) -> None:
    store.write([record(0, tags=())])
    run(url, *UNASSIGNED, *NOEL)
    assert moved(run(url, "--since", "2026-01-01", *NOEL)) == []
    assert ask_ledger(url, "SELECT COUNT(*) FROM retags") == [(1,)]
    shown = run(url, "--list")
    assert shown.exit_code == 0, shown.exception
    assert len(json.loads(shown.stdout)) == 1


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        (("--where", "alias=gpt-4o*"), 2),
        (("--where", "alias=gpt-4o"), 1),
        (("--where", "model=gpt-4o-mini"), 2),
        (("--where", "operation=images", "--where", "operation=chat"), 3),
        (("--where", "operation=images"), 1),
        (("--where", "alias=gpt-4o*", "--where", "tag.stage=draft"), 1),
        (("--where", "tag.stage=draft", "--where", "tag.stage=final"), 2),
        (("--since", "2026-09-21T14:13:20.001Z"), 2),
        (("--since", "2026-09-21T14:13:20.001Z", "--until", "2026-09-21T14:13:20.002Z"), 1),
    ],
)
def test_conditions_are_of_key_alias_model_operation_tags_and_period(store: Store, url: str, where: tuple[str, ...], calls: int) -> None:
    assert STARTED_MS == 1_790_000_000_000
    store.write(
        [
            record(0, alias="gpt-4o", tags=(("stage", "draft"),)),
            record(1, alias="gpt-4o-mini", tags=(("stage", "final"),)),
            record(2, alias="mistral", operation="images", tags=(), attempts=(attempt(attempt_id="a-3", model="mistral-small"),)),
        ]
    )
    assert moved(run(url, *where, *NOEL, "--dry-run")) == [("unassigned", "noel-26", calls)]


def test_rules_of_a_file_run_in_order_and_each_sees_what_the_one_before_it_did(store: Store, url: str, tmp_path: Path) -> None:
    store.write([record(0, tags=()), record(1)])
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "retag_rules:\n"
        "  - {name: rest, where: {tags: {campaign: unassigned}}, set: {campaign: soldes-27}}\n"
        "  - {where: {tags: {campaign: [soldes-27, noel-26]}}, set: {campaign: winter, brand: acme}}\n"
    )
    assert moved(run(url, "--rules", str(rules))) == [
        ("unassigned", "soldes-27", 1),
        ("unassigned", "acme", 2),
        ("noel-26", "winter", 1),
        ("soldes-27", "winter", 1),
    ]
    assert campaigns(url) == {"winter": 2}
    assert moved(run(url, "--rules", str(rules))) == []


def test_an_act_that_is_taken_back_gives_each_call_what_it_had_before(store: Store, url: str) -> None:
    bare, tagged, later = record(0, tags=()), record(1), record(2)
    store.write([bare, tagged, later])
    run(url, "--where", "tag.campaign=noel-26", "--set", "campaign=first")
    (_, act) = [row["act"] for row in json.loads(run(url, "--since", "2026-01-01", "--set", "campaign=all").stdout)]
    assert campaigns(url) == {"all": 3}
    change_ledger(url, "INSERT INTO retags VALUES (:id, 'campaign', :at, 'kept')", id=later.call_id, at=act + 1)
    assert run(url, "--undo", str(act)).exit_code == 0
    assert campaigns(url) == {"first": 1, "unassigned": 1, "kept": 1}, "what moved since is left alone"
    rows = ask_ledger(url, "SELECT COUNT(*) FROM retags")
    again = run(url, "--undo", str(act))
    assert "moves nothing any more" in again.stderr
    assert ask_ledger(url, "SELECT COUNT(*) FROM retags") == rows
    assert run(url, "--undo", "5").exit_code == 1
    assert store.find(bare.call_id)["tags"].get("campaign", "") == ""  # type: ignore[index,union-attr]


def test_the_newest_word_counts_though_the_clock_went_back(store: Store, url: str) -> None:
    only = record(0, tags=())
    store.write([only])
    change_ledger(url, "INSERT INTO retags VALUES (:id, 'campaign', 4102444800000, 'from the future')", id=only.call_id)
    moved(run(url, "--since", "2026-01-01", *NOEL))
    assert campaigns(url) == {"noel-26": 1}


def test_work_that_was_booked_late_moves_with_the_call_that_began_it_and_counts_once(store: Store, url: str) -> None:
    waiting = attempt(attempt_id="a-1", usage=None, estimate=None, unweighed_reason="pending")
    began = record(0, call_id="c-1", tags=(), attempts=(waiting,))
    store.write([began, record(5, call_id="c-2", tags=(), origin_call_id="c-1")])
    done = run(url, *UNASSIGNED, *NOEL)
    assert moved(done) == [("unassigned", "noel-26", 1)]
    assert campaigns(url) == {"noel-26": 1}
    run(url, "--undo", str(json.loads(done.stdout)[0]["act"]))
    assert campaigns(url) == {"unassigned": 1}


def test_the_hours_of_moved_calls_are_to_be_summed_anew(store: Store, url: str) -> None:
    store.write([record(0, tags=()), record(3_600_000, tags=()), record(7_200_000)])
    change_ledger(url, "DELETE FROM touched_hours")
    run(url, *UNASSIGNED, *NOEL)
    first = STARTED_MS // 3_600_000
    assert ask_ledger(url, "SELECT hour FROM touched_hours ORDER BY hour") == [(first,), (first + 1,)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--rules FILE"),
        (("--where", "key=a"), 2, "--set is missing"),
        ((*NOEL,), 2, "give either"),
        (("--where", "size=a", *NOEL), 2, "there is no 'size'"),
        (("--where", "key", *NOEL), 2, "is not name=value"),
        (("--where", "key=a", "--set", "Campaign=a"), 1, "cannot name a tag"),
    ],
)
def test_a_wish_that_cannot_be_understood_moves_nothing(store: Store, url: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["retag", "--ledger", url, *arguments])
    text = done.stderr + str(done.exception)
    if arguments == NOEL:
        said, code = "moves every call there is", 1
    assert (done.exit_code, said in text) == (code, True), text


def test_a_file_with_faults_is_refused_with_their_lines(tmp_path: Path, store: Store, url: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("retag_rules:\n  - {set: {campaign: a}}\n  - {where: {keys: a}, set: {campaign: a}}\n")
    done = run(url, "--rules", str(rules))
    assert done.exit_code == 1
    assert "rules.yaml:3" in str(done.exception)
