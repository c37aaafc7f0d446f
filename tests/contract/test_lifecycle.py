"""Readiness, reloads, signals and log lines of a real `grammage serve`: what an orchestrator and its operator rely on."""

import asyncio
import json
import os
import pty
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from config.settings import Settings
from config.tables import load_tables
from proxy.app import App
from proxy.call import CallRecord
from proxy.clock import Clock
from proxy.ledger.base import Durability, LedgerUnavailable
from proxy.ledger.spool import Spool, SpoolFull
from proxy.ledger.writer import LedgerWriter
from proxy.log import LineWriter
from proxy.readiness import Readiness
from proxy.reload import reload_once
from tests.contract.escalation_house import chat
from tests.contract.proxy_harness import GRAMMAGE, KEY, Child, Proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.sample_records import call

RELOADED = "grammage_config_reload_success"


class Refusing:
    """A database that takes nothing while `is_down`."""

    def __init__(self) -> None:
        self.is_down = True
        self.taken: list[CallRecord] = []

    def open_writer(self, durability: Durability) -> None:
        self._refuse()

    def write(self, records: Sequence[CallRecord]) -> None:
        self._refuse()
        self.taken += records

    def _refuse(self) -> None:
        if self.is_down:
            raise LedgerUnavailable("it is down")


class Full(Spool):
    """A spool on a disk without room while `is_full`."""

    is_full = True

    def append(self, records: Sequence[CallRecord], *, sync: bool = False) -> None:
        if self.is_full:
            raise SpoolFull("no room")
        super().append(records, sync=sync)


def readiness(writer: LedgerWriter) -> Readiness:
    no = bool  # what calls for nothing says False
    return Readiness(ledger=writer, draining=no, loads=no, lacks=no, reload_failed=no)


async def test_calls_go_elsewhere_while_neither_database_nor_spool_takes_them(tmp_path: Path) -> None:
    store, spool = Refusing(), Full(tmp_path / "spool", 1 << 20)
    writer = LedgerWriter(store, spool)
    writer.start()
    told = readiness(writer)
    assert (told.unready(), told.noted()) == ((), ())
    await asyncio.wait_for(writer.append(call()) or asyncio.sleep(0), 10)
    assert told.unready() == ("ledger_unavailable",)
    store.is_down = False
    await _until(lambda: not told.unready())
    assert told.noted() == ()
    assert len(store.taken) == 1
    await writer.close()


async def test_a_spool_that_takes_calls_is_a_note_and_no_reason(tmp_path: Path) -> None:
    store, spool = Refusing(), Full(tmp_path / "spool", 1 << 20)
    spool.is_full = False
    writer = LedgerWriter(store, spool)
    writer.start()
    told = readiness(writer)
    await asyncio.wait_for(writer.append(call()) or asyncio.sleep(0), 10)
    assert (told.unready(), told.noted()) == ((), ("ledger_spooling",))
    store.is_down = False
    await _until(lambda: not told.noted())
    await writer.close()


async def _until(probe: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not probe():
            await asyncio.sleep(0.01)


def configured(folder: Path, upstream: ScriptedUpstream, more: str = "") -> Path:
    config = folder / "grammage.yaml"
    config.write_text(f"ledger: {{url: 'sqlite:///{folder}/calls.db'}}\nupstream: {upstream.url}/v1\n{more}")
    return config


def served(folder: Path, child: Child) -> Proxy:
    return child.proxy(folder / "calls.db")


def value(made: Proxy, name: str) -> float | None:
    lines = made.get("/metrics").body.decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), None)


BAD_FILES = {
    "unknown key": b"nonsense: 1\n",
    "of a later version": b"version: 2\n",
    "no YAML": b"a: [1,\n",
    "no text": b"\xff\xfe\x00\x01",
    "a list": b"- 1\n",
    "empty of meaning": b"models: 7\n",
    "deep": b"a: " + b"[" * 5000 + b"]" * 5000,
    "aliases that multiply": b"a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\ntags: {x: *c}\n",
}


def test_no_bad_file_ends_or_changes_a_proxy_that_serves(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    config = configured(tmp_path, upstream)
    good = config.read_bytes()
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        made = served(tmp_path, child)
        for name, content in BAD_FILES.items():
            config.write_bytes(content)
            child.process.send_signal(signal.SIGHUP)
            assert until(lambda: value(made, RELOADED) == 0 or None), name
            ready = made.get("/readyz")
            assert (ready.status, ready.json) == (200, {"status": "ready", "notes": ["config_reload_failed"]}), name
            assert made.chat().status == 200, name
            config.write_bytes(good)
            child.process.send_signal(signal.SIGHUP)
            assert until(lambda: value(made, RELOADED) == 1 or None), name
        config.unlink()
        child.process.send_signal(signal.SIGHUP)
        assert until(lambda: value(made, RELOADED) == 0 or None)
        assert made.chat().status == 200
        child.process.terminate()
        assert child.exit_code() == 0


async def test_a_fault_that_nobody_thought_of_keeps_the_old_configuration(tmp_path: Path) -> None:
    settings = Settings.model_validate({"ledger": {"url": f"sqlite:///{tmp_path}/calls.db"}})
    app = App(settings, load_tables(), clock=Clock(), version="0", log_writer=LineWriter())

    def load() -> Settings:
        raise RuntimeError("nobody thought of this")

    assert app.metrics.reload_ok
    assert not await reload_once(app, tmp_path / "grammage.yaml", load)
    assert not app.metrics.reload_ok


def test_a_changed_file_is_taken_over_without_a_signal(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    config = configured(tmp_path, upstream)
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        made = served(tmp_path, child)
        assert made.chat().ours["quality"]
        other = tmp_path / "next.yaml"
        other.write_text(config.read_text() + "tagging: {headers: false}\n")
        other.replace(config)  # as an orchestrator does: the link behind the name changes
        until(lambda: True if not made.chat().ours else None)
        assert made.get("/readyz").json == {"status": "ready"}


def test_what_needs_a_restart_is_said(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = configured(tmp_path, upstream)
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        made = served(tmp_path, child)
        config.write_text(config.read_text() + "tags: {brand: [acme]}\nlog: {level: warning}\n")
        child.process.send_signal(signal.SIGHUP)
        until(lambda: "tags: what the configuration says there now" in child.text or None)
        assert made.get("/livez").status == 200


def test_sighup_without_a_configuration_file_ends_nothing(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    arguments = ("--upstream", f"{upstream.url}/v1", "--port", "0", "--ledger", f"sqlite:///{tmp_path}/calls.db")
    with serve_command(tmp_path, *arguments) as child:
        made = served(tmp_path, child)
        child.process.send_signal(signal.SIGHUP)
        until(lambda: "nothing to reload" in child.text or None)
        assert made.chat().status == 200
        child.process.terminate()
        assert child.exit_code() == 0


def lines_of(child: Child) -> list[str]:
    return [line.rstrip("\n") for text in child.said for line in text.splitlines() if "listens on http" not in line]


def test_log_lines_are_json_where_nobody_watches_and_name_the_call(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat("a secret answer"))
    config = configured(tmp_path, upstream, "log: {level: debug}\n")
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        call_id = (
            served(tmp_path, child)
            .chat({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a secret prompt"}]})
            .ours["call-id"]
        )
        child.process.terminate()
        assert child.exit_code() == 0
    told = [json.loads(line) for line in lines_of(child)]
    (line,) = [line for line in told if line["message"] == "call"]
    assert (line["call_id"], line["level"], line["outcome"]) == (call_id, "INFO", "ok")
    assert all(line["ts"].endswith("Z") for line in told)
    for secret in ("a secret prompt", "a secret answer", KEY):
        assert secret not in child.text


def test_log_lines_for_people_can_be_read(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    config = configured(tmp_path, upstream, "log: {format: console}\n")
    with serve_command(tmp_path, "--config", str(config), "--port", "0") as child:
        call_id = served(tmp_path, child).chat(x_grammage_tag_brand="acme").ours["call-id"]
        child.process.terminate()
        assert child.exit_code() == 0
    (line,) = [line for line in lines_of(child) if call_id in line]
    for part in ("chat gpt-4o-mini", "200 ok", "100+50 tokens", "gCO2e (", "brand=acme"):
        assert part in line
    assert "\x1b" not in child.text
    assert "{" not in line


def test_the_command_line_goes_before_the_file_for_log_lines(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    config = configured(tmp_path, upstream, "log: {format: console, level: info}\n")
    with serve_command(tmp_path, "--config", str(config), "--port", "0", "--log-format", "json", "--log-level", "warning") as child:
        made = served(tmp_path, child)
        made.chat()
        child.process.send_signal(signal.SIGHUP)  # also after a reload
        until(lambda: value(made, RELOADED) == 1 or None)
        made.chat()
        child.process.terminate()
        assert child.exit_code() == 0
    assert lines_of(child) == []


@pytest.mark.parametrize(("environ", "has_colours"), [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)])
def test_a_terminal_gets_lines_for_people(upstream: ScriptedUpstream, tmp_path: Path, environ: dict[str, str], has_colours: bool) -> None:
    upstream.answers(*chat())
    config = configured(tmp_path, upstream)
    said = bytearray()
    process, ours = _on_a_terminal((*GRAMMAGE, "serve", "--config", str(config), "--port", "0"), environ)
    reading = threading.Thread(target=_read, args=(ours, said), daemon=True)
    reading.start()
    try:
        text = until(lambda: said.decode() if b"listens on http" in said and b"\n" in said else None)
        port = int(text.split("listens on http://127.0.0.1:")[1].split("/")[0])
        made = Proxy(f"http://127.0.0.1:{port}", tmp_path / "calls.db")
        call_id = made.chat().ours["call-id"]
        until(lambda: call_id in said.decode() or None)
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        reading.join(10)
        os.close(ours)
    line = next(line for line in said.decode().splitlines() if call_id in line)
    assert "gCO2e (" in line
    assert ("\x1b[" in line) == has_colours


def _on_a_terminal(command: Sequence[str], environ: dict[str, str]) -> tuple[int, int]:
    """A process whose terminal is ours, and its other end."""
    theirs_environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), **environ}
    ours, theirs = pty.openpty()
    actions = [(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_DUP2, theirs, 2), (os.POSIX_SPAWN_CLOSE, ours)]
    process = os.posix_spawn(command[0], tuple(command), theirs_environ, file_actions=actions)
    os.close(theirs)
    return process, ours


def _read(descriptor: int, said: bytearray) -> None:
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # the other end is gone
            return
        if not part:
            return
        said += part
