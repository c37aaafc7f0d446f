"""Clients that cannot be fetched are skipped with a reason, and what is there is not fetched again."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import FAILED, HERE, IMPACT, INSTALLED, NODE, PYTHONS, why_missing
from tests.clients.install import install

PINS = "requirements-openai3.txt"


def unreachable(home: Path, pins: Path) -> None:
    raise subprocess.CalledProcessError(1, ["pip"], stderr="looking for it\nERROR: no network\n")


def test_what_cannot_be_fetched_leaves_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not install(tmp_path / "openai3", PINS, unreachable)
    assert (tmp_path / "openai3" / FAILED).read_text() == "ERROR: no network"
    assert "no network" in (why_missing("openai3", tmp_path) or "")
    assert "their tests will be skipped" in capsys.readouterr().err


def test_what_never_was_fetched_is_told_apart(tmp_path: Path) -> None:
    assert "never installed" in (why_missing("openai3", tmp_path) or "")
    assert "make setup" in (why_missing("openai3", tmp_path) or "")


def test_what_is_there_is_not_fetched_again_until_its_pins_change(tmp_path: Path) -> None:
    home = tmp_path / "openai3"
    fetched = []
    for _ in range(2):
        assert install(home, PINS, lambda home, pins: fetched.append(pins.name))
    assert why_missing("openai3", tmp_path) is None
    (home / INSTALLED).write_text("older pins")
    assert install(home, PINS, lambda home, pins: fetched.append(pins.name))
    assert fetched == [PINS, PINS]


@pytest.mark.parametrize("pins", PYTHONS.values())
def test_python_pins_have_hashes_and_name_no_place(pins: str) -> None:
    text = (HERE / pins).read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert all(re.match(r"[a-z0-9-]+(\[.+\])?==\S+.* \\$|    --hash=sha256:", line) for line in lines)
    assert "://" not in text


@pytest.mark.parametrize("environment", [NODE, IMPACT])
def test_node_pins_have_hashes_and_name_no_place(environment: str) -> None:
    packages = json.loads((HERE / environment / "package-lock.json").read_text())["packages"]
    assert all(package["integrity"].startswith("sha512-") for name, package in packages.items() if name)
    assert not [name for name, package in packages.items() if "resolved" in package]
