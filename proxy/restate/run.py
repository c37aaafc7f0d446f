"""Fills a named set of estimates, batch by batch. It must never weigh an attempt twice, nor stop halfway without a way to go on."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.explain import closest
from estimators.choose import known_methods, named
from proxy.errors import StartError
from proxy.ledger.set_ledger import SetLedger
from proxy.ledger.set_store import Opinion, SetTerms
from proxy.ledger.weighed_past import BATCH_CALLS, Period, WeighedPast
from proxy.restate.again import Restater, Unweighable

STUDY: Final = "study"
LIVE: Final = "live"
"""Stands for the opinions that count; no set may be called so."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,63}")


@dataclass(slots=True)
class Restated:
    """What was done so far: calls gone through, attempts weighed, found in the set already, and not weighable, by reason."""

    calls: int = 0
    reweighed: int = 0
    already_there: int = 0
    unweighable: Counter[str] = field(default_factory=Counter)


def method_for_sets(method: str | None) -> str | None:
    """The method, where a set may be weighed by it alone. Raises StartError."""
    if method is None:
        return None
    if method == STUDY:
        raise StartError("method study is a reconstruction to compare with; it is refused as a method of reporting")
    if method not in known_methods():
        raise StartError(f"there is no method {method!r}{closest(method, known_methods())}; known: {', '.join(known_methods())}")
    try:
        named(method).version  # noqa: B018  # a method whose library is missing says so here
    except (ValueError, ImportError) as error:
        raise StartError(f"method {method!r} cannot be used: {error}") from error
    return method


def set_name(given: str | None, factor_set: str, method: str | None) -> str:
    """The set's name: as given, else the factor set's stamp, with the method where one is named. Raises StartError."""
    name = given if given is not None else factor_set if method is None else f"{factor_set}@{method}"
    if name == LIVE or not _NAME.fullmatch(name):
        raise StartError(f"--set {name!r} is no name for a set: letters, digits and . _ + @ - (at most 64), and not `{LIVE}`")
    return name


def begin(ledger: SetLedger, name: str, terms: SetTerms) -> None:
    """Makes sure that the set is of these terms. Raises StartError where it was begun with others: a set is never mixed."""
    kept = ledger.claim(name, terms)
    if kept != terms:
        by = f"factor set {kept.factor_set}" + (f" and method {kept.method}" if kept.method else "")
        raise StartError(f"the set {name!r} holds estimates by {by}; name another one with --set")


def restate(
    ledger: SetLedger, period: Period, name: str, restater: Restater, now_ms: Callable[[], int], batch_calls: int = BATCH_CALLS
) -> Generator[Restated, None, None]:
    """Weighs every attempt of the period that the set does not hold yet; tells how far it is after each batch, which is kept then."""
    done = Restated()
    for calls, batch in ledger.batches(period, estimate_set=name, batch_calls=batch_calls):
        ledger.add(name, _opinions(batch, restater, done), now_ms())
        done.calls += calls
        yield done


def _opinions(batch: Sequence[WeighedPast], restater: Restater, done: Restated) -> list[Opinion]:
    found = []
    for past in batch:
        if past.is_in_set:
            done.already_there += 1
            continue
        weighed = restater.weigh(past)
        if isinstance(weighed, Unweighable):
            done.unweighable[weighed.reason] += 1
            continue
        done.reweighed += 1
        found.append(Opinion(past.call_id, past.attempt_id, weighed))
    return found
