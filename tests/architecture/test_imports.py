"""The floors hold, and a start stays light: what a command does not need it does not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "aiohttp",
    "alembic",
    "ecologits",
    "litellm",
    "numpy",
    "openai",
    "prometheus_client",
    "rich",
    "splintr",
    "sqlalchemy",
    "tokenizers",
)


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_command_line_imports_no_vendor() -> None:
    assert not loaded_by("import proxy.cli.main").intersection(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_imports_no_vendor(command: str) -> None:
    assert not loaded_by(f"import {COMMANDS[command].target.partition(':')[0]}").intersection(HEAVY)


def test_the_settings_and_tables_import_no_vendor() -> None:
    assert not loaded_by("import config.load, config.tables, estimators").intersection(HEAVY)


@pytest.mark.parametrize(
    "module", ["alembic", "ecologits", "litellm", "numpy", "openai", "opentelemetry", "rich", "splintr", "sqlalchemy", "tokenizers"]
)
def test_the_server_does_not_import(module: str) -> None:
    assert module not in loaded_by("import proxy.app")
