"""What ledger, budgets and Prometheus say once a run is over. It must never go through the store that is tested."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from config.budgets import Budget
from proxy.budgets.account import State
from proxy.budgets.rule import Rule
from proxy.budgets.shared import RedisAccounts
from proxy.clock import Clock
from tests.contract.ledger_rows import ask_ledger
from tests.replicas.crowd import CAMPAIGN, Crowd
from tests.replicas.house import LOOK_S, SCRAPE_S, House, eventually

ROWS = """
    SELECT c.call_id, a.upstream_request_id, e.gco2e, c.tags
    FROM calls c LEFT JOIN attempts a ON a.call_id = c.call_id
    LEFT JOIN estimates e ON e.call_id = a.call_id AND e.attempt_id = a.attempt_id
"""
MOST_LOOKS = 25
"""For an account after a call, and calls for it: a Redis that was gone is let be for a second."""


class Row(NamedTuple):
    """A call of the ledger with its attempt and estimate."""

    call_id: str
    request_id: str | None
    gco2e: float | None
    capped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """rows: the ledger's after the run. accounts: of the budgets then, by name; reseeded: that of all calls, after Redis forgot everything.

    reseeded_g: the ledger's grams at that time. counted: calls that Prometheus saw, None without one; lost_at_most: calls that ended
    between a replica's last scrape and its end.
    """

    rows: list[Row]
    accounts: dict[str, State]
    reseeded: State
    reseeded_g: float
    counted: int | None
    lost_at_most: int


async def books(made: House, crowd: Crowd, wall: float) -> Books:
    """All of them. The run is over, and the ledger has every call."""
    rows = await asyncio.to_thread(_rows, made.ledger_url)
    accounts = {budget["name"]: await _account(made, budget) for budget in made.content["budgets"]}
    counted, lost = await _counted(made, crowd, wall)
    await asyncio.to_thread(made.redis.stop)
    await asyncio.to_thread(made.redis.start)
    reseeded = await _seeded_anew(made, Crowd(crowd.urls, 1, 1, _numbers=crowd._numbers))
    grams = sum(row.gco2e or 0.0 for row in await asyncio.to_thread(_rows, made.ledger_url))
    return Books(rows=rows, accounts=accounts, reseeded=reseeded, reseeded_g=grams, counted=counted, lost_at_most=lost)


def _rows(url: str) -> list[Row]:
    found = ask_ledger(url, ROWS)
    return [Row(str(call_id), request_id, gco2e, _is_capped(tags)) for call_id, request_id, gco2e, tags in found]


def _is_capped(tags: Any) -> bool:
    named = json.loads(tags) if isinstance(tags, str) else tags or {}
    return bool(named.get("campaign") == CAMPAIGN)


async def _seeded_anew(made: House, crowd: Crowd) -> State:
    """The account of all calls once a call had it seeded anew and nothing of it moves any more: some of it is sent a moment later."""
    for _ in range(MOST_LOOKS):
        await crowd.run()
        crowd.calls += 1
        seen: list[State | None] = []
        for _ in range(2 * MOST_LOOKS):
            seen.append(await _found(made, made.content["budgets"][0]))
            if len(seen) >= MOST_LOOKS and len(set(seen[-MOST_LOOKS:])) == 1 and seen[-1] is not None and not seen[-1].reserved_mg:
                return seen[-1]
            await asyncio.sleep(LOOK_S)
    raise AssertionError("no call seeds the account")


async def _found(made: House, budget: dict[str, Any]) -> State | None:
    """An account as Redis has it."""
    accounts = RedisAccounts(made.redis.url, writer="proof")
    key = Rule(Budget.model_validate(budget)).account_at(Clock().now_ms()).key
    try:
        return await accounts.look(0, key)
    finally:
        await accounts.close()


async def _account(made: House, budget: dict[str, Any]) -> State:
    found = await _found(made, budget)
    assert found is not None, budget
    return found


async def _counted(made: House, crowd: Crowd, wall: float) -> tuple[int | None, int]:
    """Calls by Prometheus's own samples, and how many it cannot have seen. Each process counts from 0 to its last sample."""
    watching = made.prometheus
    if watching is None:
        return None, 0
    now = time.perf_counter() + wall
    await eventually(lambda: all(_last(made, number, now) > now + SCRAPE_S for number in range(len(made.replicas))))
    counted, lost = 0, 0
    for replica in made.replicas:
        series = watching.samples(f'grammage_requests_total{{instance="127.0.0.1:{replica.port}"}}[1d]')
        since = 0.0
        for end in (*(each + wall for each in replica.lives), float("inf")):
            lived = [[(at, float(value)) for at, value in one["values"] if since < at <= end] for one in series]
            counted += round(sum(max((value for _, value in one), default=0.0) for one in lived))
            last = max((at for one in lived for at, _ in one), default=since)
            if end < float("inf"):
                lost += crowd.ended_at(replica.number, last - wall, end - wall)
            since = end
    return counted, lost


def _last(made: House, number: int, since: float) -> float:
    """When a replica was last scraped with success, seconds since 1970."""
    assert made.prometheus is not None
    found = made.prometheus.samples(f'timestamp(grammage_requests_total{{instance="127.0.0.1:{made.replicas[number].port}"}})')
    return max((float(one["value"][1]) for one in found), default=since)
