"""Installs real clients in environments of their own, for `make setup`. It must never touch the proxy's own environment.

Each environment is marked with a fingerprint of what it was made from, so that nothing is fetched twice; what could not be fetched
leaves its reason behind, and the tests that need it are skipped with that reason.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clients.environments import FAILED, HERE, IMPACT, INSTALLED, NODE, PYTHONS, node_command

LIMIT_S = 400


def main() -> int:
    """Installs every environment that is missing or out of date; 1 when one could not be installed."""
    folder = Path(sys.argv[1]).resolve()
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda name: install(folder / name, PYTHONS[name], _python), PYTHONS))
    done += [install(folder / name, f"{name}/package-lock.json", _node) for name in (NODE, IMPACT)]
    return 0 if all(done) else 1


def install(home: Path, pins: str, how: Callable[[Path, Path], None]) -> bool:
    """Whether the environment is there, made `how` from its pins unless it was already."""
    wanted = _fingerprint(HERE / pins)
    mark = home / INSTALLED
    if mark.exists() and mark.read_text() == wanted:
        return True
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        how(home, HERE / pins)
    except (OSError, subprocess.SubprocessError) as error:
        reason = _reason(error)
        (home / FAILED).write_text(reason)
        print(f"the clients of {pins} could not be installed ({reason}); their tests will be skipped", file=sys.stderr)
        return False
    mark.write_text(wanted)
    return True


def _python(home: Path, pins: Path) -> None:
    _run(sys.executable, "-m", "venv", home)
    options = ("--disable-pip-version-check", "--quiet", "--no-compile", "--retries", "2", "--require-hashes", "--only-binary", ":all:")
    _run(home / "bin" / "python", "-m", "pip", "install", *options, "-r", pins)


def _node(home: Path, pins: Path) -> None:
    for name in ("package.json", pins.name):
        shutil.copy(pins.with_name(name), home)
    node = node_command(home.parent)
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run(node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "1", cwd=home)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, capture_output=True, text=True, timeout=LIMIT_S)


def _fingerprint(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()


def _reason(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line for line in (said or "").splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


if __name__ == "__main__":
    sys.exit(main())
