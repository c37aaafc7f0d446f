"""Whether a run adds up, and its table. It must never soften a rule for a run that breaks it."""

from collections import Counter

from tests.replicas.crowd import Tried
from tests.replicas.proof import Run, percentile
from tests.replicas.provider import Try

NEAR_S = 10.0
"""A client hears of a kill so soon: a connection that is reset tells it at once, one that is not times out in the proxy's stead."""

SEED_S = 0.25
"""What ends in so long a time around a seed may be counted twice, so that nothing is forgotten: 50 ms, and more on a busy machine."""

MOST_MG = 4
"""Of an account, what is below a milligram in each process."""

MG_PER_G = 1000


def check(run: Run) -> None:
    """Fails, naming calls, where a rule is broken."""
    _check_ledger(run)
    _check_kills(run)
    _check_budgets(run)
    _check_prometheus(run)


def _completed(run: Run) -> dict[Try, Tried]:
    return {who: tried for who, tried in run.crowd.tries.items() if tried.outcome == "completed"}


def _check_ledger(run: Run) -> None:
    """Every call that was completed at a client is in the ledger once, weighed, with the provider's own number."""
    rows, completed = run.books.rows, _completed(run)
    assert len(completed) + sum(tried.outcome == "refused" for tried in run.crowd.tries.values()) >= run.crowd.calls
    assert not [one for one, count in Counter(row.call_id for row in rows).items() if count > 1], "calls that are there twice"
    assert not [one for one, count in Counter(row.request_id for row in rows).items() if count > 1], "answers that were recorded twice"
    kept = {row.call_id: row for row in rows}
    missing = [tried for tried in completed.values() if tried.call_id not in kept]
    assert not missing, f"{len(missing)} completed answers are not in the ledger: {missing[:5]}"
    assert not [tried for tried in completed.values() if kept[tried.call_id].request_id != tried.request_id]
    assert all(row.gco2e is not None for row in rows)
    assert all(row.request_id in run.provider.answered for row in rows), "calls that the provider knows nothing of"


def _check_kills(run: Run) -> None:
    """What the provider answered is in the ledger, but for what a killed replica had not recorded yet: no client got any of that whole."""
    tries, kept = run.crowd.tries, {row.request_id for row in run.books.rows}
    unrecorded = [tries[who] for number, who in run.provider.answered.items() if number not in kept and who in tries]
    incomplete = [tries[run.provider.answered[number]] for number in kept if number and run.provider.answered[number] in tries]
    for tried in (*unrecorded, *(each for each in incomplete if each.outcome != "completed")):
        assert tried.outcome == "cut", tried
        assert any(tried.replica == replica and -1 < tried.ended - at < NEAR_S for replica, at in run.kills), tried
    assert len(unrecorded) <= run.crowd.concurrency * len(run.kills)


def _check_budgets(run: Run) -> None:
    """An account is as the ledger, but for calls that ended around a kill; seeded anew it is exact. A limit is kept."""
    books, seeded = run.books, SEED_S * len(run.crowd.done) / run.took_s
    unsure = run.crowd.concurrency * len(run.windows) + seeded
    total_g = sum(row.gco2e or 0.0 for row in books.rows)
    each_g = total_g / len(books.rows)
    account = books.accounts["everything"]
    assert abs(account.used_mg / MG_PER_G - total_g) <= unsure * each_g, (account, total_g)
    assert abs(books.reseeded.used_mg - books.reseeded_g * MG_PER_G) <= MOST_MG, (books.reseeded, books.reseeded_g)
    capped_g = sum(row.gco2e or 0.0 for row in books.rows if row.capped)
    assert run.limit_g - unsure * each_g < capped_g <= run.limit_g + run.crowd.concurrency * each_g, (capped_g, run.limit_g)


def _check_prometheus(run: Run) -> None:
    """Counters are never above the ledger, and below it by what ended between a replica's last scrape and its end at most."""
    counted, rows = run.books.counted, len(run.books.rows)
    if counted is not None:
        assert rows - run.books.lost_at_most <= counted <= rows, (counted, rows, run.books.lost_at_most)


def table(run: Run) -> str:
    """The run in numbers."""
    return "\n".join((*_sums(run), "", *_times(run)))


def _sums(run: Run) -> list[str]:
    rows, tries = run.books.rows, run.crowd.tries
    outcomes = Counter(tried.outcome for tried in tries.values())
    kept = {row.request_id for row in rows}
    cut = sum(number not in kept and who in tries for number, who in run.provider.answered.items())
    total_g, capped_g = sum(row.gco2e or 0 for row in rows), sum(row.gco2e or 0 for row in rows if row.capped)
    account, spent = run.books.accounts["everything"], run.books.accounts["capped"]
    counted = run.books.counted
    scraped = "no Prometheus here" if counted is None else f"{counted} ({counted - len(rows)}; at most {run.books.lost_at_most} unseen)"
    facts = {
        "calls at clients": f"{len(run.crowd.done)} in {run.took_s:.0f} s, {run.crowd.concurrency} at a time",
        "completed / refused by the budget": f"{outcomes['completed']} / {outcomes['refused']}",
        "tries not reached / turned away / cut": f"{outcomes['unreached']} / {outcomes['turned_away']} / {outcomes['cut']}",
        "answered by the provider": f"{sum(who in tries for who in run.provider.answered.values())}",
        "in the ledger": f"{len(rows)}",
        "answered, cut by a kill, in no ledger": f"{cut}",
        "in the ledger, cut at the client by a kill": f"{len(rows) - outcomes['completed']}",
        "counted by Prometheus": scraped,
        "ledger / account": f"{total_g:.3f} g / {account.used_mg / MG_PER_G:.3f} g",
        "the same after Redis forgot": f"{run.books.reseeded_g:.3f} g / {run.books.reseeded.used_mg / MG_PER_G:.3f} g",
        "capped: limit / ledger / account": f"{run.limit_g:.3f} g / {capped_g:.3f} g / {spent.used_mg / MG_PER_G:.3f} g",
    }
    return [f"{name:<44}{told}" for name, told in facts.items()]


def _times(run: Run) -> list[str]:
    spans = [("calm", [done.took_s for done in run.crowd.done if not _within(run, done.began)])]
    spans += [
        (
            f"{window.name} ({window.ended - window.began:.0f} s)",
            [d.took_s for d in run.crowd.done if window.began <= d.began <= window.ended],
        )
        for window in run.windows
    ]
    head = f"{'ms per call, tries and waits included':<44}{'calls':>8}{'p50':>8}{'p99':>8}{'most':>8}"
    return [
        head,
        *(
            f"{name:<44}{len(took):>8}" + "".join(f"{1000 * percentile(took, share):>8.0f}" for share in (0.5, 0.99, 1.0))
            for name, took in spans
        ),
    ]


def _within(run: Run, began: float) -> bool:
    return any(window.began <= began <= window.ended for window in run.windows)
