"""A proxy in a process of its own before the simulated provider, and drivers that run real clients against it.

It must never run a driver twice for the same checks.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.clients.environments import clean_environ, command_of, why_missing
from tests.clients.provider import AccountableProvider
from tests.contract.proxy_harness import serve_command
from tests.serving import serve

DRIVER_LIMIT_S = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the clients are pointed. `origin`: the proxy's; `provider`: what stands behind it; both without a path."""

    origin: str
    provider: str

    def environ(self, *, through: bool) -> dict[str, str]:
        """What a driver is told."""
        where = self.origin if through else self.provider
        return clean_environ(
            GRAMMAGE_TEST_ORIGIN=where,
            GRAMMAGE_TEST_CONTROL=self.provider,
            GRAMMAGE_TEST_THROUGH="1" if through else "0",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            PYTHONWARNINGS="ignore",
        )


@dataclass(slots=True)
class Drivers:
    """Runs each driver once per set of checks and keeps what its client saw."""

    stage: Stage
    _kept: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict, repr=False)

    def result(self, driver: tuple[str, ...], environment: str, names: tuple[str, ...], name: str, *, through: bool = True) -> Any:
        """One check's line; the others of `names` are run along with it."""
        key = (driver, environment, names, through)
        if key not in self._kept:
            self._kept[key] = self._run(driver, environment, names, through=through)
        lines = self._kept[key]
        assert name in lines, f"the driver ended before {name}: {lines['said']}"
        return lines[name]

    def _run(self, driver: tuple[str, ...], environment: str, names: tuple[str, ...], *, through: bool) -> dict[str, Any]:
        command, folder = command_of(driver, environment)
        done = subprocess.run(
            [*command, "--", *names],
            cwd=folder,
            env=self.stage.environ(through=through),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DRIVER_LIMIT_S,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]
        return {"said": done.stderr[-3000:], **{line["check"]: line for line in lines}}


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("clients")
    with (
        serve(AccountableProvider()) as provider,
        serve_command(folder, "--port", "0", "--upstream", f"{provider}/v1", "--log-level", "warning") as child,
    ):
        yield Stage(origin=child.proxy(folder / "grammage.db").url, provider=provider)


@pytest.fixture(scope="session")
def drivers(stage: Stage) -> Drivers:
    return Drivers(stage)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], None]:
    """Skips with the reason when an environment is not there."""

    def need(environment: str) -> None:
        if reason := why_missing(environment):
            pytest.skip(reason)

    return need
