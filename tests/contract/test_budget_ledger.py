"""What the ledger tells of a budget's period, on each database: whose calls, retags, pins, and figures that were made anew."""

import pytest

from config.budgets import Budget
from proxy.budgets.history import UNKNOWN_MG, History, Pin, open_account, read_account
from proxy.budgets.rule import Rule
from proxy.call import PENDING, CallRecord
from proxy.ledger.columns import SCOPES
from proxy.ledger.store import Store
from tests.contract.ledger_rows import change_ledger, repeat_opinions
from tests.contract.ledgers import STARTED_MS, record
from tests.sample_records import attempt, estimate

HOUR = 3_600_000
NOW = STARTED_MS // HOUR * HOUR
PIN = Pin(method="tokens@1.0.0", factor_set="f00d")
TAGS = (("campaign", "noel-26"), ("work-kind", "sheet"))


def rule_of(**changes: object) -> Rule:
    return Rule(Budget.model_validate({"name": "b", "match": {"campaign": "noel-26"}, "limit_kgco2e": 1, "period": "hour"} | changes))


def made(number: int, grams: float = 0.1, started_ms: int = NOW, **changes: object) -> CallRecord:
    found = estimate(**changes.pop("estimate", {}))  # type: ignore[arg-type]  # changes of an estimate by name
    weighed = found._replace(gco2e=found.gco2e._replace(p50=grams / found.gco2e.mean * found.gco2e.p50))
    attempts = (attempt(attempt_id=f"a-{number}", estimate=weighed),)
    own = {"call_id": f"c-{number}", "started_ms": started_ms, "tags": TAGS, "attempts": attempts}
    return record(number, **(own | changes))


def counted(store: Store, rule: Rule, at_ms: int = NOW, pin: Pin = PIN) -> History:
    return open_account(store.budgets(), rule, rule.account_at(at_ms), pin)


def write(store: Store, *records: CallRecord) -> None:
    store.open_writer("commit")
    store.write(records)


change = change_ledger


def test_calls_of_the_period_with_all_tags_and_a_key_are_summed(store: Store) -> None:
    write(
        store,
        made(1, 0.5, NOW - 1),
        made(2, 0.1),
        made(3, 0.2, NOW + HOUR - 1),
        made(4, 0.5, NOW + HOUR),
        made(5, 0.5, tags=(("campaign", "soldes-27"), ("work-kind", "sheet"))),
        made(6, 0.5, tags=()),
        made(7, 0.5, tags=(("campaign", "noel-26"),)),
        made(8, 0.5, caller_id="other"),
    )
    rule = rule_of(keys=["team-a", "team-b"], match={"campaign": ["noel-26", "noel-27"], "work-kind": "sheet"})
    assert counted(store, rule).used_mg == 300
    assert counted(store, rule_of(match={}, period="all")).used_mg == pytest.approx(3300, abs=1)


def test_the_newest_retag_of_a_call_or_of_the_one_that_began_it_says_whose_it_is(store: Store, url: str) -> None:
    late = made(3, 0.4, origin_call_id="c-1")
    write(store, made(1, 0.1), made(2, 0.2), late)
    for created_ms, value in ((1, "noel-26"), (2, "x")):
        retag = "INSERT INTO retags (call_id, name, created_ms, value) VALUES (:call_id, 'campaign', :created_ms, :value)"
        change(url, retag, call_id="c-1", created_ms=created_ms, value=value)
    assert counted(store, rule_of()).used_mg == 200
    assert counted(store, rule_of(name="x", match={"campaign": "x"})).used_mg == 500


def test_what_a_period_is_pinned_to_stays_and_what_was_counted_otherwise_is_told(store: Store) -> None:
    first = counted(store, rule_of())
    write(store, made(1, 0.1), made(2, 0.2, estimate={"factor_set": "beef"}), made(3, 0.4, estimate={"method_version": "2.0.0"}))
    newer = Pin(method="tokens@2.0.0", factor_set="beef")
    later = counted(store, rule_of(), pin=newer)
    assert (first.pin, first.used_mg, first.drift_mg) == (PIN, 0, 0)
    assert (later.pin, later.used_mg, later.drift_mg, later.attempts) == (PIN, 700, 600, 3)
    assert counted(store, rule_of(), NOW + HOUR, newer).pin == newer
    assert counted(store, rule_of(name="own", method="tokens", factor_set="f00d")).drift_mg == 200


def test_figures_made_anew_move_nothing_unless_they_are_by_the_pinned_factors(store: Store, url: str) -> None:
    counted(store, rule_of())
    write(store, made(1, 0.1), made(2, 0.2, estimate={"factor_set": "beef"}))
    for number, factor_set in ((1, "beef"), (2, "f00d")):
        five = {"gco2e": 5.0, "gco2e_p50": 5.0, **{f"gco2e_var_{scope}": 0.0 for scope in SCOPES}}
        later = {"estimate_id": f"anew-{number}", "factor_set": factor_set, "created_ms": lambda row: row["created_ms"] + 1000}
        repeat_opinions(url, f"c-{number}", **later, **five)
    assert counted(store, rule_of()).used_mg == 100 + 5000


def test_an_attempt_that_could_not_be_weighed_counts_as_an_average_one(store: Store) -> None:
    unweighed = attempt(attempt_id="u", estimate=None, unweighed_reason="weighing_failed")
    nothing = [attempt(attempt_id=reason, estimate=None, unweighed_reason=reason) for reason in ("not_generated", PENDING, "unmetered")]
    write(store, made(1, attempts=(unweighed,)), *(made(10 + at, attempts=(each,)) for at, each in enumerate(nothing)))
    alone = counted(store, rule_of())
    assert (alone.used_mg, alone.unweighed, alone.attempts) == (UNKNOWN_MG, 1, 0)
    write(store, made(2, 0.1), made(3, 0.3))
    assert counted(store, rule_of()).used_mg == 600


def test_whoever_only_looks_pins_nothing(store: Store) -> None:
    rule = rule_of()
    assert read_account(store.budgets(), rule, rule.account_at(NOW)).pin is None
    counted(store, rule)
    assert read_account(store.budgets(), rule, rule.account_at(NOW)).pin == PIN
