"""What every Python driver shares: it runs the named checks and prints one JSON line each. It must never import a client.

A check raises when its client is not served as the provider alone would serve it, and returns what it saw, so that a run through the
proxy can be compared with a run without.
"""

import asyncio
import inspect
import json
import os
import time
import traceback
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, overload

ORIGIN = os.environ.get("GRAMMAGE_TEST_ORIGIN", "")
"""Where the client is pointed, without a path."""

CONTROL = os.environ.get("GRAMMAGE_TEST_CONTROL", "")
"""The provider's own account of what reached it."""

THROUGH = os.environ.get("GRAMMAGE_TEST_THROUGH", "1") == "1"
"""Whether a proxy stands between."""

BASE = f"{ORIGIN}/v1"
KEY = "sk-caller-0123456789"
WAIT_S = 8.0
TEXT = "D\u00e9cris ce pull en m\u00e9rinos \u2014 doux \U0001f9f6, \u65e5\u672c\u8a9e"
Run = TypeVar("Run", bound=Callable[..., Any])
Raised = TypeVar("Raised", bound=Exception)
_CHECKS: dict[str, Callable[[], Any]] = {}


@overload
def check(run: Run, /) -> Run: ...
@overload
def check(*cases: str | bool) -> Callable[[Run], Run]: ...
def check(*cases: Any) -> Any:
    """Marks a check; with cases, one check a case, which the function gets."""
    if len(cases) == 1 and callable(cases[0]):
        _CHECKS[cases[0].__name__] = cases[0]
        return cases[0]

    def mark(function: Run) -> Run:
        _CHECKS.update({f"{function.__name__}[{case}]": partial(function, case) for case in cases})
        return function

    return mark


long_check = check
"""As `check`; it takes seconds."""


def run(names: list[str]) -> None:
    """Runs the named checks, all without names, on one event loop: some clients keep a connection pool for good."""
    with asyncio.Runner() as runner:
        for name in names or list(_CHECKS):
            print(json.dumps(_line(name, runner), default=str), flush=True)


def _line(name: str, runner: asyncio.Runner) -> dict[str, Any]:
    try:
        saw = _CHECKS[name]()
        return {"check": name, "ok": True, "saw": runner.run(saw) if inspect.iscoroutine(saw) else saw}
    except Exception as error:  # noqa: BLE001 - a driver reports whatever its client raises
        return {"check": name, "ok": False, "error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-3000:]}


def raised(kind: type[Raised] | tuple[type[Raised], ...], call: Callable[[], Any]) -> Raised:
    """The error that a call ends in; fails when it ends otherwise."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind}")


async def raised_later(kind: type[Raised], call: Callable[[], Awaitable[Any]]) -> Raised:
    """The error that an asynchronous call ends in; fails when it ends otherwise."""
    try:
        await call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind}")


def fault(name: str) -> dict[str, str]:
    """The header that orders a fault from the simulated provider."""
    return {"x-simulate-fault": name}


def control(path: str) -> Any:
    """What the provider says of itself."""
    with urllib.request.urlopen(f"{CONTROL}/control/{path}", timeout=10) as reply:
        return json.load(reply)


def last_seen() -> Any:
    """The newest request that reached the provider: method, path, query, headers and body (text)."""
    return control("seen")[-1]


def left() -> int:
    """How many requests were given up before their answer ended."""
    count: int = control("left")
    return count


def leaves_after(before: int) -> None:
    """Fails unless the provider learns soon that one more client has left."""
    until = time.monotonic() + WAIT_S
    while left() <= before:
        if time.monotonic() > until:
            raise AssertionError("the provider was not told that the client had left")
        time.sleep(0.02)


def fetch(path: str) -> Any:
    """Any JSON of the proxy."""
    request = urllib.request.Request(ORIGIN + path, headers={"authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def weighed(usage: Any) -> None:
    """Fails unless a usage, whatever its type, carries the footprint just when a proxy stands between."""
    found = usage.get("footprint") if isinstance(usage, dict) else getattr(usage, "footprint", None)
    if not THROUGH:
        assert found is None, f"a footprint without a proxy: {found}"
        return
    assert found, f"no footprint in {usage}"
    grams = found["gco2e"] if isinstance(found, dict) else found.gco2e
    assert grams > 0


def headed(headers: Any, *, basis: str | None = None) -> None:
    """Fails unless response headers carry the footprint just when a proxy stands between."""
    names = {str(name).lower() for name in headers}
    assert ("x-grammage-gco2e" in names) == THROUGH, sorted(names)
    if THROUGH and basis:
        assert headers["x-grammage-basis"] == basis
    assert str(headers["x-request-id"]).startswith("req_")


def recorded(call_id: str) -> Any:
    """The final record of a call; None without a proxy."""
    if not THROUGH:
        return None
    record = fetch(f"/v1/footprint/{call_id}")
    assert record["status"] == "final"
    return record
