"""Takes over a changed configuration while serving: on SIGHUP, or when the file changes. It must never leave a half-applied one."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from config.load import named_policies
from config.problem import ConfigError
from config.settings import Settings
from proxy.alternative.worth import ways_from
from proxy.app import App
from proxy.errors import StartError

_log = logging.getLogger("grammage.reload")
LOOK_EVERY_S = 2.0
Stamp = tuple[int, int, int]


Load = Callable[[], Settings]
"""Reads the settings again, command-line options on top. Raises ConfigError, StartError."""


async def watch_config(app: App, path: Path | None, load: Load) -> None:
    """Reloads `path` into `app` until cancelled; a bad file is reported and the old settings stay."""
    hung_up = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up.set if path is not None else _nothing_to_read)
    if path is None:
        return
    files = watched_files(path)
    seen = [stamp(file) for file in files]
    try:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await hung_up.wait()
            except TimeoutError:
                if [stamp(file) for file in files] == seen:
                    continue
            hung_up.clear()
            files = await asyncio.to_thread(watched_files, path)
            seen = [stamp(file) for file in files]
            await reload_once(app, path, load)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


async def reload_once(app: App, path: Path, load: Load) -> bool:
    """Validates the file, then swaps; True when it was taken over."""
    try:
        settings = await asyncio.to_thread(load)
        app.reload(settings, await asyncio.to_thread(ways_from, settings))
    except (ConfigError, StartError, OSError) as error:
        _log.error("configuration not reloaded, the old one stays: %s", error)
        app.metrics.config_reloaded(ok=False)
        return False
    except Exception:  # noqa: BLE001  # the edge: a file that nobody thought of may not end a proxy that serves
        _log.exception("configuration not reloaded, the old one stays")
        app.metrics.config_reloaded(ok=False)
        return False
    app.metrics.config_reloaded(ok=True)
    _log.info("configuration reloaded from %s", path)
    return True


def _nothing_to_read() -> None:
    _log.info("SIGHUP: this proxy was started without a configuration file; there is nothing to reload")


def watched_files(path: Path) -> list[Path]:
    """The configuration, and the file of policies that it names."""
    named = named_policies(path, os.environ)
    return [path] if named is None else [path, named]


def stamp(path: Path) -> Stamp:
    """What changes when the file behind `path` does, also behind a swapped link; zeros when it is gone."""
    try:
        facts = path.stat()
    except OSError:
        return (0, 0, 0)
    return (facts.st_ino, facts.st_mtime_ns, facts.st_size)
