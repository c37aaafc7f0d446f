"""What the supervisor and a worker say to each other. It must never hold a thing that lives in one process only."""

from typing import NamedTuple

from config.settings import Settings


class Prepare(NamedTuple):
    """To a worker: get ready to take over these settings, and change nothing yet."""

    generation: int
    settings: Settings


class Enter(NamedTuple):
    """To a worker: take over what was prepared."""

    generation: int


class Keep(NamedTuple):
    """To a worker: the settings in force stay; new ones were refused."""

    generation: int


class Drain(NamedTuple):
    """To a worker: take no more connections, finish the calls, end. hurry: give up the calls that are still open."""

    hurry: bool = False


class KeysChanged(NamedTuple):
    """From a worker, and to the others: an issued key is not as it was."""


class Ready(NamedTuple):
    """From a worker: it serves."""


class Refused(NamedTuple):
    """From a worker: it cannot start, and why."""

    why: str


class Draining(NamedTuple):
    """From a worker: somebody asked it to end."""


class Prepared(NamedTuple):
    """From a worker: it is ready to take over, or why it cannot."""

    generation: int
    trouble: str | None = None


class Entered(NamedTuple):
    """From a worker: it has taken over, or why it could not."""

    generation: int
    trouble: str | None = None
