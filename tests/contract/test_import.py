"""Imports weigh what never crossed the proxy, say so, and never add a call or a token that the ledger holds already."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from config.tables import Tables, load_tables
from estimators import Usage, prepare
from estimators.usage import Media
from proxy.call import CallRecord
from proxy.cli.imports import context_of
from proxy.clock import uuid7
from proxy.errors import StartError
from proxy.imports.context import Context
from proxy.imports.money import Purse
from proxy.imports.plan import IMPORTED, PRUNED
from proxy.imports.run import BadFile, Job, run
from proxy.imports.scales import Weigher
from proxy.imports.told import Told
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.import_ledger import ImportLedger
from proxy.ledger.import_queries import NOT_IMPORTED, Imported, imported_of
from proxy.ledger.queries import Selection
from proxy.ledger.reading import open_engine
from proxy.ledger.set_ledger import SetLedger
from proxy.ledger.store import Store
from proxy.ledger.weighed_past import Period
from proxy.ledger.weighing_store import RulesInForce
from proxy.reports.summary import summarise
from proxy.restate.again import Restater
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger
from tests.contract.ledgers import open_store
from tests.sample_records import attempt, call

SAMPLES = Path(__file__).parents[1] / "fixtures" / "imports"
FILES = {
    "litellm": "litellm.csv",
    "openai-usage": "openai_usage.json",
    "langfuse": "langfuse.json",
    "csv": "plain.csv",
    "seats": "seats.csv",
    "invoice": "invoices.csv",
}
NOON_MS = 1_793_707_200_000
"""2026-11-03T12:00:00Z."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
POUNDS = Context(rates={"GBP": (1.17, "EUR")})


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"auth": "open"} | sections)


def take_in(
    url: str, path: Path, kind: str, tables: Tables, context: Context = POUNDS, *, store_of: type[Store] = Store, **choices: Any
) -> Told:
    """The file, imported."""
    open_store(url).close()
    known = choices.pop("settings", settings())
    job = Job(path=path, kind=kind, context=context, batch_id=uuid7(NOON_MS), now_ms=NOON_MS, **choices)
    with closing(store_of(url)) as store, closing(ImportLedger(url)) as ledger:
        store.open_writer("commit")
        return run(job, ledger, store, Weigher(known, tables), Purse(tables, context))


def sample(kind: str) -> Path:
    return SAMPLES / FILES[kind]


def seen_live(url: str, *records: CallRecord) -> None:
    with closing(open_store(url)) as store:
        store.open_writer("commit")
        store.write(records)


def live(
    started_ms: int, usage: Usage, *, model: str = "gpt-4o-mini", provider: str = "openai", request_id: str | None = None
) -> CallRecord:
    made = attempt(
        attempt_id=uuid7(started_ms),
        provider=provider,
        model=model,
        served_model=model,
        usage=usage,
        upstream_request_id=request_id,
    )
    return call(call_id=uuid7(started_ms), started_ms=started_ms, alias=model, attempts=(made,))


def buckets(folder: Path, *rows: Mapping[str, Any], start_ms: int = NOON_MS, length_ms: int = HOUR_MS) -> Path:
    """A usage export of one bucket."""
    results = [
        {"object": "organization.usage.completions.result", "num_model_requests": 1, "model": "gpt-4o-mini"} | dict(row) for row in rows
    ]
    bucket = {"object": "bucket", "start_time": start_ms // 1000, "end_time": (start_ms + length_ms) // 1000, "results": results}
    path = folder / f"usage-{start_ms}-{length_ms}-{len(rows)}.json"
    path.write_text(json.dumps({"object": "page", "data": [bucket], "has_more": False}))
    return path


def lines(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "plain.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def told_apart(url: str, selection: Selection) -> Imported:
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            return imported_of(connection, selection)
    finally:
        engine.dispose()


def tokens(url: str) -> tuple[Any, ...]:
    return ask_ledger(url, "SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0) FROM attempts")[0]


@pytest.mark.parametrize(
    ("kind", "added", "calls", "skipped"),
    [
        ("litellm", 4, 4, {"answered_from_cache": 1, "failed": 1, "not_generative": 1}),
        ("openai-usage", 5, 156, {"not_generative": 1}),
        ("langfuse", 2, 2, {"not_a_generation": 1}),
        ("csv", 3, 42, {}),
        ("seats", 4, 0, {}),
        ("invoice", 5, 0, {}),
    ],
)
def test_each_kind_of_file_becomes_weighed_calls_that_are_marked(
    url: str, tables: Tables, kind: str, added: int, calls: int, skipped: dict[str, int]
) -> None:
    told = take_in(url, sample(kind), kind, tables)
    assert (told.added, told.calls, told.unweighed, dict(told.skipped)) == (added, calls, 0, skipped)
    marked = ask_ledger(
        url,
        """SELECT COUNT(*), COUNT(e.gco2e), SUM(i.calls_counted) FROM imports i JOIN calls c ON c.call_id = i.call_id
           JOIN attempts a ON a.call_id = c.call_id JOIN estimates e ON e.attempt_id = a.attempt_id WHERE i.source_kind = :kind""",
        kind=kind,
    )
    assert marked == [(added, added, calls)]
    assert told.rows == told.added + sum(told.matched.values()) + sum(told.skipped.values())


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_imported_twice_adds_nothing(url: str, tables: Tables, kind: str) -> None:
    first = take_in(url, sample(kind), kind, tables)
    before = ask_ledger(url, "SELECT COUNT(*) FROM calls"), tokens(url)
    again = take_in(url, sample(kind), kind, tables)
    assert (ask_ledger(url, "SELECT COUNT(*) FROM calls"), tokens(url)) == before
    assert (again.added, again.matched[IMPORTED]) == (0, first.added)


def test_what_litellm_counted_is_kept_whole(url: str, tables: Tables) -> None:
    take_in(url, sample("litellm"), "litellm", tables)
    found = ask_ledger(
        url,
        """SELECT c.started_ms, c.operation, c.latency_s, a.provider, a.model, a.input_tokens, a.cached_input_tokens, a.output_tokens,
           a.media_images FROM calls c JOIN attempts a ON a.call_id = c.call_id ORDER BY c.started_ms""",
    )
    day = NOON_MS - 12 * HOUR_MS
    assert found == [
        (day + 8 * HOUR_MS, "chat", 4.5, "openai", "gpt-4o-mini", 1000, 400, 500, None),
        (day + 9 * HOUR_MS + 1_800_000, "chat", 9.0, "mistral", "mistral/mistral-small-latest", 2000, 0, 1000, None),
        (day + 10 * HOUR_MS, "embeddings", 0.4, "openai", "text-embedding-3-small", 800, 0, 0, None),
        (day + 11 * HOUR_MS, "images", 12.0, "openai", "dall-e-3", 0, 0, 0, 1),
    ]


def test_cached_and_reasoning_tokens_of_langfuse_are_in_the_totals(url: str, tables: Tables) -> None:
    take_in(url, sample("langfuse"), "langfuse", tables)
    found = ask_ledger(url, "SELECT provider, input_tokens, cached_input_tokens, output_tokens FROM attempts ORDER BY provider DESC")
    assert found == [("openai", 1000, 300, 200), ("anthropic", 400, 0, 90)]


def test_an_imported_call_weighs_what_the_estimators_say(url: str, tables: Tables) -> None:
    take_in(url, sample("litellm"), "litellm", tables)
    match = tables.catalogue.resolve("gpt-4o-mini")
    prepared = prepare(match.card, tables.places.resolve("openai"), tables.factors, match_warnings=match.warnings)
    expected = prepared.estimate(Usage(input_tokens=1000, cached_input_tokens=400, output_tokens=500))
    (found,) = ask_ledger(
        url, "SELECT e.gco2e, e.water_ml FROM estimates e JOIN attempts a ON a.attempt_id = e.attempt_id WHERE a.model = 'gpt-4o-mini'"
    )
    assert found == (pytest.approx(expected.gco2e.mean, rel=1e-6), pytest.approx(expected.water_ml.mean, rel=1e-6))


def test_a_configured_deployment_tells_where_an_imported_call_ran(url: str, tables: Tables, tmp_path: Path) -> None:
    deployment = {
        "provider": "azure",
        "model": "gpt-4o-mini",
        "region": "swedencentral",
        "api_key": "k",
        "api_base": "https://a.example/v1",
    }
    known = settings(models={"studio": {"deployments": [deployment]}})
    path = lines(tmp_path, "time,model,provider,input_tokens,output_tokens", "2026-11-03T12:00:00Z,gpt-4o-mini-2024-07-18,azure,100,10")
    take_in(url, path, "csv", tables, settings=known)
    assert ask_ledger(url, "SELECT region, place_assumed FROM attempts") == [("swedencentral", False)]


def test_a_restatement_weighs_an_imported_call_as_its_import_did(url: str, tables: Tables) -> None:
    take_in(url, sample("openai-usage"), "openai-usage", tables)
    rules = [RulesInForce(since_ms=0, operating_prior="typical", profile="sci-consumer", methods=())]
    with closing(SetLedger(url)) as ledger:
        past = [each for _, batch in ledger.batches(Period(), estimate_set="again") for each in batch]
    restater = Restater(tables, rules)
    again = {each.attempt_id: restater.weigh(each).gco2e.mean for each in past}  # type: ignore[union-attr]  # none is unweighable
    first = dict(ask_ledger(url, "SELECT attempt_id, gco2e FROM estimates"))
    assert again == pytest.approx(first, rel=1e-6)


def test_a_call_that_was_seen_live_under_the_same_id_is_not_added(url: str, tables: Tables) -> None:
    seen_live(url, live(NOON_MS - 4 * HOUR_MS, Usage(input_tokens=7, output_tokens=7), request_id="chatcmpl-made-up-1"))
    told = take_in(url, sample("litellm"), "litellm", tables)
    assert (told.added, dict(told.matched)["same_id"]) == (3, 1)
    assert ask_ledger(url, "SELECT COUNT(*) FROM attempts WHERE model = 'gpt-4o-mini'") == [(1,)]


@pytest.mark.parametrize(
    ("later_ms", "counts", "model", "added"),
    [
        (60_000, (1000, 500), "gpt-4o-mini-2024-07-18", 3),
        (360_000, (1000, 500), "gpt-4o-mini-2024-07-18", 4),
        (60_000, (1000, 501), "gpt-4o-mini-2024-07-18", 4),
        (60_000, (1000, 500), "gpt-4o", 4),
    ],
)
def test_a_call_that_was_seen_live_with_the_same_counts_is_not_added(
    url: str, tables: Tables, later_ms: int, counts: tuple[int, int], model: str, added: int
) -> None:
    started = NOON_MS - 4 * HOUR_MS + later_ms
    seen_live(url, live(started, Usage(input_tokens=counts[0], output_tokens=counts[1]), model=model))
    assert take_in(url, sample("litellm"), "litellm", tables).added == added


def test_a_picture_that_was_seen_live_is_known_by_its_count(url: str, tables: Tables) -> None:
    made = Usage(media=Media(images=1))
    seen_live(url, live(NOON_MS - HOUR_MS, made, model="dall-e-3"))
    told = take_in(url, sample("litellm"), "litellm", tables)
    assert (told.matched["same_counts"], told.added) == (1, 3)


def test_one_live_call_stands_for_one_row_alone(url: str, tables: Tables, tmp_path: Path) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=100, output_tokens=10)))
    row = "2026-11-03T12:00:01Z,gpt-4o-mini,openai,100,10"
    told = take_in(url, lines(tmp_path, "time,model,provider,input_tokens,output_tokens", row, row), "csv", tables)
    assert (told.added, told.matched["same_counts"]) == (1, 1)


def test_of_a_sum_only_what_was_not_seen_live_is_added(url: str, tables: Tables, tmp_path: Path) -> None:
    seen_live(
        url,
        live(NOON_MS + 1000, Usage(input_tokens=300, cached_input_tokens=50, output_tokens=40), model="gpt-4o-mini-2024-07-18"),
        live(NOON_MS + HOUR_MS, Usage(input_tokens=9000, output_tokens=9000)),
        live(NOON_MS + 2000, Usage(input_tokens=9000, output_tokens=9000), provider="azure"),
    )
    path = buckets(tmp_path, {"input_tokens": 1000, "input_cached_tokens": 100, "output_tokens": 400, "num_model_requests": 10})
    told = take_in(url, path, "openai-usage", tables)
    assert (told.taken["input_tokens"], told.taken["output_tokens"], told.taken["calls"]) == (300, 40, 1)
    found = ask_ledger(
        url,
        """SELECT a.input_tokens, a.cached_input_tokens, a.output_tokens, a.usage_calls FROM attempts a
           JOIN imports i ON i.call_id = a.call_id""",
    )
    assert found == [(700, 50, 360, 9)]


def test_a_sum_that_was_seen_live_whole_adds_nothing_and_takes_nothing_away(url: str, tables: Tables, tmp_path: Path) -> None:
    seen_live(url, live(NOON_MS + 1000, Usage(input_tokens=5000, output_tokens=400)))
    told = take_in(url, buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400}), "openai-usage", tables)
    assert (told.added, told.matched["seen_live"], tokens(url)) == (0, 1, (5000, 400))


def test_what_is_missing_from_a_bucket_of_several_rows_is_shared_out_to_the_token(url: str, tables: Tables, tmp_path: Path) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=101, output_tokens=7)))
    rows = [{"input_tokens": 333, "output_tokens": 10, "project_id": name} for name in ("a", "b", "c")]
    take_in(url, buckets(tmp_path, *rows), "openai-usage", tables)
    assert tokens(url) == (999, 30)


def test_a_later_export_of_the_same_time_adds_only_what_came_since(url: str, tables: Tables, tmp_path: Path) -> None:
    take_in(url, buckets(tmp_path, {"input_tokens": 1000, "output_tokens": 400}), "openai-usage", tables)
    take_in(url, buckets(tmp_path, {"input_tokens": 1500, "output_tokens": 450}), "openai-usage", tables)
    day = NOON_MS - NOON_MS % DAY_MS
    told = take_in(
        url, buckets(tmp_path, {"input_tokens": 1600, "output_tokens": 450}, start_ms=day, length_ms=DAY_MS), "openai-usage", tables
    )
    assert (tokens(url), told.taken["input_tokens"]) == ((1600, 450), 1500)


def test_a_row_of_one_call_is_taken_to_be_in_a_sum_that_was_imported(url: str, tables: Tables) -> None:
    take_in(url, sample("openai-usage"), "openai-usage", tables)
    told = take_in(url, sample("litellm"), "litellm", tables)
    assert (told.matched["in_an_imported_sum"], told.added) == (3, 1)


def test_nothing_personal_of_a_file_comes_into_the_ledger(url: str, tables: Tables) -> None:
    for kind in ("litellm", "openai-usage", "langfuse"):
        take_in(url, sample(kind), kind, tables)
    names = ("calls", "attempts", "imports", "import_batches", "weighing_facts")
    kept = " ".join(str(row) for name in names for row in ask_ledger(url, f"SELECT * FROM {name}"))
    for personal in ("@", "anna", "bob", "customer-17", "88dc28d0", "user-made-up", "key_made_up", "made-up prompt", "studio"):
        assert personal not in kept
    tags = {json.dumps(json.loads(row[0]) if isinstance(row[0], str) else row[0]) for row in ask_ledger(url, "SELECT tags FROM calls")}
    assert tags >= {'{"campaign": "noel-26", "stage": "draft"}', '{"campaign": "soldes-27"}'}


def test_tags_come_from_columns_and_from_the_import_itself(url: str, tables: Tables) -> None:
    context = context_of(settings(), tags=["brand=other"])
    take_in(url, sample("csv"), "csv", tables, context)
    found = [
        json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in ask_ledger(url, "SELECT tags FROM calls ORDER BY call_id")
    ]
    assert found == [{"brand": "other", "campaign": "noel-26"}] * 2 + [{"brand": "other"}]


def test_imported_ids_sort_with_the_time_of_their_calls(url: str, tables: Tables) -> None:
    take_in(url, sample("litellm"), "litellm", tables)
    for call_id, started_ms in ask_ledger(url, "SELECT call_id, started_ms FROM calls"):
        assert uuid7(started_ms)[:13] == call_id[:13]
        assert call_id[14] == "8"


class Interrupted(Store):
    """A ledger that stops when calls are written."""

    def write(self, records: object) -> None:
        """As a database that went away."""
        raise LedgerUnavailable("gone")


def test_an_import_that_broke_off_is_taken_up_again(url: str, tables: Tables) -> None:
    with pytest.raises(StartError, match="import the file again"):
        take_in(url, sample("seats"), "seats", tables, store_of=Interrupted)
    assert told_apart(url, Selection(by="model")) == NOT_IMPORTED
    assert take_in(url, sample("seats"), "seats", tables).added == 4
    assert summarise(url, Selection(by="model")).whole.weighed_attempts == 4


def test_what_lies_in_a_pruned_time_is_not_imported(url: str, tables: Tables) -> None:
    with closing(open_store(url)) as store:
        store.remember("pruned_before_ms", str(NOON_MS - 3 * HOUR_MS))
    told = take_in(url, sample("litellm"), "litellm", tables)
    assert (told.added, told.skipped[PRUNED]) == (3, 1)


def test_a_dry_run_tells_and_writes_nothing(url: str, tables: Tables) -> None:
    told = take_in(url, sample("csv"), "csv", tables, dry_run=True)
    assert (told.added, told.calls) == (3, 42)
    assert [ask_ledger(url, f"SELECT COUNT(*) FROM {name}") for name in ("calls", "imports", "import_batches")] == [[(0,)]] * 3


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("csv", "time,model,input_tokens\n2026-11-01T00:00:00Z,m,12\nsoon,m,12\n", ":3: column 'time': 'soon' is no time"),
        ("csv", 'time,model,input_tokens\n2026-11-01,m,"1,234"\n', ":2: column 'input_tokens': '1,234' is no number"),
        ("csv", "time,model,input_tokens\n2026-11-01,m,1.5\n", ":2: column 'input_tokens': 1.5 is not a whole number"),
        ("csv", "time,model,calls\n2026-11-01,m,9\n", ":2: column 'end': is not stated"),
        ("csv", "time,model\n2026-11-01,m,9\n", ":2: column 3: the header has no such column"),
        ("csv", "time,model,operation,input_tokens\n2026-11-01,m,dance,4\n", ":2: column 'operation': 'dance' is no kind of call"),
        ("litellm", "request_id,startTime,prompt_tokens\nr,2026-11-01,4\n", ":2: column 'model': is not stated"),
        ("seats", "tool,vendor,price,currency,month\nA,b,9,EUR,2026-11\n", ":2: column 'seats': is not stated"),
        ("seats", "tool,vendor,seats,price,currency,month\nA,b,2,9,GBP,2026-11\n", ":2: column 'currency': no factor is known for GBP"),
        ("invoice", "date,vendor,amount,currency\n2026-11-01,b,-4,EUR\n", ":2: column 'amount': '-4' is not a number from 0 on"),
    ],
)
@ON_A_FILE
def test_a_bad_row_is_named_by_line_and_column_and_nothing_is_imported(
    url: str, tables: Tables, tmp_path: Path, kind: str, text: str, problem: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        take_in(url, path, kind, tables, Context())
    assert [problem in each for each in caught.value.problems] == [True]
    assert ask_ledger(url, "SELECT COUNT(*) FROM calls") == [(0,)]


@ON_A_FILE
def test_a_bad_bucket_of_a_document_is_named_by_its_line(url: str, tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text(
        '{"data": [\n {"start_time": 1793491200, "end_time": 1793494800, "results": []},\n\n'
        ' {"start_time": 1793491200, "end_time": 1793491200}\n]}'
    )
    with pytest.raises(BadFile, match=r"usage\.json:4: column 'end_time': is not after start_time"):
        take_in(url, path, "openai-usage", tables)
    path.write_text('{"data": [\n {"start_time": 1,, }]}')
    with pytest.raises(BadFile, match=r"usage\.json:2: column 19: is no JSON"):
        take_in(url, path, "openai-usage", tables)


def test_reports_can_tell_imported_calls_apart(url: str, tables: Tables) -> None:
    seen_live(url, live(NOON_MS, Usage(input_tokens=100, output_tokens=10), provider="mistral"))
    told = take_in(url, sample("openai-usage"), "openai-usage", tables)
    found = told_apart(url, Selection(by="model"))
    other_day = told_apart(url, Selection(by="model", since_ms=NOON_MS + 3 * DAY_MS))
    whole = summarise(url, Selection(by="model")).whole
    assert (found.records, found.calls_counted) == ({"openai-usage": 5}, {"openai-usage": 156})
    assert sum(each.gco2e.mean for each in found.weighed) == pytest.approx(told.gco2e)
    assert whole.gco2e is not None
    assert told.gco2e < whole.gco2e.mean
    assert other_day == NOT_IMPORTED
