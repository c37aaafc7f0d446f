"""A process that sums up or prunes a ledger until it is killed, or its disk is full. It must never end in order when it is to be killed."""

import os
import resource
import signal
import sys

from sqlalchemy import Engine, event

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.prune import prune
from proxy.ledger.roll import roll
from proxy.ledger.turn import taken_turn

DISK_FULL = 3


def die_at(statement: int) -> None:
    """kill -9 by its own hand, once so many statements were sent: between two of them, or amid a transaction."""
    sent = 0

    @event.listens_for(Engine, "after_cursor_execute")
    def count(*_words: object) -> None:
        nonlocal sent
        sent += 1
        if sent >= statement:
            os.kill(os.getpid(), signal.SIGKILL)


def work(url: str, before_ms: int) -> int:
    """0 before_ms: sums up; else prunes."""
    try:
        with taken_turn(url) as turn:
            assert turn is not None
            if before_ms:
                prune(turn, before_ms)
            else:
                roll(turn)
    except LedgerUnavailable as error:
        print(error, file=sys.stderr)
        return DISK_FULL
    return 0


if __name__ == "__main__":
    _url, _before_ms, _how, _much = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if _how == "kill":
        die_at(_much)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_much, _much))
    sys.exit(work(_url, _before_ms))
