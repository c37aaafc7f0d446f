"""Single calls for a warehouse: every attempt once, in three forms, with nothing of anybody; on either database."""

import csv
import json
import random  # noqa: TID251  # seeded by each test
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer

from proxy.cli.export import export
from proxy.errors import StartError
from proxy.ledger import call_rows
from proxy.ledger.call_rows import COLUMNS, call_pages
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import record
from tests.contract.rolled_ledgers import DAY_MS, MIDNIGHT_MS, any_calls, retag
from tests.sample_records import attempt

WHOLE = Selection(by="model", since_ms=MIDNIGHT_MS, until_ms=MIDNIGHT_MS + 3 * DAY_MS)
DAYS: dict[str, Any] = {"since": "2026-09-21", "until": "2026-09-23"}


def rows_of(url: str, into: Path) -> list[dict[str, Any]]:
    """What the command wrote."""
    export(**DAYS, calls=into, ledger=url)
    if into.suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_table(into).to_pylist())
    if into.suffix == ".csv":
        with into.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in into.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("page", [7, 5000])
def test_every_attempt_is_in_the_pages_once_and_they_sum_up_to_the_report(store: Store, url: str, page: int) -> None:
    kept = any_calls(random.Random(7), 150)
    store.write(kept)
    retag(url, kept[0].call_id, "late", 1)
    pages = list(call_pages(url, WHOLE, page))
    rows = [row for each in pages for row in each]
    whole = summarise(url, WHOLE, exact=True).whole
    keys = [(row["call_id"], row["attempt_id"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert sum(row["attempt_id"] is not None for row in rows) == whole.attempts
    assert whole.gco2e is not None
    assert sum(row["gco2e"] or 0.0 for row in rows) == pytest.approx(whole.gco2e.mean)
    assert [row["started"] for row in rows] == sorted(row["started"] for row in rows)
    assert {row["campaign"] for row in rows if row["call_id"] == kept[0].call_id} == {"late"}
    assert all(row["gco2e_low"] <= row["gco2e"] <= row["gco2e_high"] for row in rows if row["gco2e"] is not None)


@pytest.mark.parametrize("form", [".parquet", ".csv", ".jsonl"])
def test_a_file_holds_the_columns_and_nothing_of_anybody(store: Store, url: str, tmp_path: Path, form: str) -> None:
    tags = (("brand", "=1+1"), ("campaign", "noel"))
    store.write([record(call_id="c-1", started_ms=MIDNIGHT_MS, tags=tags, user_hash="u" * 32, attempts=(attempt(attempt_id="a-1"),))])
    into = tmp_path / f"calls{form}"
    (row,) = rows_of(url, into)
    assert list(row) == list(COLUMNS)
    assert row["brand"] == ("'=1+1" if form == ".csv" else "=1+1")
    assert float(row["gco2e"]) > 0
    assert (row["tags"] if form == ".jsonl" else json.loads(row["tags"])) == {"brand": "=1+1", "campaign": "noel"}
    assert not {"user_hash", "user_hash_key_id", "caller_id", "idempotency_key_hash", "upstream_request_id", "path"} & row.keys()
    assert b"u" * 32 not in into.read_bytes()
    assert list(tmp_path.glob(".calls*")) == []


def test_a_file_that_cannot_be_made_leaves_the_one_that_was_there(store: Store, url: str, tmp_path: Path) -> None:
    store.write([record(started_ms=MIDNIGHT_MS)])
    into = tmp_path / "calls.csv"
    into.write_text("old")

    def broken(*_: Any) -> Any:
        raise StartError("the ledger went away")

    with patch.object(call_rows, "_read", broken), pytest.raises(StartError):
        export(**DAYS, calls=into, ledger=url)
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".csv"] == ["calls.csv"]
    assert into.read_text() == "old"


def test_calls_that_are_gone_are_refused_and_so_is_what_is_not_understood(store: Store, url: str, tmp_path: Path) -> None:
    store.write([record(started_ms=MIDNIGHT_MS)])
    refused: tuple[dict[str, Any], ...] = (
        {"calls": tmp_path / "calls.txt"},
        {"calls": tmp_path / "c.csv", "audit_pack": tmp_path / "a.zip"},
        {},
    )
    for wrong in refused:
        with pytest.raises(typer.BadParameter):
            export(**DAYS, **wrong, ledger=url)
    with pytest.raises(typer.BadParameter):
        export(since="2026-09-23", until="2026-09-01", calls=tmp_path / "c.csv", ledger=url)
    change_ledger(url, "INSERT INTO ledger_meta (key, value) VALUES ('pruned_before_ms', :until)", until=str(MIDNIGHT_MS + DAY_MS))
    with pytest.raises(StartError, match="were pruned"):
        export(**DAYS, calls=tmp_path / "c.csv", ledger=url)
