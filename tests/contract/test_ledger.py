"""The ledger keeps facts and opinions as they were, once each, on every database it supports."""

import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from estimators.quantity import LogVariance, Quantity
from estimators.usage import Media, Metered, Usage
from proxy.errors import StartError
from proxy.ledger.base import LedgerUnavailable, UnwritableRecord
from proxy.ledger.columns import ATTEMPTS, CALLS, ESTIMATES, MEDIA, METERED, REVISIONS, SCOPES
from proxy.ledger.kept_columns import KEPT_WRITES
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.schema import alembic_config, migrate
from proxy.ledger.sqlite import insert_or_ignore
from proxy.ledger.store import Store
from proxy.ledger.tables import KEPT
from tests.contract.ledger_rows import change_ledger, stored_calls
from tests.contract.ledgers import open_store, record, records, sqlite_url
from tests.contract.logical_rows import made_at
from tests.sample_records import VARIANCE, attempt, estimate

ROOT = Path(__file__).parents[2]


def found(store: Store, call_id: str) -> dict[str, Any]:
    call = store.find(call_id)
    assert call is not None
    return call


def test_a_call_is_found_with_its_attempts_usage_and_opinions(store: Store) -> None:
    kept = record()
    store.write([kept])
    call = found(store, kept.call_id)
    assert call["caller_id"] == "team-a"
    assert call["tags"] == {"campaign": "noel-26", "asset": "sku-1"}
    assert call["stream"] is True
    (only,) = call["attempts"]
    assert only["attempt_id"] == kept.attempts[0].attempt_id
    assert only["place_assumed"] is True
    assert only["usage"] == {
        "input_tokens": 100,
        "cached_input_tokens": 20,
        "image_input_tokens": 0,
        "audio_input_tokens": 0,
        "output_tokens": 50,
        "reasoning_output_tokens": 10,
        "audio_output_tokens": 0,
        "input_images": 0,
        "image_output_tokens": 0,
        "source": "provider",
        "partial": False,
        "media": None,
        "metered": None,
        "calls": 1,
    }
    (opinion,) = only["estimates"]
    assert (opinion["method"], opinion["method_version"], opinion["factor_set"]) == ("tokens", "1.0.0", "f00d")
    assert opinion["quality_parts"] == {"usage": "A", "model": "D", "hardware": "D", "zone": "B"}
    assert opinion["warnings"] == []


def test_figures_are_kept_to_a_millionth_with_the_scopes_of_their_doubt(store: Store) -> None:
    figures = estimate(gco2e=Quantity(0.1 + 0.2, VARIANCE), warnings=("model-unknown", "place-assumed"))
    kept = record(attempts=(attempt(estimate=figures),))
    store.write([kept])
    (opinion,) = found(store, kept.call_id)["attempts"][0]["estimates"]
    assert opinion["gco2e"] == pytest.approx(Quantity(0.1 + 0.2, VARIANCE).mean, rel=2e-8)
    assert opinion["gco2e_p50"] == pytest.approx(0.1 + 0.2, rel=1e-6)
    assert [opinion[f"gco2e_var_{scope}"] for scope in SCOPES] == pytest.approx(list(VARIANCE), rel=1e-5)
    kept_quantity = Quantity(opinion["gco2e_p50"], LogVariance._make(opinion[f"gco2e_var_{scope}"] for scope in SCOPES))
    assert tuple(kept_quantity.spread()) == pytest.approx(tuple(Quantity(0.1 + 0.2, VARIANCE).spread()), rel=1e-6)
    assert opinion["market_based_gco2e"] is None
    assert opinion["warnings"] == ["model-unknown", "place-assumed"]


def test_every_column_holds_the_field_it_is_named_after(store: Store) -> None:
    """Distinct values all over: a row written in the wrong order cannot pass."""
    lines = {name: Quantity(float(number), VARIANCE) for number, name in enumerate(_line_names(), start=2)}
    opinion_facts = estimate(**lines, gco2e_per_kwh=41.0, intensity_source="is", zone="zo")
    client: dict[str, Any] = {"user_hash": "uh", "user_hash_key_id": "uk", "idempotency_key_hash": "ik", "alias": "al", "operation": "op"}
    kept = record(**client, policy="p", altered="a", retry_count=7, attempts=(attempt(region="re", estimate=opinion_facts),))
    store.write([kept])
    call = found(store, kept.call_id)
    for name in set(CALLS) - {"tags"}:
        assert call[name] == getattr(kept, name), name
    served = call["attempts"][0]
    for name in set(ATTEMPTS) - {*served["usage"], *MEDIA, *METERED, "call_id", "usage_source", "usage_calls"}:
        assert served[name] == getattr(kept.attempts[0], name), name
    (opinion,) = served["estimates"]
    assert {name: opinion[f"{name}_p50"] for name in lines} == pytest.approx({name: line.p50 for name, line in lines.items()}, rel=1e-6)
    assert (opinion["gco2e_per_kwh"], opinion["intensity_source"], opinion["zone"]) == (41.0, "is", "zo")
    assert opinion["created_ms"] == kept.started_ms + 1250


MEDIA_OF_ALL_KINDS = Media(
    images=2, width=1024, height=1536, quality="high", steps=28, clips=1, video_seconds=5.5, frames=132, fps=24.0,
    audio_input_seconds=3.25, audio_output_seconds=4.75, characters=77,
)  # fmt: skip
METER = Metered(energy_wh=0.1 + 0.2, boundary="gpu", source="neuralwatt", shared=True)
WHOLE = Usage(
    input_tokens=100, cached_input_tokens=1, image_input_tokens=2, audio_input_tokens=3, output_tokens=200, reasoning_output_tokens=4,
    audio_output_tokens=5, input_images=6, image_output_tokens=7, source="counted", partial=True,
)  # fmt: skip


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(replace(WHOLE, media=MEDIA_OF_ALL_KINDS, metered=METER), id="all"),
        pytest.param(replace(WHOLE, media=Media()), id="media that nobody describes"),
        pytest.param(replace(WHOLE, metered=replace(METER, shared=False)), id="a meter"),
        pytest.param(WHOLE, id="text"),
        pytest.param(replace(WHOLE, calls=5000), id="a batch"),
    ],
)
def test_the_whole_usage_comes_back_as_it_was(store: Store, usage: Usage) -> None:
    kept = record(attempts=(attempt(usage=usage), attempt(attempt_id="beside", ordinal=1)))
    store.write([kept])
    first, second = found(store, kept.call_id)["attempts"]
    assert usage_of(first["usage"]) == usage
    assert usage_of(second["usage"]) == kept.attempts[1].usage


def usage_of(shown: dict[str, Any]) -> Usage:
    """What find() shows of a usage as the usage it was."""
    media, metered = shown.pop("media"), shown.pop("metered")
    return Usage(**shown, media=media and Media(**media), metered=metered and Metered(**metered))


def _line_names() -> list[str]:
    return [column.removesuffix("_p50") for column in ESTIMATES if column.endswith("_p50")]


def test_an_unknown_call_is_not_found(store: Store) -> None:
    assert store.find("01980000-0000-7000-8000-00000000dead") is None


def test_a_record_written_twice_is_there_once(store: Store) -> None:
    kept = records(5)
    store.write(kept)
    store.write([*kept[2:], record(99)])
    call = found(store, kept[3].call_id)
    assert len(call["attempts"]) == 1
    assert len(call["attempts"][0]["estimates"]) == 1


def test_what_was_not_counted_is_null_and_never_zero(store: Store) -> None:
    nothing = attempt(status=429, outcome="client_error", usage=None, estimate=None, unweighed_reason="not_generated")
    kept = record(attempts=(nothing,))
    store.write([kept])
    (only,) = found(store, kept.call_id)["attempts"]
    assert only["usage"] is None
    assert only["estimates"] == []
    assert only["unweighed_reason"] == "not_generated"


def test_attempts_come_in_their_order(store: Store) -> None:
    kept = record(attempts=(attempt(attempt_id="b", ordinal=0), attempt(attempt_id="a", ordinal=1)))
    store.write([kept])
    assert [each["attempt_id"] for each in found(store, kept.call_id)["attempts"]] == ["b", "a"]


def test_a_call_without_an_attempt_is_kept(store: Store) -> None:
    kept = record(attempts=())
    store.write([kept])
    assert found(store, kept.call_id)["attempts"] == []


def test_a_value_that_can_never_be_stored_spoils_its_batch_only(store: Store) -> None:
    good, bad = record(1), record(2, alias="half a pair: \ud800")
    with pytest.raises(UnwritableRecord):
        store.write([good, bad])
    assert store.find(good.call_id) is None
    store.write([good])
    assert store.find(good.call_id) is not None


def test_the_first_fact_kept_under_a_key_stays(store: Store) -> None:
    assert store.remember("user_hash_key_id", "first") == "first"
    assert store.remember("user_hash_key_id", "second") == "first"


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    kept = record()
    store.write([kept])
    store.upgrade()
    assert store.find(kept.call_id) is not None


@pytest.mark.parametrize("count", [1, 2, 3, 7, 31, 32, 33, 77])
def test_batches_of_any_length_arrive_whole(store: Store, url: str, count: int) -> None:
    kept = records(count)
    store.write(kept)
    assert sorted(stored_calls(url)) == sorted(each.call_id for each in kept)


def test_a_retag_is_applied_when_the_call_is_read(store: Store, url: str) -> None:
    kept = record()
    store.write([kept])
    retag = "INSERT INTO retags (call_id, name, value, created_ms) VALUES (:call_id, 'campaign', :value, :created_ms)"
    for created_ms, value in ((2, "soldes-27"), (1, "typo")):
        change_ledger(url, retag, call_id=kept.call_id, value=value, created_ms=created_ms)
    assert found(store, kept.call_id)["tags"] == {"campaign": "soldes-27", "asset": "sku-1"}


def schema_of(file: Path) -> dict[str, object]:
    """Tables by their columns in order (name, type, null, default, key) and indices by their text: an added column is written elsewhere."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {
            name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() if kind == "table" else _words(sql)
            for kind, name, sql in found
        }


def test_a_fresh_ledger_is_what_the_migrations_would_have_made(tmp_path: Path) -> None:
    open_store(sqlite_url(tmp_path)).close()
    migrate(f"sqlite:///{tmp_path / 'migrated.db'}")
    fresh, migrated = schema_of(tmp_path / "ledger.db"), schema_of(tmp_path / "migrated.db")
    assert fresh.keys() == migrated.keys()
    assert fresh == migrated
    assert Store(sqlite_url(tmp_path)).revision() == Store(f"sqlite:///{tmp_path / 'migrated.db'}").revision() == REVISIONS[-1]


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_ledger_of_an_older_version_is_brought_up_and_still_reads(bare_url: str, revision: str) -> None:
    old = records(3)
    made_at(revision, bare_url, old)
    store = Store(bare_url)
    assert store.revision() == revision
    store.migrate()
    assert store.revision() == REVISIONS[-1]
    new = record(9, attempts=(attempt(usage=replace(WHOLE, media=MEDIA_OF_ALL_KINDS, metered=METER)),))
    store.write([*old, new])
    (kept,) = found(store, old[1].call_id)["attempts"]
    known = 0 if revision >= "0003" else None
    assert (kept["usage"]["input_tokens"], kept["usage"]["image_output_tokens"]) == (100, known), "what was not recorded is not known"
    assert (kept["usage"]["media"], kept["usage"]["metered"]) == (None, None)
    assert [opinion["role"] for opinion in kept["estimates"]] == ["chosen"]
    assert usage_of(found(store, new.call_id)["attempts"][0]["usage"]).media == MEDIA_OF_ALL_KINDS
    store.close()
    sums = read_sums(bare_url, Selection(by="model"))
    assert (sums.whole.calls, sums.whole.usage["input_tokens"], sums.whole.usage["image_output_tokens"]) == (4, 400, 7)


def test_a_ledger_beside_other_tables_is_made_by_the_migrations(bare_url: str) -> None:
    change_ledger(bare_url, "CREATE TABLE somebodys (x INTEGER)")
    store = open_store(bare_url)
    store.write(records(2))
    store.close()
    assert len(stored_calls(bare_url)) == 2


def test_the_migrations_lead_to_the_declared_tables(bare_url: str) -> None:
    migrate(bare_url)
    with create_engine(bare_url, poolclass=pool.NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _is_no_partition})
        assert compare_metadata(context, KEPT) == []


def test_the_migrations_of_a_file_lead_to_the_declared_tables_to_the_letter(tmp_path: Path) -> None:
    migrate(sqlite_url(tmp_path))
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    KEPT.create_all(declared)
    declared.dispose()
    made, wanted = schema_of(tmp_path / "ledger.db"), schema_of(tmp_path / "declared.db")
    assert {name: made[name] for name in wanted} == wanted


def _is_no_partition(_item: object, name: str | None, kind: str, _is_reflected: bool, _declared: object) -> bool:
    """PostgreSQL's partitions of a table, and their indices, are made with time."""
    return not re.search(r"_(default|\d{4}_\d\d)(_|$)", name or "") if kind in ("table", "index") else True


def _words(statement: str) -> str:
    return " ".join(statement.replace('"', "").replace(",", " , ").replace(")", " ) ").replace("(", " ( ").split())


def test_the_revisions_named_in_code_are_those_of_the_files() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS


@pytest.mark.parametrize(("table", "columns"), KEPT_WRITES)
def test_the_statement_sent_is_the_one_the_schema_compiles_to(table: str, columns: tuple[str, ...]) -> None:
    statement = insert(KEPT.tables[table]).values(dict.fromkeys(columns)).on_conflict_do_nothing()
    compiled = str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))
    assert _words(insert_or_ignore(table, columns, 1)) == _words(compiled)


def test_two_proxies_that_start_at_once_make_one_schema(bare_url: str) -> None:
    problems: list[BaseException] = []

    def start() -> None:
        try:
            open_store(bare_url).close()
        except StartError as error:
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    store = Store(bare_url)
    store.upgrade()
    store.write(records(1))
    store.close()
    assert len(stored_calls(bare_url)) == 1


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_ledger_is_made_opened_and_written_without_slow_imports(tmp_path: Path, is_fresh: bool) -> None:
    if not is_fresh:
        open_store(sqlite_url(tmp_path)).close()
    script = (
        "import sys\n"
        "from tests.contract.ledgers import records\n"
        "from proxy.ledger import base, columns, create, keep, pack, spool, sqlite, store, writer\n"
        f"ledger = store.Store({sqlite_url(tmp_path)!r})\n"
        "ledger.upgrade()\n"
        "made = records(2)\n"
        "ledger.write(made)\n"
        "assert ledger.find(made[0].call_id)\n"
        "ledger.close()\n"
        "print([name for name in ('alembic', 'sqlalchemy', 'openai', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_reading_the_schema_or_a_report_imports_no_migrations() -> None:
    script = (
        "import sys\n"
        "import proxy.ledger.tables, proxy.ledger.queries, proxy.ledger.server, proxy.reports.summary, proxy.reports.render\n"
        "print([name for name in ('alembic', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_ledger_of_a_newer_version_is_refused(store: Store, url: str) -> None:
    change_ledger(url, "UPDATE alembic_version SET version_num = '9999'")
    for step in (store.upgrade, store.migrate):
        with pytest.raises(StartError, match=r"was written by a newer version \(schema 9999"):
            step()
    with pytest.raises(StartError, match=r"schema is 9999"):
        read_sums(url, Selection(by="model"))


def test_a_ledger_in_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot write the ledger .*gone/ledger\.db: the folder .*gone does not exist"):
        Store(sqlite_url(tmp_path / "gone")).upgrade()


def test_a_ledger_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(StartError, match=r"cannot write the ledger .*unable to open"):
        Store(sqlite_url(tmp_path)).upgrade()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("somebody's novel, chapter one. " * 40)
    with pytest.raises(StartError, match="not a ledger of grammage"):
        Store(sqlite_url(tmp_path)).upgrade()
    assert (tmp_path / "ledger.db").read_text().startswith("somebody's novel")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///x.db?mode=ro"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(StartError, match="names no file"):
        Store(url)


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense", "oracle://h"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(StartError, match=r"ledger\.url"):
        Store(url)


def test_a_ledger_deleted_under_the_proxy_takes_nothing(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path))
    store.write(records(1))
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(LedgerUnavailable):
        store.write(records(1))
    store.close()
