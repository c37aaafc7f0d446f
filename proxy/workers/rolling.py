"""Which workers are still to be replaced by fresh ones, and the pair under way. It must never have two pairs at a time."""

from collections import deque

from proxy.workers.child import Child


class Rolling:
    """One seat after another, from the first to the last."""

    def __init__(self) -> None:
        self._seats: deque[int] = deque()
        self._pair: tuple[Child, Child] | None = None

    def want(self, seats: int) -> None:
        """Every worker is to be replaced."""
        self._seats = deque(range(seats))

    def next_seat(self) -> int | None:
        """The seat whose turn it is; None while a pair is under way, or nothing is wanted. An old worker leaves once the new one serves."""
        if self._pair is not None:
            old, new = self._pair
            if not new.is_ready:
                return None
            self._pair = None
            old.leave()
        return self._seats[0] if self._seats else None

    def under_way(self, old: Child, new: Child) -> None:
        """A new worker was begun beside the old one."""
        self._seats.popleft()
        self._pair = (old, new)

    def gone(self, child: Child) -> None:
        """A worker has ended: a pair that lost one is none; the other stays."""
        if self._pair is not None and child in self._pair:
            self._pair = None
