"""An audit pack is checked by what lies in it alone, and every change to it is found."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from config.tables import load_tables
from proxy.audit.chain import beginning, canonical, head_of, linked
from proxy.audit.pack import Packed, Wanted, make_pack
from proxy.audit.redact import REDACTED, redacted
from proxy.errors import StartError
from proxy.ledger.queries import DAY_MS, Selection
from proxy.ledger.store import Store
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import ask_ledger, change_ledger
from tests.contract.ledgers import STARTED_MS
from tests.contract.past_calls import Weigher, settings_of
from tests.contract.test_reweigh import RULES, changed_tables, grammage

SECRET = "sk-very-secret-0123456789"
SETTINGS: dict[str, Any] = {
    "ledger": {"url": f"postgresql://u:{SECRET}@db/grammage"},
    "keys": [{"name": "team", "key": SECRET}],
    "models": {
        "a": {"deployments": [{"provider": "bedrock", "model": "m", "params": {"aws_secret_access_key": SECRET}, "api_key": SECRET}]}
    },
    "user_hash_secret": SECRET,
    "redis": f"redis://:{SECRET}@cache",
    "intensity": {"sources": [{"kind": "watttime", "zones": ["FR"], "token": SECRET, "user": "u"}]},
}
FIRST = STARTED_MS // DAY_MS
BASE = date.fromordinal(date(1970, 1, 1).toordinal() + FIRST)
LAST = date.fromordinal(BASE.toordinal() + 3)
NOW_MS = STARTED_MS + 30 * DAY_MS


def wanted(**changes: Any) -> Wanted:
    configuration = redacted(Settings.model_validate(SETTINGS))
    usual: dict[str, Any] = {"first": BASE, "last": LAST, "tool_version": "1.2.3", "configuration": configuration}
    return Wanted(**usual | changes)


@pytest.fixture
def filled(url: str, store: Store) -> str:
    """Calls on the first, second and fourth of four days; one has a user."""
    weigher = Weigher(settings_of(), load_tables())
    numbers = [at * 977 + day * DAY_MS for day in (0, 1, 3) for at in range(12)]
    calls = [weigher.call(number, "large" if number % 2 else "small", input_tokens=100 + at) for at, number in enumerate(numbers)]
    users = weigher.call(5, user_hash="0badc0ffee", user_hash_key_id="k1")
    store.write([*calls, users])
    store.weighing().keep(RULES)
    return url


def packed(url: str, folder: Path, **changes: Any) -> tuple[Packed, Path]:
    """A pack, unzipped."""
    made = make_pack(url, wanted(**changes), folder / "pack.zip", lambda: NOW_MS)
    unzipped = folder / "pack"
    shutil.rmtree(unzipped, ignore_errors=True)
    with zipfile.ZipFile(folder / "pack.zip") as opened:
        opened.extractall(unzipped)
    return made, unzipped


def verified(folder: Path) -> tuple[int, str]:
    """What the verifier says in the folder, without any package of ours on its path."""
    done = subprocess.run([sys.executable, "-I", "-B", "verify.py"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_pack_verifies_and_states_the_reports_total(filled: str, tmp_path: Path) -> None:
    made, folder = packed(filled, tmp_path)
    code, said = verified(folder)
    assert (code, said.splitlines()[-1]) == (0, "OK"), said
    total = json.loads((folder / "manifest.json").read_text())["total_gco2e"]
    whole = summarise(filled, Selection(by="model"), exact=True).whole.gco2e
    assert whole is not None
    assert total == pytest.approx({"mean": whole.mean, "low": whole.p5, "high": whole.p95}, rel=1e-12)
    assert made.calls == 37
    assert made.head in said
    assert not made.unmatched
    assert {file.name for file in folder.iterdir()} >= {"METHODS.md", "configuration.json", "report.json", "tables", "retags.jsonl"}


def test_the_verifier_is_short_and_stands_alone(filled: str, tmp_path: Path) -> None:
    _, folder = packed(filled, tmp_path)
    text = (folder / "verify.py").read_text()
    assert len(text.splitlines()) < 200
    imported = {line.split()[1] for line in text.splitlines() if line.lstrip().startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)


def rewrite(folder: Path, kind: str, change: Callable[[list[dict[str, Any]]], None], *, rehash: bool = False) -> None:
    """Changes entries of a chain; with rehash also every hash of the file, as a careful hand would."""
    path = folder / f"{kind}.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    change(entries)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    manifest = json.loads((folder / "manifest.json").read_text())
    if rehash:
        days = {day: beginning("facts" if kind == "facts" else "estimates live", day) for day in manifest["days"]}
        by_attempt = {
            attempt["attempt_id"]: entry["record"]["started_ms"]
            for entry in map(json.loads, (folder / "facts.jsonl").read_text().splitlines())
            for attempt in entry["record"]["attempts"]
        }
        for entry in entries:
            record = entry["record"]
            started = record["started_ms"] if kind == "facts" else by_attempt[record["attempt_id"]]
            day = date.fromordinal(date(1970, 1, 1).toordinal() + started // DAY_MS).isoformat()
            entry["hash"] = days[day] = linked(days[day], canonical(record))
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _more_tokens(entries: list[dict[str, Any]]) -> None:
    entries[3]["record"]["attempts"][0]["output_tokens"] += 1


def _less_grams(entries: list[dict[str, Any]]) -> None:
    entries[3]["record"]["gco2e"] *= 0.5


def _swap(entries: list[dict[str, Any]]) -> None:
    entries[2], entries[3] = entries[3], entries[2]


def _drop_last(entries: list[dict[str, Any]]) -> None:
    entries.pop()


def _drop_first(entries: list[dict[str, Any]]) -> None:
    entries.pop(0)


def _twice(entries: list[dict[str, Any]]) -> None:
    entries.insert(4, entries[4])


@pytest.mark.parametrize("rehash", [False, True])
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("facts", _more_tokens),
        ("estimates", _less_grams),
        ("facts", _swap),
        ("estimates", _swap),
        ("facts", _drop_last),
        ("estimates", _drop_first),
        ("facts", _twice),
    ],
)
def test_a_changed_missing_doubled_or_moved_record_is_found(
    filled: str, tmp_path: Path, kind: str, change: Callable[[list[dict[str, Any]]], None], rehash: bool
) -> None:
    _, folder = packed(filled, tmp_path)
    rewrite(folder, kind, change, rehash=rehash)
    code, said = verified(folder)
    assert code == 1
    assert said.startswith(f"FAULT {kind}.jsonl") or "attempt" in said or "anchor" in said, said


def test_a_figure_that_does_not_follow_from_its_doubt_is_found_even_under_new_hashes_and_anchors(filled: str, tmp_path: Path) -> None:
    _, folder = packed(filled, tmp_path)
    rewrite(folder, "estimates", _less_grams, rehash=True)
    assert "gco2e does not follow from its median" in verified(folder)[1]


def test_a_changed_factor_row_is_found_with_and_without_a_new_manifest(filled: str, tmp_path: Path) -> None:
    _, folder = packed(filled, tmp_path)
    table = folder / "tables" / "factors.csv"
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    rows[5][1] = "123"
    with table.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows)
    assert verified(folder) == (1, "FAULT tables/factors.csv: is not the file that the manifest names\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["tables/factors.csv"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert verified(folder) == (1, "FAULT tables: the fingerprint is not the manifest's\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda manifest: manifest["anchors"]["facts"].pop(BASE.isoformat()), "a day is missing"),
        (lambda manifest: manifest["days"].pop(1), "missing, or outside the period"),
        (lambda manifest: manifest["days"].pop(), "missing, or outside the period"),
        (lambda manifest: manifest.update(head="0" * 64), "the head does not follow"),
        (lambda manifest: manifest["total_gco2e"].update(mean=1.0), "its total is not the manifest's"),
        (lambda manifest: manifest["files"].pop("METHODS.md"), "is not in the manifest"),
    ],
)
def test_a_missing_day_and_a_changed_manifest_are_found(
    filled: str, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    _, folder = packed(filled, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, printed = verified(folder)
    assert (code, said in printed) == (1, True), printed


def test_a_missing_or_added_file_is_found(filled: str, tmp_path: Path) -> None:
    _, folder = packed(filled, tmp_path)
    (folder / "more.txt").write_text("x")
    assert verified(folder) == (1, "FAULT more.txt: is not in the manifest\n")
    (folder / "more.txt").unlink()
    (folder / "report.json").unlink()
    assert verified(folder) == (1, "FAULT report.json: is missing\n")


def test_the_same_period_gives_the_same_anchors_whatever_the_pack_begins_with(filled: str, tmp_path: Path) -> None:
    first, folder = packed(filled, tmp_path)
    anchors = json.loads((folder / "manifest.json").read_text())["anchors"]
    again, folder = packed(filled, tmp_path)
    assert json.loads((folder / "manifest.json").read_text())["anchors"] == anchors
    assert (again.head, again.changed) == (first.head, ())
    part, folder = packed(filled, tmp_path, first=LAST)
    assert json.loads((folder / "manifest.json").read_text())["anchors"]["facts"] == {LAST.isoformat(): anchors["facts"][LAST.isoformat()]}
    assert part.changed == ()
    assert verified(folder)[0] == 0
    kept = dict(ask_ledger(filled, "SELECT key, value FROM ledger_meta WHERE key LIKE 'anchor.%'"))
    assert kept[f"anchor.{LAST}"] == anchors["facts"][LAST.isoformat()]
    assert kept[f"anchor.{LAST}.live"] == anchors["estimates"][LAST.isoformat()]


def test_a_record_changed_in_the_ledger_is_told_by_the_next_pack(filled: str, tmp_path: Path) -> None:
    packed(filled, tmp_path)
    change_ledger(filled, "UPDATE kept_attempts SET output_tokens = output_tokens + 1 WHERE output_tokens > 0")
    changed, folder = packed(filled, tmp_path)
    assert f"facts {BASE}" in changed.changed
    assert not any(day.startswith("estimates") for day in changed.changed)
    code, said = verified(folder)
    assert code == 0
    assert f"an earlier pack had another anchor for facts {BASE}" in said


def test_neither_secrets_nor_users_are_in_a_pack_unless_users_are_asked_for(filled: str, tmp_path: Path) -> None:
    _, folder = packed(filled, tmp_path)
    text = "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*") if file.is_file())
    assert SECRET not in text
    assert "0badc0ffee" not in text
    configuration = json.loads((folder / "configuration.json").read_text())
    assert configuration["ledger"]["url"] == configuration["keys"][0]["key"] == REDACTED
    assert configuration["models"]["a"]["deployments"][0]["params"] == REDACTED
    assert configuration["weighing"]["profile"] == "sci-consumer"
    with_users, folder = packed(filled, tmp_path, with_users=True)
    assert "0badc0ffee" in (folder / "users.jsonl").read_text()
    assert with_users.changed == ()
    assert verified(folder)[0] == 0


def test_a_set_is_packed_with_the_tables_it_was_weighed_by(filled: str, tmp_path: Path) -> None:
    tables = changed_tables(tmp_path / "tables")
    done = grammage("reweigh", "--since", "2020-01-01", "--factor-set", tables, "--set", "doubled", "--ledger", filled)
    assert done.returncode == 0, done.stderr
    shipped, folder = packed(filled, tmp_path, estimate_set="doubled")
    assert len(shipped.unmatched) == 1
    assert "are not in this pack" in verified(folder)[1]
    own, folder = packed(filled, tmp_path, estimate_set="doubled", tables=tables)
    assert own.unmatched == ()
    code, said = verified(folder)
    assert (code, said.splitlines()[-1], "note" in said) == (0, "OK", False)


def test_a_day_that_has_not_ended_is_refused_and_leaves_no_file(filled: str, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="has not ended yet"):
        make_pack(filled, wanted(), tmp_path / "pack.zip", lambda: STARTED_MS)
    assert not list(tmp_path.glob("pack*"))


def test_an_empty_period_is_a_pack_too(store: Store, url: str, tmp_path: Path) -> None:
    made, folder = packed(url, tmp_path)
    assert made.calls == 0
    assert verified(folder)[1].splitlines()[-1] == "OK"


def test_the_command_writes_a_pack_that_verifies(url: str, store: Store, tmp_path: Path) -> None:
    weigher = Weigher(settings_of(), load_tables())
    store.write([weigher.call(number - 500 * DAY_MS) for number in range(3)])
    day = date.fromordinal(BASE.toordinal() - 500)
    done = grammage("export", "--audit-pack", tmp_path / "p.zip", "--since", day, "--until", day, "--ledger", url)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "p.zip") as opened:
        opened.extractall(tmp_path / "p")
    code, said = verified(tmp_path / "p")
    assert (code, done.stdout.strip() in said) == (0, True)
    assert grammage("export", "--since", day, "--until", day, "--ledger", url).returncode == 2
    assert grammage("export", "--audit-pack", "x.zip", "--since", "yesterday", "--until", day, "--ledger", url).returncode == 2


def test_a_chain_follows_from_every_record_before() -> None:
    start = beginning("facts", "2026-01-01")
    assert start != beginning("facts", "2026-01-02")
    assert linked(linked(start, "a"), "b") != linked(linked(start, "b"), "a")
    assert head_of([("a", "1"), ("b", "2")]) != head_of([("b", "2"), ("a", "1")])
    assert canonical({"b": 1.5, "a": "é"}) == '{"a":"\\u00e9","b":1.5}'


def test_a_closed_ledger_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="there is no ledger"), closing(Store(f"sqlite:///{tmp_path / 'no.db'}")):
        make_pack(f"sqlite:///{tmp_path / 'no.db'}", wanted(), tmp_path / "pack.zip", lambda: NOW_MS)
