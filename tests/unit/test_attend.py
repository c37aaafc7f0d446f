"""A worker at the side of its supervisor, where what it is told to do breaks: it goes on serving and says so."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.settings import Settings
from proxy.app import App
from proxy.attend import Attendant
from proxy.crew.messages import Enter, Entered, Prepare, Prepared
from proxy.crew.seat import Seat
from proxy.errors import StartError
from proxy.metrics.sheets import Sheets

TROUBLES = (StartError("no"), PermissionError("not yours"), ValueError("odd"))


@pytest.fixture(name="links")
def _links() -> Iterator[tuple[Connection, Connection]]:
    supervisors, its = Pipe()
    yield supervisors, its
    supervisors.close()
    its.close()


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@contextlib.asynccontextmanager
async def attended(link: Connection, drains: list[bool], **app: Any) -> Any:
    sheets = Sheets(1)
    sheets.take(0)
    metrics = SimpleNamespace(config_reloaded=lambda *, ok: None)
    parts = {"metrics": metrics, "draining": lambda: False, "unready_alone": tuple, "write_down": lambda: None, **app}
    attendant = Attendant(cast("App", SimpleNamespace(**parts)), Seat(number=0, workers=1, sheets=sheets, link=link), drains.append)
    task = asyncio.ensure_future(attendant.attend())
    yield sheets
    assert not task.done(), "it attends on"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def told(link: Connection) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(link.recv), 20)


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
async def test_settings_that_cannot_be_entered_are_told_and_it_stays(links: tuple[Connection, Connection], error: Exception) -> None:
    supervisor, its = links
    drains: list[bool] = []
    async with attended(its, drains, reload=failing(error)):
        supervisor.send(Prepare(1, Settings()))
        assert await told(supervisor) == Prepared(1)
        supervisor.send(Enter(1))
        answer = await told(supervisor)
        assert isinstance(answer, Entered)
        assert answer.trouble
    assert drains == [], "a worker does not take its own trouble for the supervisor's end"


async def test_a_state_that_cannot_be_written_down_ends_no_worker(links: tuple[Connection, Connection]) -> None:
    supervisor, its = links
    async with attended(its, [], write_down=failing(ValueError("odd")), reload=lambda *_: None) as sheets:
        supervisor.send(Prepare(1, Settings()))
        assert await told(supervisor) == Prepared(1)
        supervisor.send(Enter(1))
        assert await told(supervisor) == Entered(1)
        assert sheets.all[0].beats >= 1
