"""Memory in which one worker counts, and which the others read: what is in it outlives the worker. It must never hold half an entry.

A sheet is shared between processes that are forked after it was made. It is a row of 8-byte words: a header, then entries that are only
ever added, each of a key and its numbers. An entry is there once the header counts its words: a worker that is killed while it adds one
leaves nothing behind. A number is one aligned word, written at once.
"""

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple

WORD: Final = 8
SHEET_BYTES: Final = 32 * 1024 * 1024
"""Taken from the system page by page as it is written: 5,000 series use about one MiB."""

_USED, _OWNER, _STATE, _TICK, _BEATS = range(5)
_HEADER_WORDS: Final = 8
_WIDTH_SHIFT: Final = 32
_LENGTH_MASK: Final = (1 << _WIDTH_SHIFT) - 1
NOBODY: Final = 0


class SheetFull(Exception):
    """There is no room for another entry."""


class Place(NamedTuple):
    """Where the numbers of an entry stand: so many words from the first on."""

    numbers: "memoryview[float]"
    first: int
    width: int


class Sheet:
    """One worker's memory. One process adds to it, any reads it."""

    def __init__(self, size_bytes: int = SHEET_BYTES) -> None:
        memory = memoryview(mmap.mmap(-1, size_bytes))
        self._bytes = memory
        self._words = memory.cast("Q")
        self.numbers = memory.cast("d")
        self._words[_USED] = _HEADER_WORDS

    @property
    def owner(self) -> int:
        """The process that counts here, NOBODY when it has ended."""
        return self._words[_OWNER]

    @owner.setter
    def owner(self, pid: int) -> None:
        self._words[_OWNER] = pid

    @property
    def state(self) -> int:
        """What the owner says of itself: see proxy/crew."""
        return self._words[_STATE]

    @state.setter
    def state(self, state: int) -> None:
        self._words[_STATE] = state

    @property
    def tick(self) -> float:
        """The round in which the owner last wrote down its state."""
        return float(self.numbers[_TICK])

    @tick.setter
    def tick(self, tick: float) -> None:
        self.numbers[_TICK] = tick

    @property
    def beats(self) -> int:
        """How often the owner, and those before it, said that they live."""
        return self._words[_BEATS]

    def beat(self) -> None:
        """The owner lives."""
        self._words[_BEATS] += 1

    def give_back(self) -> None:
        """The owner has ended, wherever it was: its counts stay, the state that it wrote down is nobody's."""
        self.owner = NOBODY
        self.tick += 2  # it may have written half of a round

    @property
    def used_bytes(self) -> int:
        """What entries take."""
        return self._words[_USED] * WORD

    def add(self, key: bytes, width: int) -> Place:
        """A new entry of so many numbers, all 0. Raises SheetFull."""
        at = self._words[_USED]
        first = at + 1 + -(-len(key) // WORD)
        end = first + width
        if end > len(self._words):
            raise SheetFull(f"{self.used_bytes} bytes are in use")
        self._words[at] = width << _WIDTH_SHIFT | len(key)
        start = (at + 1) * WORD
        self._bytes[start : start + len(key)] = key
        for place in range(first, end):
            self.numbers[place] = 0.0
        self._words[_USED] = end
        return Place(self.numbers, first, width)

    def entries(self, since: int) -> Iterator[tuple[bytes, Place, int]]:
        """Key and place of each entry from word `since` on (0: all), and the word behind it."""
        at, used = max(since, _HEADER_WORDS), self._words[_USED]
        while at < used:
            head = self._words[at]
            length, width = head & _LENGTH_MASK, head >> _WIDTH_SHIFT
            start = (at + 1) * WORD
            first = at + 1 + -(-length // WORD)
            at = first + width
            yield bytes(self._bytes[start : start + length]), Place(self.numbers, first, width), at
