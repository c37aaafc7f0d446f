"""Notices a changed configuration, and hands it to the workers if it can be used. It must never let a bad one reach them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from config.problem import ConfigError
from config.settings import Settings
from proxy.app import over_reload
from proxy.crew.messages import Entered, Keep, Prepared
from proxy.errors import StartError
from proxy.reload import LOOK_EVERY_S, Load, stamp, watched_files
from proxy.workers.child import Child
from proxy.workers.round import Round

_log = logging.getLogger("grammage.reload")


class Reloading:
    """The settings in force, and their number; ok: whether the last ones that were asked for are. perf: monotonic seconds."""

    def __init__(self, settings: Settings, load: Load, config_file: Path | None, perf: Callable[[], float]) -> None:
        self.settings = settings
        self.generation = 0
        self.ok = True
        self._load = load
        self._config_file = config_file
        self._perf = perf
        self._is_wanted = False
        self._round: Round | None = None
        self._files = [] if config_file is None else watched_files(config_file)
        self._seen = [stamp(file) for file in self._files]
        self._look_at_s = perf() + LOOK_EVERY_S

    @property
    def is_busy(self) -> bool:
        """Settings are being handed over: no worker is begun meanwhile."""
        return self._round is not None

    @property
    def due_s(self) -> float:
        """Seconds until there is something to look at."""
        look_s = max(0.0, self._look_at_s - self._perf())
        return look_s if self._round is None else min(look_s, self._round.due_s)

    def want(self) -> None:
        """Somebody asked for it."""
        self._is_wanted = self._config_file is not None
        if not self._is_wanted:
            _log.info("SIGHUP: this proxy was started without a configuration file; there is nothing to reload")

    def look(self, children: Sequence[Child]) -> None:
        """Goes on with what is under way, or begins where something changed."""
        if self._round is not None:
            self._round.look()
            self._conclude()
        if self._round is None and (self._has_changed() or self._is_wanted) and self._config_file is not None:
            self._is_wanted = False
            self._files = watched_files(self._config_file)
            self._seen = [stamp(file) for file in self._files]
            self._begin(self._config_file, children)

    def prepared(self, child: Child, told: Prepared) -> None:
        """A worker is ready for new settings, or cannot be."""
        if self._round is not None:
            self._round.prepared(child, told)

    def entered(self, child: Child, told: Entered) -> None:
        """A worker has new settings, or could not take them over."""
        if self._round is not None:
            self._round.entered(child, told)

    def gone(self, child: Child) -> None:
        """A worker has ended."""
        if self._round is not None:
            self._round.gone(child)

    def _has_changed(self) -> bool:
        if self._perf() < self._look_at_s:
            return False
        self._look_at_s = self._perf() + LOOK_EVERY_S
        return [stamp(file) for file in self._files] != self._seen

    def _begin(self, file: Path, children: Sequence[Child]) -> None:
        try:
            settings = over_reload(self.settings, self._load())
        except (ConfigError, StartError, OSError) as error:
            _log.error("configuration not reloaded, the old one stays: %s", error)
            self._keep(children)
            return
        except Exception:  # noqa: BLE001  # the edge: a file that nobody thought of may not end the workers that serve
            _log.exception("configuration not reloaded, the old one stays")
            self._keep(children)
            return
        self._round = Round(self.generation + 1, settings, children, self._perf)
        self._conclude()

    def _keep(self, children: Sequence[Child]) -> None:
        self.ok = False
        for child in children:
            child.tell(Keep(self.generation))

    def _conclude(self) -> None:
        done = self._round
        if done is None or not done.is_over:
            return
        self._round, self.ok = None, done.is_taken
        self.generation = done.generation
        if done.is_taken:
            self.settings = done.settings
            _log.info("configuration reloaded from %s by every worker", self._config_file)
