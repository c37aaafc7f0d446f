"""A worker at the side of its supervisor: takes over settings, drains, tells its state. It must never outlive the supervisor for long."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from config.settings import Settings
from proxy.alternative.made import Way
from proxy.alternative.worth import ways_from
from proxy.app import App
from proxy.crew.messages import Drain, Draining, Enter, Entered, Keep, KeysChanged, Prepare, Prepared
from proxy.crew.seat import Seat, State
from proxy.errors import StartError

_log = logging.getLogger("grammage.attend")
BEAT_S: Final = 0.5
"""Between two times that a worker writes down its state for the others."""


class Attendant:
    """Listens to the supervisor as long as `attend` runs. drain: ends the server; told to hurry, gives up its calls."""

    def __init__(self, app: App, seat: Seat, drain: Callable[[bool], None]) -> None:
        self._app = app
        self._seat = seat
        self._drain = drain
        self._prepared: tuple[int, Settings, Mapping[str, Way]] | None = None
        self._has_said_draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: Mapping[type, Callable[[Any], None]] = {
            Prepare: lambda order: self._in_background(self._prepare(order)),
            Enter: self._enter,
            Keep: self._keep,
            Drain: lambda order: self._drain(order.hurry),
            KeysChanged: lambda order: self._in_background(self._app.look_at_keys()),
        }

    async def attend(self) -> None:
        """Until cancelled; when the supervisor is gone, the worker drains."""
        loop, link = asyncio.get_running_loop(), self._seat.link
        loop.add_reader(link.fileno(), self._hear)
        try:
            while True:
                self._beat()
                await asyncio.sleep(BEAT_S)
        finally:
            loop.remove_reader(link.fileno())

    def _beat(self) -> None:
        if self._app.draining():
            self._seat.tell_state(State.DRAINING)
            if not self._has_said_draining:
                self._has_said_draining = True
                self._send(Draining())
        else:
            self._seat.tell_state(State.UNREADY if self._app.unready_alone() else State.READY)
        self._write_down()

    def _hear(self) -> None:
        while (order := self._next()) is not None:
            self._answers[type(order)](order)

    def _next(self) -> object | None:
        """What the supervisor says now, None: nothing, or it is gone."""
        try:
            return self._seat.link.recv() if self._seat.link.poll() else None
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._seat.link.fileno())
            _log.warning("the supervisor is gone: this worker finishes its calls and ends")
            self._drain(False)
            return None

    async def _prepare(self, order: Prepare) -> None:
        try:
            ways = await asyncio.to_thread(ways_from, order.settings)
        except (StartError, OSError) as error:
            self._send(Prepared(order.generation, str(error)))
            return
        except Exception as error:  # noqa: BLE001  # as in _enter
            _log.exception("the settings cannot be prepared")
            self._send(Prepared(order.generation, f"{type(error).__name__}, the log says more"))
            return
        self._prepared = (order.generation, order.settings, ways)
        self._send(Prepared(order.generation))

    def _enter(self, order: Enter) -> None:
        if self._prepared is None or self._prepared[0] != order.generation:
            self._send(Entered(order.generation, "nothing was prepared"))
            return
        (_, settings, ways), self._prepared = self._prepared, None
        try:
            self._app.reload(settings, ways)
        except (StartError, OSError) as error:
            trouble: str | None = str(error)
        except Exception as error:  # noqa: BLE001  # the edge: settings that nobody thought of may not end a worker that serves
            _log.exception("the settings cannot be taken over")
            trouble = f"{type(error).__name__}, the log says more"
        else:
            trouble = None
        self._app.metrics.config_reloaded(ok=trouble is None)
        self._write_down()
        self._send(Entered(order.generation, trouble))

    def _keep(self, _order: Keep) -> None:
        self._prepared = None
        self._app.metrics.config_reloaded(ok=False)
        self._write_down()

    def _write_down(self) -> None:
        try:
            self._app.write_down()
        except Exception:  # noqa: BLE001  # the edge: it serves all the same
            _log.exception("others cannot read the state of this worker")

    def _send(self, word: object) -> None:
        try:
            self._seat.link.send(word)
        except OSError:
            _log.debug("the supervisor is gone and hears nothing")

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
