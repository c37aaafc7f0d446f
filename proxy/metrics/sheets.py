"""The sheets of all workers, read as one: sums over the living and the dead. It must never count an entry twice."""

import fcntl
import math
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

import msgspec

from proxy.metrics.sheet import NOBODY, Place, Sheet, SheetFull

COUNT: Final = "count"
"""Kinds of entries: counters and histograms that are counted in place; series that were admitted; what was written down of the state."""
PART: Final = "part"
STATE: Final = "state"
MOST: Final = 1_000_000

Key = tuple[str, ...]
"""Kind, name, and whatever tells entries of one name apart."""


class Sheets:
    """Made before the workers are, one for each that may run at a time; `take` in the worker says which one is its own."""

    def __init__(self, number: int) -> None:
        self.all: tuple[Sheet, ...] = tuple(Sheet() for _ in range(number))
        self._lock_file = os.memfd_create("grammage") if hasattr(os, "memfd_create") else _nameless_file()
        self._own: Sheet | None = None
        self._mine: dict[Key, Place] = {}
        self._seen = [0] * number
        self._found: dict[str, dict[str, dict[Key, list[tuple[int, Place]]]]] = defaultdict(lambda: defaultdict(dict))
        self._reading = threading.Lock()
        self._adding = threading.Lock()

    def take(self, number: int) -> None:
        """This process counts on that sheet from now on: it goes on where a worker before it stopped."""
        self._own = self.all[number]
        self._mine = {_unpacked(key): place for key, place, _ in self._own.entries(0)}

    @property
    def own(self) -> Sheet:
        """This worker's sheet."""
        if self._own is None:
            raise RuntimeError("a worker takes its sheet first")
        return self._own

    def place(self, key: Key, width: int) -> Place:
        """Where this worker keeps the numbers of a key, made at its first use, on any thread. Raises SheetFull."""
        found = self._mine.get(key)
        if found is None:
            with self._adding:
                found = self._mine.get(key)
                if found is None:
                    found = self._mine[key] = self.own.add(msgspec.msgpack.encode(key), width)
        return found

    def of(self, kind: str, name: str) -> Mapping[Key, Sequence[tuple[int, Place]]]:
        """What all sheets hold under the name: places, each with its sheet's number, by the rest of the key."""
        with self._reading:
            while self._read_some(MOST):
                pass
            return dict(self._found[kind][name])

    def keys_since(self, kind: str, name: str, seen: int) -> list[Key]:
        """The keys under the name but for the first `seen`: their order never changes."""
        with self._reading:
            while self._read_some(MOST):
                pass
            return list(islice(self._found[kind][name], seen, None))

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of that kind on any sheet."""
        with self._reading:
            while self._read_some(MOST):
                pass
            return tuple(self._found[kind])

    def catch_up(self, most: int) -> bool:
        """Reads so many new entries of other workers; False once there are none."""
        with self._reading:
            return self._read_some(most)

    def is_alive(self, number: int) -> bool:
        """Whether anybody counts on that sheet now."""
        return self.all[number].owner != NOBODY

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One worker at a time; for a few microseconds. The system takes the lock back from a process that ends."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def _read_some(self, most: int) -> bool:
        for number, sheet in enumerate(self.all):
            for packed, place, end in sheet.entries(self._seen[number]):
                kind, name, *rest = _unpacked(packed)
                self._found[kind][name].setdefault(tuple(rest), []).append((number, place))
                self._seen[number] = end
                most -= 1
                if not most:
                    return True
        return False


def sum_of(places: Iterable[tuple[int, Place]]) -> float:
    """The sum of the first numbers, exact: workers know the sheets in different orders, and a sum must not depend on who is asked."""
    return math.fsum(place.numbers[place.first] for _, place in places)


def _unpacked(key: bytes) -> Key:
    return msgspec.msgpack.decode(key, type=tuple[str, ...])


def _nameless_file() -> int:
    import tempfile  # where the system has no files in memory

    file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
    return os.dup(file.fileno())


__all__ = ["COUNT", "PART", "STATE", "Key", "SheetFull", "Sheets", "sum_of"]
