"""How much room a call takes in the ledger, tables and indices: figures as the estimators make them, every call with its own."""

import random  # noqa: TID251  # seeded by each test
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace

from config.tables import load_tables
from proxy.call import CallRecord
from proxy.clock import uuid7
from proxy.ledger.store import Store
from tests.contract.ledger_load import size_bytes
from tests.contract.ledgers import STARTED_MS, open_store
from tests.contract.past_calls import Weigher, settings_of

MOST_BYTES = {"sqlite": 450, "postgresql": 650}
FIRST, MORE = 2_000, 6_000
"""What a ledger of few calls takes is mostly its tables' own: the room of a call is told by what more of them add."""


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher(settings_of(), load_tables())


def mixture(weigher: Weigher, first: int, last: int) -> Iterator[CallRecord]:
    """Chats of two models for assets of eight campaigns, each with counts, figures, times and provider's id of its own."""
    dice = random.Random(first)
    for number in range(first, last):
        started_ms = STARTED_MS + number * 5_000
        made = weigher.call(number, "large" if number % 3 else "small", input_tokens=dice.randint(80, 6_000))
        served = replace(
            made.attempts[0],
            attempt_id=(call_id := uuid7(started_ms)),
            upstream_request_id=f"req_{dice.getrandbits(128):032x}",
            request_bytes=dice.randint(300, 40_000),
            response_bytes=dice.randint(500, 20_000),
            latency_s=dice.uniform(0.3, 20),
        )
        yield replace(
            made,
            call_id=call_id,
            started_ms=started_ms,
            latency_s=served.latency_s + 0.001,
            time_to_first_token_s=dice.uniform(0.1, 2),
            overhead_s=dice.uniform(0.0004, 0.002),
            tags=(("brand", "acme"), ("campaign", f"campaign-{number % 8}"), ("asset", f"sku-{number // 6 * 8 + number % 8}")),
            attempts=(served,),
        )


def write(store: Store, records: Iterator[CallRecord]) -> None:
    kept = list(records)
    for start in range(0, len(kept), 64):
        store.write(kept[start : start + 64])


def test_a_call_takes_no_more_room_than_was_set_out_for(bare_url: str, weigher: Weigher) -> None:
    with closing(open_store(bare_url)) as store:
        write(store, mixture(weigher, 0, FIRST))
    before = size_bytes(bare_url)
    with closing(open_store(bare_url)) as store:
        write(store, mixture(weigher, FIRST, FIRST + MORE))
    taken = (size_bytes(bare_url) - before) / MORE
    print(f"{taken:.0f} bytes per call")
    assert taken <= MOST_BYTES[bare_url.partition(":")[0]]
