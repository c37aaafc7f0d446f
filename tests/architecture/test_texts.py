"""What lies in the tree: no place of this machine, no unhashed or redirected dependency, a licence for everything."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("config", "estimators", "proxy", "tests", "deploy", "docs", ".ci")
TEXTS = frozenset({".py", ".md", ".csv", ".yaml", ".yml", ".json", ".toml", ".txt", ".lock", ".mako", ".sh", ""})
PLACES = re.compile("(?<![A-Za-z0-9_.])/(?:ro" + "ot|wo" + "rk|ho" + "me/[a-z]+)/|index" + "-url|trusted" + "-host")
"""Paths of one machine and package index options; written in halves so that this file does not hold them."""


def texts() -> list[Path]:
    found = [file for file in ROOT.iterdir() if file.is_file()]
    for folder in FOLDERS:
        found += [file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return [file for file in found if file.suffix in TEXTS]


def test_no_text_names_a_place_of_one_machine() -> None:
    found = {}
    for file in texts():
        text = file.read_text(encoding="utf-8", errors="replace")
        body = "\n".join(line for line in text.splitlines() if "uv pip compile" not in line)
        if match := PLACES.search(body):
            found[file.relative_to(ROOT).as_posix()] = match[0]
    assert not found


def test_the_lock_pins_every_package_with_a_hash_and_names_no_index() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.lstrip().startswith("#")]
    pins = [line for line in lines if not line.startswith(" ")]
    assert all(re.match(r"[a-z0-9-]+==\S+.* \\$", line) for line in pins)
    assert all(line.strip().startswith("--hash=sha256:") for line in lines if line.startswith(" "))
    assert not [line for line in lines if "://" in line or line.startswith("--")]


def test_the_lock_holds_every_dependency_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wanted = {re.split(r"[<>=!~\[; ]", name, maxsplit=1)[0].lower().replace("_", "-") for name in named}
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if re.match(r"[a-z0-9]", line)}
    assert wanted <= pinned


def test_licence_and_notice_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "Electricity Maps" in (ROOT / "config/data/NOTICE").read_text()
