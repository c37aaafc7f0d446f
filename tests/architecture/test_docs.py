"""What people can use is written down: commands, headers, error codes; and what code names exists in the tables."""

import re
from pathlib import Path

from config.tables import load_tables
from proxy.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HEADER = re.compile(r"x-grammage-[a-z0-9]+(?:-[a-z0-9]+)*")
FACTOR = re.compile(r"""factors\[\s*["']([a-z0-9_.]+)["']\s*\]""")


def code(*folders: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))


def pages() -> str:
    files = [*ROOT.glob("*.md"), *(ROOT / "proxy").glob("*.md"), *(ROOT / "config").glob("*.md")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.name != "CHANGELOG.md")


def test_every_command_is_documented() -> None:
    assert not [command for command in COMMANDS if f"grammage {command}" not in pages()]


def test_every_header_is_documented() -> None:
    named = set(HEADER.findall(code("proxy")))
    assert named
    assert not sorted(named - set(HEADER.findall(pages())))


def test_every_make_target_of_the_help_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    promised = set(re.findall(r'@echo "make (\w+)', makefile))
    assert promised == set(re.findall(r"^(\w+):", makefile, re.MULTILINE)) - {"help"}


def test_every_factor_that_code_names_is_in_the_table() -> None:
    named = set(FACTOR.findall(code("estimators", "proxy")))
    assert named
    assert not sorted(named - set(load_tables().factors))
