"""What a ledger meets on PostgreSQL and not in a file: texts it cannot keep, silence, rivals. It must never need a proxy."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.render import as_document
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import stored_calls
from tests.contract.ledgers import open_store, record, records, sqlite_url
from tests.contract.postgres_server import PostgresServer
from tests.sample_records import attempt

NAMED = record(1, alias="a\x00b", tags=(("campaign", "no\x00el"),), attempts=(attempt(served_model="m\x00"),))


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database("ledger") as made:
        yield made


def test_both_databases_sum_the_same_calls_alike(url: str, tmp_path: Path) -> None:
    kept = records(40)
    documents = []
    for place in (url, sqlite_url(tmp_path)):
        with closing(open_store(place)) as store:
            store.write(kept)
        documents.append([flat(as_document(summarise(place, Selection(by=by)))) for by in ("model", "day", "operation")])
    for ours, theirs in zip(*documents, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value == (pytest.approx(theirs[name], rel=1e-12) if isinstance(value, float) else theirs[name]), name


def flat(document: Any, path: str = "") -> dict[str, Any]:
    """A document's values by their paths."""
    if isinstance(document, dict):
        return {name: value for key, part in document.items() for name, value in flat(part, f"{path}.{key}").items()}
    if isinstance(document, list):
        return {name: value for key, part in enumerate(document) for name, value in flat(part, f"{path}.{key}").items()}
    return {path: document}


def test_a_text_that_postgresql_cannot_keep_costs_its_character_and_not_the_call(url: str) -> None:
    with closing(open_store(url)) as store:
        store.write([NAMED])
        found = store.find(NAMED.call_id)
        assert store.find("\x00") is None
    assert found is not None
    assert (found["alias"], found["tags"]) == ("a\ufffdb", {"campaign": "no\ufffdel"})
    assert [line.key for line in summarise(url, Selection(by="tag", tag_name="campaign")).lines] == ["no\ufffdel"]


def test_a_server_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        store = Store(f"postgresql://me@127.0.0.1:{mute.getsockname()[1]}/ledger")
        before = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="timeout"):
            store.write(records(1))
        assert time.monotonic() - before < 10
        store.close()


def test_bookings_of_the_same_work_by_two_proxies_at_once_are_one(url: str) -> None:
    kept = records(60)
    problems: list[BaseException] = []

    def book(batch: list[Any]) -> None:
        with closing(Store(url)) as store:
            for start in range(0, len(batch), 6):
                written(store, batch[start : start + 6], problems)

    threads = [threading.Thread(target=book, args=(batch,)) for batch in (kept, kept[::-1], kept)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert Counter(stored_calls(url)) == Counter(each.call_id for each in kept)


def written(store: Store, batch: list[Any], problems: list[BaseException]) -> None:
    """Writes as the writer does: again, when the database refuses."""
    for _ in range(20):
        try:
            store.write(batch)
            return
        except LedgerUnavailable as error:
            last = error
    problems.append(last)
