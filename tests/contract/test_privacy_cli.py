"""What is kept of an end user or a key, exported and erased, on each database: all of it, nothing of others, and never a figure."""

import csv
import json
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.audit.pack import Wanted, make_pack
from proxy.cli.main import app
from proxy.keys.desk import Desk
from proxy.keys.hashing import keyed_hash, secret_id
from proxy.keys.issue import Terms
from proxy.ledger.columns import TABLES
from proxy.ledger.personal import BY_ATTEMPT, BY_CALL, BY_CALLER, BY_NAME, OF_NOBODY
from proxy.ledger.spool import Spool, spool_path
from proxy.ledger.store import Store, sqlite_path
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger
from tests.contract.ledgers import STARTED_MS, open_store, record, spool_beside

NOW, OLD = b"the secret of today", b"the secret of last year"
USER = "marie.curie@example.com"


def of_user(number: int, user: str = USER, secret: bytes = NOW, **changes: object) -> Any:
    return record(number, user_hash=keyed_hash(secret, user), user_hash_key_id=secret_id(secret), **changes)


@pytest.fixture
def config(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"version": 1, "ledger": {"url": url}, "user_hash_secret": NOW.decode()}))
    return file


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["privacy", *arguments, "--config", str(config)])


def exported(config: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = run(config, "export", *arguments)
    assert done.exit_code == code, done.stderr + repr(done.exception)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def erased(config: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = run(config, "erase", *arguments, "--yes", "--format", "json")
    assert done.exit_code == code, done.stderr + repr(done.exception)
    (found,) = json.loads(done.stdout)
    return dict(found)


def grams(url: str) -> list[tuple[Any, ...]]:
    return ask_ledger(url, "SELECT attempt_id, gco2e, gco2e_p50, facility_energy_wh FROM estimates ORDER BY attempt_id")


def test_every_table_is_known_to_hold_something_of_a_person_or_nothing() -> None:
    known = {*BY_CALL, *BY_ATTEMPT, *BY_CALLER, *BY_NAME, *OF_NOBODY}
    assert not set(TABLES) - known, "say in proxy/ledger/personal.py whether this table can lead to a person"
    of_callers = {name for name, columns in TABLES.items() if "caller_id" in columns} - set(BY_CALL)
    assert of_callers == BY_CALLER


def test_an_export_holds_every_row_of_a_user_and_none_of_others(store: Store, url: str, config: Path) -> None:
    own, other = of_user(0), of_user(1, "somebody else")
    store.write([own, other])
    found = exported(config, "--user", USER)
    assert [row["call_id"] for row in found["tables"]["calls"]] == [own.call_id]
    assert found["tables"]["calls"][0]["tags"] == dict(own.tags)
    assert [row["attempt_id"] for row in found["tables"]["attempts"]] == [own.attempts[0].attempt_id]
    assert found["tables"]["estimates"][0]["gco2e"] == pytest.approx(own.attempts[0].estimate.gco2e.mean)
    assert set(found["tables"]) == {"calls", *BY_CALL, *BY_ATTEMPT}
    assert other.call_id not in json.dumps(found)
    assert USER not in json.dumps(found), "who asks knows the name; the file need not repeat it"
    assert any("prompts" in text for text in found["never_kept"])
    assert any("backups" in text for text in found["elsewhere"])


def test_a_user_can_be_named_on_standard_input(store: Store, config: Path) -> None:
    store.write([of_user(0)])
    done = CliRunner().invoke(app, ["privacy", "export", "--user", "-", "--config", str(config)], input=f"{USER}\n")
    assert json.loads(done.stdout)["calls"] == 1


def test_hashes_of_an_earlier_secret_are_told_of_and_found_with_it(store: Store, config: Path, tmp_path: Path) -> None:
    store.write([of_user(0), of_user(1, secret=OLD)])
    found = exported(config, "--user", USER, code=1)
    assert (found["calls"], found["unsearched_calls"]) == (1, {secret_id(OLD): 1})
    (tmp_path / "old").write_bytes(OLD + b"\n")
    whole = exported(config, "--user", USER, "--secret-file", str(tmp_path / "old"))
    assert (whole["calls"], whole["unsearched_calls"]) == (2, {})
    assert erased(config, "--user", USER, code=1)["calls"] == 1
    assert erased(config, "--user", USER, "--secret-file", str(tmp_path / "old"))["calls"] == 1


def test_an_erased_user_is_gone_and_the_grams_are_not(store: Store, url: str, config: Path) -> None:
    own = of_user(0, idempotency_key_hash="1d" * 16)
    store.write([own, of_user(1, "somebody else")])
    before = grams(url)
    assert run(config, "erase", "--user", USER).exit_code == 2, "it cannot be taken back, so it is asked for twice"
    assert run(config, "erase", "--user", USER, "--dry-run").exit_code == 0
    assert exported(config, "--user", USER)["calls"] == 1
    done = erased(config, "--user", USER)
    assert (done["scope"], done["calls"]) == ("user", 1)
    assert exported(config, "--user", USER)["calls"] == 0
    assert exported(config, "--user", "somebody else")["calls"] == 1
    columns = "user_hash, user_hash_key_id, idempotency_key_hash, caller_id"
    rows = ask_ledger(url, f"SELECT {columns} FROM calls WHERE call_id = :call_id", call_id=own.call_id)
    assert rows == [(None, None, None, "team-a")]
    assert ask_ledger(url, "SELECT upstream_request_id FROM attempts ORDER BY attempt_id") == [("req_1",), ("req_1",)]
    assert grams(url) == before


def test_the_ledger_records_that_something_was_erased_and_not_whom(store: Store, url: str, config: Path) -> None:
    store.write([of_user(number) for number in range(1200)])
    number = erased(config, "--user", USER, "--provider-ids")["recorded_as"]
    (kept,) = json.loads(run(config, "list", "--format", "json").stdout)
    assert (kept["recorded_as"], kept["scope"], kept["calls"], kept["provider_ids"]) == (number, "user", 1200, True)
    text = str(ask_ledger(url, "SELECT key, value FROM ledger_meta WHERE key LIKE 'erasure.%'"))
    assert USER not in text
    assert keyed_hash(NOW, USER) not in text
    assert ask_ledger(url, "SELECT DISTINCT upstream_request_id FROM attempts") == [(None,)]
    assert erased(config, "--user", USER)["recorded_as"] is None, "nothing was there, and nothing is recorded"


def test_an_erased_key_leaves_no_name_behind(store: Store, url: str, config: Path) -> None:
    desk = Desk(store.keys(), lambda: 1_790_000_000_000)
    desk.create(Terms(name="marie-curie", note="her laptop", tags=(("brand", "acme"),)))
    store.write([of_user(0, caller_id="marie-curie"), record(1, caller_id="team-b")])
    said = {"asset": "a", "brand": None, "campaign": None, "verdict": "accepted", "decided_ms": 5, "minutes_saved": None}
    store.assets().say({**said, "verdict_id": "v-1", "caller_id": "marie-curie"})
    rule = ["retag", "--where", "key=marie-curie", "--set", "stage=draft", "--config", str(config)]
    assert CliRunner().invoke(app, rule).exit_code == 0
    found = exported(config, "--key", "marie-curie")
    assert {table: len(rows) for table, rows in found["tables"].items() if rows} == {
        "calls": 1, "attempts": 1, "estimates": 1, "retags": 1, "asset_verdicts": 1, "keys": 1,
    }  # fmt: skip
    assert "hash" not in found["tables"]["keys"][0]
    live = run(config, "erase", "--key", "marie-curie", "--yes")
    assert (live.exit_code, "revoke it first" in str(live.exception)) == (1, True)
    assert exported(config, "--key", "marie-curie")["calls"] == 1
    desk.revoke("marie-curie")
    assert erased(config, "--key", "marie-curie")["calls"] == 1
    everything = "".join(
        str(ask_ledger(url, f"SELECT * FROM {table}")) for table in ("calls", "keys", "asset_verdicts", "ledger_meta", "retags")
    )
    assert "marie-curie" not in everything
    assert "her laptop" not in everything
    assert "team-b" in everything
    assert [key.terms.name[:7] for key in desk.all()] == ["erased-"], "a list of keys can still be read"


def test_a_key_of_the_configuration_is_not_erased_while_it_works(store: Store, config: Path) -> None:
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "keys": [{"key": "gk-0123456789", "name": "team-a"}]}))
    store.write([record(0)])
    done = run(config, "erase", "--key", "team-a", "--yes")
    assert (done.exit_code, "stands in the configuration" in str(done.exception)) == (1, True)


def test_csv_is_a_folder_of_tables_in_which_no_cell_is_a_formula(store: Store, config: Path, tmp_path: Path) -> None:
    store.write([of_user(0, alias="=HYPERLINK(0)")])
    folder = tmp_path / "out"
    assert run(config, "export", "--user", USER, "--format", "csv", "--output", str(folder)).exit_code == 0
    with (folder / "calls.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["alias"] == "'=HYPERLINK(0)"
    assert json.loads((folder / "about.json").read_text())["calls"] == 1
    assert (folder / "attempts.csv").exists()
    assert "name a new folder" in str(run(config, "export", "--user", USER, "--format", "csv", "--output", str(folder)).exception)


def test_an_auditor_finds_the_same_facts_after_an_erasure_or_is_told_of_it(store: Store, url: str, config: Path, tmp_path: Path) -> None:
    store.write([of_user(0, idempotency_key_hash="1d" * 16), record(1)])
    day = datetime.fromtimestamp(STARTED_MS / 1000, UTC).date()
    wanted = Wanted(first=day, last=day, tool_version="0", configuration={})

    def pack() -> tuple[tuple[str, ...], list[dict[str, Any]]]:
        changed = make_pack(url, wanted, tmp_path / "pack.zip", lambda: STARTED_MS + 5 * 86_400_000).changed
        with zipfile.ZipFile(tmp_path / "pack.zip") as packed:
            return changed, json.loads(packed.read("manifest.json"))["erasures"]

    assert pack() == ((), [])
    erased(config, "--user", USER)
    changed, told = pack()
    assert (changed, [row["scope"] for row in told]) == ((), ["user"])
    erased(config, "--caller", "team-a")
    changed, told = pack()
    assert changed == (f"facts {day}",), "the caller stands among the facts"
    assert [(row["scope"], row["calls"]) for row in told] == [("user", 1), ("caller", 2)]


@ON_A_FILE
def test_nothing_of_an_erased_user_stays_in_the_files_of_the_database(store: Store, url: str, config: Path) -> None:
    store.write([of_user(number) for number in range(50)])
    mark = keyed_hash(NOW, USER).encode()
    path = sqlite_path(url)
    assert path is not None

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))

    assert mark in files()
    erased(config, "--user", USER)
    assert mark not in files()


def test_calls_that_wait_in_a_spool_are_brought_in_and_erased_too(store: Store, url: str, config: Path, tmp_path: Path) -> None:
    with closing(spool_beside(store, tmp_path)) as spool:
        spool.open()
        spool.append([of_user(0)], sync=False)
    assert erased(config, "--user", USER)["calls"] == 1
    assert not (tmp_path / spool_path(store.path)).exists()
    assert ask_ledger(url, "SELECT user_hash FROM calls") == [(None,)]


def test_a_spool_that_a_running_proxy_holds_is_told_of(store: Store, config: Path, tmp_path: Path) -> None:
    with closing(spool_beside(store, tmp_path)) as spool:
        spool.open()
        assert erased(config, "--user", USER)["calls"] == 0
        spool.append([of_user(0)], sync=False)
        done = run(config, "erase", "--user", USER, "--yes")
        assert (done.exit_code, "holds calls that are not in the ledger yet" in done.stderr) == (1, True)
        assert not spool.is_empty


def test_what_a_spool_has_handed_over_is_overwritten(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "s", 1 << 20)) as spool:
        spool.open()
        for number in range(3):
            spool.append([of_user(number)], sync=False)
        while not spool.is_empty:
            assert spool.oldest()
            spool.drop_oldest()
        assert (tmp_path / "s").read_bytes().rstrip(b"\0")[16:] == b""
        spool.append([of_user(9)], sync=False)
        assert len(spool.oldest()) == 1


@pytest.mark.parametrize("arguments", [(), ("--user", "a", "--key", "b"), ("--user", "a", "--format", "csv")])
def test_a_wish_that_names_nobody_or_several_is_refused(config: Path, arguments: tuple[str, ...]) -> None:
    assert run(config, "export", *arguments).exit_code == 2


def test_without_a_secret_no_user_can_be_found(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    open_store(url).close()
    done = CliRunner().invoke(app, ["privacy", "export", "--user", "a", "--ledger", url])
    assert (done.exit_code, "--secret-file" in str(done.exception)) == (1, True)
    assert not list(tmp_path.glob("*.secret")), "looking makes no secret"
