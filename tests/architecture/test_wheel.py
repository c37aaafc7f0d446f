"""The wheel: built, installed in a clean environment, and run from a folder whose files bear our names."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.cli.probe import ask

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("config", "estimators", "proxy", "pyproject.toml", "README.md", "LICENSE")
HOSTILE = ("config.py", "estimators.py", "proxy.py")


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=_environ(), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GRAMMAGE", "PIP_", "COV"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out, source)
    return next(out.glob("grammage-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a clean environment. Dependencies are those of this one, by a .pth file: only our files are on trial."""
    home = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", "--no-index", wheel)
    site = next((home / "lib").glob("python*/site-packages"))
    paths = sysconfig.get_paths()
    (site / "dependencies.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
    return home / "bin"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    for name in HOSTILE:
        (tmp_path / name).write_text("raise SystemExit('a file of the working folder was imported')\n")
    return tmp_path


@contextmanager
def served(command: Path, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command's proxy on a free port, as (address, process)."""
    process = subprocess.Popen([command, "serve", "--port", "0"], cwd=cwd, env=_environ(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "listens on " in line:
                yield line.split("listens on ")[1].strip().removesuffix("/v1"), process
                break
        else:
            pytest.fail("the proxy did not start: " + "".join(lines))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        process.stderr.close()


def test_the_wheel_holds_every_data_file_and_no_test(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [file for folder in ("config", "estimators", "proxy") for file in (ROOT / folder).rglob("*") if file.is_file()]
    wanted = {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}
    assert not wanted - names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"config", "estimators", "proxy"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/config/data/NOTICE") for name in names)


def test_the_installed_commands_use_the_wheel_and_nothing_else(installed: Path, hostile: Path) -> None:
    (hostile / "c.yaml").write_text("server: {listen: '127.0.0.1:0'}\n")
    found = {
        row["check"]: row
        for row in json.loads(run(installed / "grammage", "doctor", "-c", "c.yaml", "--format", "json", cwd=hostile).stdout)
    }
    assert {row["state"] for row in found.values()} == {"ok"}
    assert str(installed.parent) in found["packages"]["detail"]
    run(installed / "grammage", "init", cwd=hostile)
    run(installed / "grammage", "check-config", "grammage.yaml", cwd=hostile)


def test_the_installed_proxy_starts_beside_hostile_files_answers_and_ends(installed: Path, hostile: Path) -> None:
    with served(installed / "grammage", hostile) as (url, process):
        assert ask(url, "/livez") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert (hostile / "grammage.db").exists()
