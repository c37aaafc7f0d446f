"""Opens the address for several workers, and what they share, and runs them. It must never start beside another proxy on that address."""

import gc
import logging
import os
import select
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from config.settings import Settings
from config.tables import load_tables
from proxy.clock import Clock
from proxy.console import encoder_for
from proxy.crew.seat import Seat
from proxy.log import LineWriter, configure_logging
from proxy.metrics.sheets import Sheets
from proxy.reload import Load
from proxy.serve import Serving, base_url, bind, listens
from proxy.workers.reloading import Reloading
from proxy.workers.supervise import Supervisor


class _AtOnce(LineWriter):
    """Writes each line where it is said: a process that is forked has no thread. A reader that is stuck or gone costs lines."""

    def put(self, line: bytes) -> None:
        """Writes one line, unless nobody takes it."""
        try:
            taken = select.select((), (2,), (), 0)[1] and os.write(2, line + b"\n")
        except OSError:
            taken = 0
        self.dropped_total += not taken


def run_workers(
    settings: Settings,
    *,
    version: str,
    tls: tuple[str, str] | None,
    config_file: Path | None,
    load: Load,
    announce: Callable[[str], None],
) -> None:
    """Serves with `server.workers` processes until SIGINT or SIGTERM; `announce` is told the base URL once all serve. Raises StartError."""
    configure_logging(settings.log.level, _AtOnce(encode=encoder_for(settings.log.format, os.environ)))
    logging.getLogger("grammage.workers").info("%d workers", settings.server.workers)
    workers = settings.server.workers
    sockets = list(zip(*(shared_sockets(listen, workers) for listen in listens(settings)), strict=True))
    tables = load_tables()

    def serve(seat: Seat, in_force: Settings, own: Sequence[socket.socket]) -> None:
        serving = Serving(in_force, version=version, tls=tls, config_file=config_file, load=load, seat=seat, sockets=own, tables=tables)
        serving.run(announce=lambda _: seat.tell_ready())

    url = base_url(settings, sockets[0][0], is_tls=tls is not None)
    perf = Clock().perf
    supervisor = Supervisor(
        Reloading(settings, load, config_file, perf),
        sheets=Sheets(2 * workers),
        sockets=sockets,
        serve=serve,
        announce=lambda: announce(url),
        perf=perf,
    )
    gc.collect()
    gc.freeze()
    supervisor.run()


def shared_sockets(listen: str, number: int) -> list[socket.socket]:
    """So many sockets on one address, each with a queue of its own; the system spreads connections over them evenly.

    Raises StartError when anybody listens there, another proxy of this kind included.
    """
    probe = bind(listen)
    host, port = probe.getsockname()[:2]
    probe.close()
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [bind(at, beside_others=True) for _ in range(number)]
