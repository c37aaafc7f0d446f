"""Runs the proxy on its sockets until it is told to stop. It must never start on an address that is taken or that is its own upstream."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from config.listen import parse_listen
from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.app import App
from proxy.clock import Clock
from proxy.console import encoder_for
from proxy.errors import StartError
from proxy.log import LineWriter, configure_logging
from proxy.reload import Load, watch_config
from proxy.sockets.server import DrainingSocket

if TYPE_CHECKING:
    from proxy.crew.seat import Seat  # loaded where several workers serve

_log = logging.getLogger("grammage.serve")
BACKLOG = 2048
KEEP_ALIVE_S = 75
MIB = 1024 * 1024
PING_S = 30.0
"""Between two pings to a WebSocket's client: they keep its way open. A slow client is not hung up on for a late answer."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SETTLE_S = 2.0
"""What calls that are given up get to meter and record themselves."""
LINGER_S = 0.5
"""Of several workers, how long one that drains waits for the first requests of connections that it has just accepted."""
YOUNG_OBJECTS = 20_000
"""Collections of the youngest generation come this rarely: a call leaves no cycles."""


class Serving:
    """One running proxy: its address, and how to end it."""

    def __init__(
        self,
        settings: Settings,
        *,
        version: str,
        tls: tuple[str, str] | None = None,
        config_file: Path | None = None,
        load: Load | None = None,
        seat: "Seat | None" = None,
        sockets: Sequence[socket.socket] = (),
        tables: Tables | None = None,
    ) -> None:
        """load: reads `config_file` again with the command line's options on top; None: the same settings stay.

        seat: of one of several workers, with the sockets and tables that its supervisor has for it.
        """
        self.settings = settings
        self._seat = seat
        self._load = load or (lambda: settings)
        self._tls = tls
        self._config_file = config_file
        self._log_writer = LineWriter(encode=encoder_for(settings.log.format, os.environ))
        self._sockets = list(sockets) or [bind(listen) for listen in listens(settings)]
        self.app = App(settings, tables or load_tables(), clock=Clock(), version=version, log_writer=self._log_writer, seat=self._seat)

    @property
    def base_url(self) -> str:
        """Where clients reach /v1."""
        return base_url(self.settings, self._sockets[0], is_tls=self._tls is not None)

    def run(self, announce: Callable[[str], None] | None = None) -> None:
        """Serves until SIGINT or SIGTERM; `announce` is told the base URL once it may end by them. Raises StartError."""
        configure_logging(self.settings.log.level, self._log_writer)
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        try:
            uvloop_run(self._serve(announce))
        finally:
            self._log_writer.flush()
            for listening in self._sockets:
                listening.close()

    async def _serve(self, announce: Callable[[str], None] | None) -> None:
        await self.app.start()
        servers = [self._server(self.app)]
        if self.settings.admin.listen is not None:
            servers.append(self._server(self.app.admin))
        main = servers[0]
        _end_on_signals(main, _SIGNALS if self._seat is None else (signal.SIGTERM,))
        self.app.draining = lambda: main.should_exit
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 20)
        _log.info("listening on %s", self.base_url)
        if announce is not None:
            announce(self.base_url)
        try:
            async with asyncio.TaskGroup() as tasks:
                reloading = tasks.create_task(self._follow(main))
                running = [tasks.create_task(server.serve(sockets=[at])) for server, at in zip(servers, self._sockets, strict=True)]
                await running[0]
                for other in servers[1:]:
                    other.should_exit = True
                reloading.cancel()
        finally:
            await _settled(servers)
            await self.app.stop()

    async def _follow(self, main: "_Server") -> None:
        """Takes over changed settings while it serves; as one of several workers, does what the supervisor says."""
        if self._seat is None:
            await watch_config(self.app, self._config_file, self._load)
            return
        from proxy.attend import Attendant  # needed by workers only

        await Attendant(self.app, self._seat, main.drain).attend()

    def _server(self, app: object) -> "_Server":
        certificate, key = self._tls or (None, None)
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # our ASGI callables are typed by starlette, uvicorn's by itself
            interface="asgi3",
            http="httptools",
            loop="none",
            ws=DrainingSocket,
            ws_max_size=int(self.settings.server.limits.json_body_mb * MIB),
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(self.settings.server.drain_s),
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        return _Server(config, linger_s=0.0 if self._seat is None else LINGER_S)


class _Server(uvicorn.Server):
    """A server that leaves signals to us: it would raise them again at its end, and the ledger would not be flushed."""

    def __init__(self, config: uvicorn.Config, *, linger_s: float) -> None:
        super().__init__(config)
        self._linger_s = linger_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends; before that, connections that came last get the time to say what they want, where others go on accepting in its place."""
        if self._linger_s:
            for server in self.servers:
                server.close()
            await asyncio.sleep(self._linger_s)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield

    def end(self) -> None:
        """Drains; asked again, gives up the calls that are still open."""
        self.drain(self.should_exit)

    def drain(self, hurry: bool) -> None:
        """Takes no more connections. hurry: gives up the calls that are still open."""
        if hurry:
            for task in self.server_state.tasks:
                task.cancel()
        self.should_exit = True


def _end_on_signals(server: _Server, numbers: Iterable[signal.Signals]) -> None:
    """These signals drain the server; a second one gives up waiting."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, server.end)


async def _settled(servers: list[_Server]) -> None:
    """Returns when calls that were given up have recorded themselves, or after `SETTLE_S`."""
    tasks = {task for server in servers for task in server.server_state.tasks}
    if tasks:
        await asyncio.wait(tasks, timeout=SETTLE_S)


def _is_news(entry: logging.LogRecord) -> bool:
    """False for the server's word that an answer was left without its end: we do that when a provider cuts, and the call's line says so."""
    return "without completing response" not in entry.getMessage()


def uvloop_run(main: Coroutine[object, object, None]) -> None:
    """Runs `main` on uvloop."""
    import uvloop  # chosen here and nowhere else

    uvloop.run(main)


def listens(settings: Settings) -> list[str]:
    """The addresses to listen on: the clients', and the operators' where they have one."""
    return [settings.server.listen, *([settings.admin.listen] if settings.admin.listen is not None else [])]


def base_url(settings: Settings, listening: socket.socket, *, is_tls: bool) -> str:
    """Where clients reach /v1 through that socket."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return f"{'https' if is_tls else 'http'}://{shown}:{port}{settings.server.base_path}/v1"


def bind(listen: str, *, beside_others: bool = False) -> socket.socket:
    """A bound socket on host:port. Raises StartError when the address is taken or not ours.

    beside_others: others of this user may bind the same address in the same way; the system spreads connections over them.
    """
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside_others:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except socket.gaierror as error:
        listening.close()
        raise StartError(f"{host!r} is no address of this machine; choose another with --host or server.listen.") from error
    except OSError as error:
        listening.close()
        raise StartError(
            f"cannot listen on {listen}: {error.strerror}. Free the port, or choose another with --port or server.listen."
        ) from error
    listening.set_inheritable(True)
    return listening
