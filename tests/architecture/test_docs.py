"""What people can use is written down: commands, headers, error codes; and what code names exists in the tables."""

import re
from pathlib import Path

import proxy.errors
from config.tables import load_tables
from proxy.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HEADER = re.compile(r"x-grammage-[a-z0-9]+(?:-[a-z0-9]+)*")
ERRORS = [kind for kind in vars(proxy.errors).values() if isinstance(kind, type) and issubclass(kind, proxy.errors.GrammageError)]
RAISED = re.compile(rf"\b(?:{'|'.join(kind.__name__ for kind in ERRORS)})\((?:(?!\b(?:raise|return|def)\b).)*?code=\"(\w+)\"", re.DOTALL)
DRAWN = re.compile(r"\b\d{3}  ([a-z_, \n│]+)")
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


def test_every_error_code_is_drawn_and_documented() -> None:
    drawn = {code for group in DRAWN.findall(proxy.errors.__doc__ or "") for code in re.findall(r"[a-z_]+", group)}
    raised = set(RAISED.findall(code("proxy")))
    assert {"invalid_type", "upstream_broke"} <= raised
    assert sorted((raised | {kind.code for kind in ERRORS}) - drawn) == [
        "bad_request",
        "not_found",
    ]  # of no error that is raised: each of them has a code of its own
    page = (ROOT / "proxy" / "ENDPOINTS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|ending)`", page.partition("## Errors of the proxy")[2]))
    assert sorted(drawn) == sorted(named)


def test_every_make_target_of_the_help_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    promised = set(re.findall(r'@echo "make (\w+)', makefile))
    assert promised == set(re.findall(r"^(\w+):", makefile, re.MULTILINE)) - {"help"}


def test_every_factor_that_code_names_is_in_the_table() -> None:
    named = set(FACTOR.findall(code("estimators", "proxy")))
    assert named
    assert not sorted(named - set(load_tables().factors))
