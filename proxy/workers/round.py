"""Hands new settings to all workers: all take them over, or none does. It must never leave two workers on different settings for long."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from config.settings import Settings
from proxy.crew.messages import Enter, Entered, Keep, Prepare, Prepared
from proxy.workers.child import Child

_log = logging.getLogger("grammage.reload")
PATIENCE_S: Final = 30.0
"""How long the workers get to read what settings name."""


class Round:
    """One take-over. First every worker gets ready, then all are told to enter: between the first and the last lie milliseconds.

    A worker that cannot enter what others did is drained, and the one in its place begins with the new settings.
    """

    def __init__(self, generation: int, settings: Settings, children: Sequence[Child], perf: Callable[[], float]) -> None:
        self.generation = generation
        self.settings = settings
        self.is_over = False
        self.is_taken = False
        self._children = {child.pid: child for child in children}
        self._preparing = set(self._children)
        self._entering: set[int] = set()
        self._trouble: str | None = None
        self._give_up_at_s = perf() + PATIENCE_S
        self._perf = perf
        for child in children:
            child.tell(Prepare(generation, settings))
        self._go_on()

    @property
    def due_s(self) -> float:
        """Seconds until patience ends."""
        return max(0.0, self._give_up_at_s - self._perf())

    def prepared(self, child: Child, told: Prepared) -> None:
        """A worker has made itself ready, or cannot."""
        if told.generation == self.generation:
            self._preparing.discard(child.pid)
            self._trouble = self._trouble or told.trouble
            self._go_on()

    def entered(self, child: Child, told: Entered) -> None:
        """A worker has taken over, or could not."""
        if told.generation != self.generation or child.pid not in self._entering:
            return
        self._entering.discard(child.pid)
        if told.trouble is None:
            child.generation = self.generation
        else:
            self._trouble = told.trouble
        self._go_on()

    def gone(self, child: Child) -> None:
        """A worker has ended in the middle; the one in its place begins with whatever is in force."""
        self._preparing.discard(child.pid)
        self._entering.discard(child.pid)
        self._children.pop(child.pid, None)
        self._go_on()

    def look(self) -> None:
        """Ends the round where a worker does not answer."""
        if not self.is_over and self._perf() >= self._give_up_at_s:
            self._trouble = self._trouble or f"a worker did not answer within {PATIENCE_S:.0f} s"
            self._preparing.clear()
            self._entering.clear()
            self._go_on()

    def _go_on(self) -> None:
        if self.is_over or self._preparing:
            return
        if self._trouble is None and not self.is_taken:
            self.is_taken = True
            self._entering = set(self._children)
            for child in self._children.values():
                child.tell(Enter(self.generation))
        if not self._entering:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        late = [child for child in self._children.values() if child.generation != self.generation]
        if self.is_taken and (not late or len(late) < len(self._children)):
            for child in late:
                _log.error("worker %d could not take over the settings that others did and is replaced: %s", child.pid, self._trouble)
                child.leave()
            return
        self.is_taken = False
        _log.error("configuration not reloaded, the old one stays: %s", self._trouble)
        for child in self._children.values():
            child.tell(Keep(self.generation))
