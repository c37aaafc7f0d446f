"""Serves any ASGI application on a loopback port of its own for the length of a test. It must never sleep or use a fixed port."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Literal

import uvicorn

_START_S = 20
_STOP_S = 20


class _Announcing(uvicorn.Server):
    """A server that says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


@contextlib.contextmanager
def serve(
    app: Any, *, lifespan: Literal["auto", "on", "off"] = "auto", loop: Literal["asyncio", "uvloop"] = "asyncio", bare: bool = False
) -> Iterator[str]:
    """Serves `app` in a thread; gives its base URL without a path, such as http://127.0.0.1:40123. bare: no date and server headers."""
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan=lifespan,
        loop=loop,
        ws="websockets-sansio",
        http="httptools",
        timeout_graceful_shutdown=2,
        server_header=not bare,
        date_header=not bare,
    )
    server = _Announcing(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        thread = threading.Thread(target=_run, args=(server, listening), daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_START_S) or not server.started:
                raise RuntimeError("the application did not start; its lifespan failed or took too long")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_STOP_S)
            if thread.is_alive():
                raise RuntimeError("the application did not stop")


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(server: _Announcing, listening: socket.socket) -> None:
    try:
        server.run(sockets=[listening])
    except SystemExit:  # uvicorn's way to say that the lifespan failed
        pass
    finally:
        server.ready.set()
