"""A breaker opens after failures in a row, lets one call probe, and closes when that is answered; the clock is handed in."""

from dataclasses import replace

import pytest

from config.deployment import Breaker as Rule
from config.deployment import Deployment, Retry, Timeouts
from config.tables import load_tables
from proxy.policy.breaker import LONGEST_COOLING_S, MOST_PAUSES, Breaker, Breakers
from proxy.policy.candidates import Candidate

RULE = Rule(failures=3, pause_s=10)


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(RULE)
    for _ in range(RULE.failures):
        breaker.failed(at)
    return breaker


def candidate(rule: Rule = RULE) -> Candidate:
    place = load_tables().places.resolve("openai")
    return Candidate(
        pattern="a", deployment=Deployment(provider="openai"), provider="openai", model=None, base_url="", api_key=None, weigh_as=None,
        place=place, bases={}, retry=Retry(), breaker=rule, timeouts=Timeouts(),
    )  # fmt: skip


def test_fewer_failures_than_the_rule_says_leave_it_closed() -> None:
    breaker = Breaker(RULE)
    for _ in range(RULE.failures - 1):
        breaker.failed(100.0)
    assert breaker.state(100.0) == "closed"


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker(RULE)
    for _ in range(10):
        breaker.failed(100.0)
        breaker.failed(100.0)
        breaker.succeeded()
    assert breaker.state(100.0) == "closed"


def test_failures_in_a_row_open_it_for_the_pause() -> None:
    breaker = opened(100.0)
    assert [breaker.state(now) for now in (100.0, 109.9, 110.0)] == ["open", "open", "half_open"]


def test_the_call_that_probes_keeps_others_away_until_it_tells() -> None:
    breaker = opened(100.0)
    breaker.trying(110.0)
    assert breaker.state(110.0) == "open"
    breaker.succeeded()
    assert breaker.state(110.0) == "closed"
    breaker.failed(111.0)
    assert breaker.state(111.0) == "closed"


def test_a_probe_that_never_tells_makes_way_for_another_after_the_pause() -> None:
    breaker = opened(100.0)
    breaker.trying(110.0)
    assert [breaker.state(now) for now in (119.9, 120.0)] == ["open", "half_open"]


def test_a_failed_probe_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now, pauses = opened(0.0), 10.0, []
    for _ in range(6):
        breaker.trying(now)
        breaker.failed(now)
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
    assert pauses == [20.0, 40.0, 80.0, 80.0, 80.0, 80.0]
    assert max(pauses) == RULE.pause_s * MOST_PAUSES
    breaker.trying(now)
    breaker.succeeded()
    for _ in range(RULE.failures):
        breaker.failed(now)
    assert breaker.open_until - now == RULE.pause_s


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_the_pause() -> None:
    breaker = opened(100.0)
    for late in (101.0, 105.0, 109.0):
        breaker.failed(late)
    assert breaker.state(110.0) == "half_open"


def test_no_number_of_failures_opens_one_that_is_switched_off() -> None:
    breaker = Breaker(Rule(failures=0))
    for _ in range(1000):
        breaker.failed(1.0)
    assert breaker.state(1.0) == "closed"


@pytest.mark.parametrize(("rest_s", "kept_s"), [(3.0, 3.0), (9999.0, LONGEST_COOLING_S)])
def test_a_rest_that_was_asked_for_is_kept_and_bounded_and_no_answer_ends_it(rest_s: float, kept_s: float) -> None:
    breaker = Breaker(RULE)
    breaker.cool(100.0, rest_s)
    breaker.succeeded()
    assert [breaker.state(100.0 + kept_s - 0.1), breaker.state(100.0 + kept_s)] == ["open", "closed"]


def test_those_passed_over_go_to_the_end_of_the_plan_and_stay_in_it() -> None:
    breakers, (a, b, c) = Breakers(), (candidate(), candidate(), candidate())
    assert breakers.ranked((a, b, c), 0.0) == (a, b, c)
    for _ in range(RULE.failures):
        breakers.of(a).failed(0.0)
    assert breakers.ranked((a, b, c), 1.0) == (b, c, a)
    assert breakers.ranked((a,), 1.0) == (a,)
    assert breakers.ranked((a, b, c), 10.0) == (a, b, c)
    breakers.of(a).trying(10.0)
    assert breakers.ranked((a, b, c), 10.0) == (b, c, a)


def test_equal_deployments_have_breakers_of_their_own() -> None:
    breakers, a = Breakers(), candidate()
    twin = replace(a)
    assert breakers.of(a) is breakers.of(a)
    assert breakers.of(a) is not breakers.of(twin)
    for _ in range(RULE.failures):
        breakers.of(twin).failed(0.0)
    assert [passed_over for _, passed_over in breakers.passings(1.0)] == [False, True]
