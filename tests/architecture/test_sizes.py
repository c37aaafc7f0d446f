"""Files and functions stay small, and public estimators say what they return."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "estimators", "proxy")
SOFT_FILE_LINES = 300
HARD_FILE_LINES = 450
HARD_FUNCTION_LINES = 60
BANNED_NAMES = frozenset({"utils.py", "helpers.py", "common.py", "misc.py"})

LONG_FILES: dict[str, str] = {}
"""Path: why it may exceed the hard cap."""

LONG_FUNCTIONS: dict[str, str] = {}
"""path::function: why it may exceed the cap."""


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        name = getattr(node, "name", "")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + name, node
        yield from functions(node, f"{prefix}{name}." if name else prefix)


def test_no_file_exceeds_the_hard_cap() -> None:
    lengths = {name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for file in sources(*ROOMS, "deploy", "tests")}
    long = {name: lines for name, lines in lengths.items() if lines > HARD_FILE_LINES}
    for name, lines in lengths.items():
        if lines > SOFT_FILE_LINES:
            print(f"{name} has {lines} lines; above {SOFT_FILE_LINES} it is time to think of two rooms")
    assert set(long) == set(LONG_FILES), f"too long, or a waiver that is not needed any more: {long}"


def test_no_function_exceeds_the_cap() -> None:
    long = {
        f"{name_of(file)}::{name}": lines
        for file in sources(*ROOMS, "deploy", "tests")
        for name, node in functions(ast.parse(file.read_text(encoding="utf-8")))
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > HARD_FUNCTION_LINES
    }
    assert set(long) == set(LONG_FUNCTIONS), f"too long, or a waiver that is not needed any more: {long}"


@pytest.mark.parametrize("waivers", [LONG_FILES, LONG_FUNCTIONS])
def test_a_waiver_has_a_reason(waivers: dict[str, str]) -> None:
    assert all(len(reason) > 20 for reason in waivers.values())


def test_no_file_has_a_name_that_means_nothing() -> None:
    assert not [name_of(file) for file in sources(*ROOMS, "deploy", "tests") if file.name in BANNED_NAMES]


def test_every_file_says_what_it_is_for() -> None:
    texts = {name_of(file): file.read_text(encoding="utf-8") for file in sources(*ROOMS, "deploy", "tests")}
    assert not [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]


def test_every_public_function_of_the_estimators_has_a_docstring() -> None:
    silent = [
        f"{name_of(file)}::{name}"
        for file in sources("estimators")
        for name, node in functions(ast.parse(file.read_text(encoding="utf-8")))
        if not any(part.startswith("_") for part in name.split(".")) and ast.get_docstring(node) is None
    ]
    assert not silent
