"""Who is tried after a failure, after how long, and when a failure stands."""

from datetime import UTC, datetime

import pytest

from config.deployment import Retry
from proxy.policy.candidates import Candidate
from proxy.policy.retry import FIRST_PAUSE_S, Failure, Route, failure_of, may_repeat, rest_of
from tests.unit.test_breaker import candidate

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
ALL: tuple[Failure, ...] = ("unreached", "hung_up", "timeout", "429", "5xx")


def plan(size: int) -> tuple[Candidate, ...]:
    return tuple(candidate() for _ in range(size))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"7"}, 0.25),
        ({b"retry-after-ms": b"soon", b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({b"retry-after": b"Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({b"retry-after": b"Mon, 23 Nov 2026 12:00:30 -0000"}, None),
        ({b"retry-after": b"-3"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({b"retry-after": b"tomorrow"}, None),
        ({b"retry-after": b"\xff\xfe"}, None),
    ],
)
def test_what_an_answer_asks_for_is_read(headers: dict[bytes, bytes], seconds: float | None) -> None:
    assert rest_of(list(headers.items()), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, None), (400, None), (401, None), (403, None), (404, None), (408, None), (409, None), (422, None), (429, "429"), (431, None),
     (500, "5xx"), (503, "5xx"), (529, "5xx")],
)  # fmt: skip
def test_a_callers_own_error_is_no_failure(status: int, failure: str | None) -> None:
    assert failure_of(status) == failure


def test_an_only_deployment_is_asked_again_by_default_only_when_it_was_not_reached() -> None:
    asked = {failure: Route(plan(1), Retry()).after(failure, 0.0) is not None for failure in ALL}
    assert asked == {"unreached": True, "hung_up": False, "timeout": False, "429": False, "5xx": False}


@pytest.mark.parametrize("failure", ALL)
def test_another_deployment_is_asked_by_default_at_once_and_each_once(failure: Failure) -> None:
    row = plan(3)
    route = Route(row, Retry())
    assert [route.after(failure, 0.0, rest_s=3600), route.after(failure, 0.0), route.after(failure, 0.0)] == [
        (row[1], 0),
        (row[2], 0),
        None,
    ]
    assert route.current is row[2]


def test_only_what_is_named_is_tried_again() -> None:
    retry = Retry(on=["timeout", "429"])
    asked = {failure: Route(plan(2), retry).after(failure, 0.0) is not None for failure in ALL}
    assert asked == {"unreached": False, "hung_up": False, "timeout": True, "429": True, "5xx": False}


def test_the_number_of_attempts_is_the_limit() -> None:
    for attempts in (1, 2, 5):
        route, tries = Route(plan(2), Retry(attempts=attempts, longest_wait_s=120)), 1
        while route.after("429", 0.0) is not None:
            tries += 1
        assert tries == route.tried == attempts


def test_the_same_deployment_is_given_the_rest_that_it_asked_for_within_the_longest_wait() -> None:
    row, retry = plan(1), Retry(on=["429"], longest_wait_s=5)
    assert Route(row, retry).after("429", 0.0, rest_s=5.0) == (row[0], 5.0)
    assert Route(row, retry).after("429", 0.0, rest_s=5.1) is None
    assert Route(row, retry).after("429", 0.0, rest_s=1.0, repeats=False) is None


def test_without_a_word_the_pauses_double_within_the_longest_wait() -> None:
    row = plan(1)
    route = Route(row, Retry(on=["5xx"], attempts=5, longest_wait_s=0.6))
    assert [route.after("5xx", 0.0) for _ in range(5)] == [(row[0], FIRST_PAUSE_S), (row[0], 0.5), (row[0], 0.6), (row[0], 0.6), None]
    assert Route(row, Retry(on=["5xx"], longest_wait_s=0)).after("5xx", 0.0) == (row[0], 0.0)


def test_when_the_plan_begins_again_the_rest_counts_from_when_it_was_asked_for() -> None:
    row = plan(2)
    route = Route(row, Retry(on=["429"], attempts=4))
    assert route.after("429", 100.0, rest_s=4.0) == (row[1], 0.0)
    assert route.after("429", 101.0, rest_s=60.0) == (row[0], 3.0)
    assert route.after("429", 104.0, rest_s=1.0) is None


def test_an_answer_may_say_that_asking_again_is_of_no_use() -> None:
    assert may_repeat([(b"x-should-retry", b"true")])
    assert may_repeat([])
    assert not may_repeat([(b"x-should-retry", b" False ")])
