"""Calls on disk while the database takes none: files reserved in advance. It must never grow past its reserve or serve two processes."""

import fcntl
import logging
import os
import resource
import struct
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from estimators.estimate import Estimate
from estimators.quantity import LogVariance, Quantity
from estimators.usage import Usage
from proxy.call import AttemptRecord, CallRecord

MAGIC: Final = b"grmspool"
_HEADER: Final = struct.Struct("<8sQ")  # magic, generation
_FRAME: Final = struct.Struct("<II")  # length and checksum of what follows
_ZEROS_BYTES: Final = 1 << 20
MOST_FILES: Final = 64
"""Processes that may spool beside one ledger at a time."""

log = logging.getLogger("grammage.ledger")
_encode = msgspec.msgpack.encode
_KEPT = (CallRecord.__struct_fields__, AttemptRecord.__struct_fields__, Estimate._fields, Quantity._fields, LogVariance._fields)
SHAPE = zlib.crc32(repr((_KEPT, Usage.__slots__)).encode())
"""Tells records of another version apart: their fields stand by position."""


class SpoolFull(Exception):
    """The reserve is used up, or the disk refused."""


class SpoolTaken(Exception):
    """Another process holds the file."""


def spool_path(ledger_file: Path | None) -> Path:
    """Where the spool of a ledger stands: beside its file, or in the working folder for a database server."""
    return Path("grammage.spool") if ledger_file is None else ledger_file.with_name(f"{ledger_file.name}.spool")


def _free_name(path: Path) -> Path:
    """Where an unreadable file is kept: the first `.unreadable-N` that nothing has yet."""
    names = (path.with_name(f"{path.name}.unreadable-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def is_filled(path: Path) -> bool:
    """Whether the file begins with a frame that was not dropped, whoever holds it. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        magic, generation = _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
        length, checksum = _FRAME.unpack(file.read(_FRAME.size).ljust(_FRAME.size, b"\0"))
        return bool(magic == MAGIC and length and zlib.crc32(file.read(length), generation) == checksum)


def _unpacked(payload: bytes) -> tuple[CallRecord, ...]:
    """The records of a frame. Raises zlib.error or MsgspecError for what this version cannot read."""
    shape, records = msgspec.msgpack.decode(zlib.decompress(payload), type=tuple[int, msgspec.Raw])
    if shape != SHAPE:
        raise msgspec.ValidationError("they were written by another version")
    return msgspec.msgpack.decode(records, type=tuple[CallRecord, ...])


class SpoolFile:
    """One file of frames (length, checksum, packed records), held by a lock. A torn tail is dropped: it was never acknowledged.

    The checksum is seeded with the generation in the header, so frames of an earlier filling are never taken for this one's.
    Raises SpoolTaken when another process holds it, OSError when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reserved_bytes = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._hold()
            self._generation = self._read_generation()
        except BaseException:
            os.close(self._fd)
            raise
        self._read_at = self._seen_to = _HEADER.size
        self._write_at = self._find_end()
        self._unreadable = False

    @property
    def is_empty(self) -> bool:
        """No frame is left to read."""
        return self._read_at >= self._write_at

    def reserve(self, wanted_bytes: int) -> None:
        """Take disk blocks now: as much as wanted, at most half of what is free and what the process may write to one file."""
        size = min(wanted_bytes, self._most_bytes())
        while size > max(self.reserved_bytes, self._write_at, _HEADER.size):
            try:
                os.posix_fallocate(self._fd, 0, size)
            except OSError:
                size //= 2
                continue
            self.reserved_bytes = size
            break
        if self._write_at == _HEADER.size:
            self._write_header()

    def append(self, payload: bytes, *, sync: bool) -> None:
        """Add a frame behind the last; with sync it is on the medium when this returns. Raises SpoolFull and leaves the file as it was."""
        frame = _FRAME.pack(len(payload), zlib.crc32(payload, self._generation)) + payload
        if self._write_at + len(frame) > self.reserved_bytes:
            raise SpoolFull(f"{self.path} is full ({self.reserved_bytes} bytes)")
        try:
            written = os.pwrite(self._fd, frame, self._write_at)
            if sync:
                os.fdatasync(self._fd)
        except OSError as error:
            raise SpoolFull(f"{self.path}: {error}") from error
        if written != len(frame):
            raise SpoolFull(f"{self.path}: {written} of {len(frame)} bytes written")
        self._write_at += len(frame)

    def read(self, most: int = 1) -> tuple[CallRecord, ...]:
        """The records of the oldest frames not yet skipped: of one, and of more as long as there are `most` at most.

        None of them for a first frame that this version cannot read, which is kept aside.
        """
        found: list[CallRecord] = []
        offset = self._seen_to = self._read_at
        while offset < self._write_at and (payload := self._frame_at(offset)) is not None:
            try:
                records = _unpacked(payload)
            except (zlib.error, msgspec.MsgspecError) as error:
                if not found:
                    log.error("the spool %s holds calls this version cannot read (%s); the file is kept", self.path, error)
                    self._unreadable = True
                    self._seen_to = offset + _FRAME.size + len(payload)
                break
            if found and len(found) + len(records) > most:
                break
            found += records
            offset = self._seen_to = offset + _FRAME.size + len(payload)
        return tuple(found)

    def skip(self) -> None:
        """Step over the frames that were read; behind the last one the file starts anew."""
        if self._seen_to <= self._read_at:
            self.read()
        self._read_at = self._seen_to if self._seen_to > self._read_at else self._write_at
        if self.is_empty and not self._unreadable:
            self._generation += 1
            self._overwrite()
            self._read_at = self._seen_to = self._write_at = _HEADER.size
            self._write_header()

    def close(self, *, delete: bool = False) -> None:
        """Let go of the file, which is deleted if asked, unless it holds what could not be read."""
        if self._unreadable:
            os.replace(self.path, _free_name(self.path))
        elif delete:
            os.unlink(self.path)
        os.close(self._fd)

    def _hold(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpoolTaken(str(self.path)) from error
        if not self.path.exists() or os.fstat(self._fd).st_ino != self.path.stat().st_ino:
            raise SpoolTaken(f"{self.path} was just deleted")

    def _read_generation(self) -> int:
        head = os.pread(self._fd, _HEADER.size, 0)
        if len(head) == _HEADER.size:
            magic, generation = _HEADER.unpack(head)
            if magic == MAGIC:
                return int(generation)
        return 1

    def _overwrite(self) -> None:
        """Zeros in place of calls that the database has now: nothing of them stays on the disk, and its blocks stay reserved."""
        try:
            for at in range(_HEADER.size, self._write_at, _ZEROS_BYTES):
                os.pwrite(self._fd, bytes(min(_ZEROS_BYTES, self._write_at - at)), at)
        except OSError as error:
            log.warning("cannot overwrite what is done of the spool %s: %s", self.path, error)

    def _write_header(self) -> None:
        try:
            os.pwrite(self._fd, _HEADER.pack(MAGIC, self._generation), 0)
        except OSError as error:  # the frames of the old generation would then be replayed once more, which changes nothing
            log.warning("cannot write to the spool %s: %s", self.path, error)

    def _frame_at(self, offset: int) -> bytes | None:
        head = os.pread(self._fd, _FRAME.size, offset)
        if len(head) < _FRAME.size:
            return None
        length, checksum = _FRAME.unpack(head)
        if not length:
            return None
        payload = os.pread(self._fd, length, offset + _FRAME.size)
        return payload if len(payload) == length and zlib.crc32(payload, self._generation) == checksum else None

    def _find_end(self) -> int:
        offset = _HEADER.size
        while (payload := self._frame_at(offset)) is not None:
            offset += _FRAME.size + len(payload)
        return offset

    def _most_bytes(self) -> int:
        stats = os.fstatvfs(self._fd)
        free = stats.f_bavail * stats.f_frsize // 2 + os.fstat(self._fd).st_blocks * 512
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return free if limit == resource.RLIM_INFINITY else min(free, limit)


class Spool:
    """This process's own spool file, and those that ended processes left behind. One thread uses it.

    open() takes the first free name of path, path.2, path.3...; records go through append(), oldest() and drop_oldest().
    """

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        self._path = path
        self._wanted_bytes = reserve_bytes
        self._files: list[SpoolFile] = []

    @property
    def reserved_bytes(self) -> int:
        """Disk taken in advance for this process."""
        return self._files[0].reserved_bytes if self._files else 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be written to the database."""
        return all(file.is_empty for file in self._files)

    def open(self) -> None:
        """Take a file, reserve its disk, and pick up what others left. Raises OSError when the folder cannot be written."""
        for number in range(1, MOST_FILES + 1):
            path = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number}")
            if self._files and not path.exists():
                continue
            try:
                self._files.append(SpoolFile(path))
            except SpoolTaken:
                continue
        if not self._files:
            raise OSError(f"all {MOST_FILES} spool files beside {self._path} are taken")
        self._files[0].reserve(self._wanted_bytes)
        for file in [file for file in self._files[1:] if file.is_empty]:
            self._files.remove(file)
            file.close(delete=True)
        if self.reserved_bytes < self._wanted_bytes:
            log.warning("the spool %s could reserve %d of %d bytes of disk", self._files[0].path, self.reserved_bytes, self._wanted_bytes)

    def append(self, records: Sequence[CallRecord], *, sync: bool) -> None:
        """Keep the records in one frame. Raises SpoolFull (nothing of them is kept) and UnicodeError for text that is none."""
        payload = zlib.compress(_encode((SHAPE, tuple(records))), 1)
        if not self._files:
            raise SpoolFull(f"the spool {self._path} is not open")
        own = self._files[0]
        try:
            own.append(payload, sync=sync)
        except SpoolFull:
            if own.reserved_bytes >= self._wanted_bytes:
                raise
            own.reserve(self._wanted_bytes)  # there was less disk at the start than now, perhaps
            own.append(payload, sync=sync)

    def oldest(self, most: int = 1) -> tuple[CallRecord, ...]:
        """The records of the oldest frame, and of those behind it as long as there are `most` at most.

        Nothing when all is replayed, or for a frame that cannot be read.
        """
        file = self._first_filled()
        return () if file is None else file.read(most)

    def drop_oldest(self) -> None:
        """Forget what oldest() gave: it is in the database."""
        file = self._first_filled()
        if file is None:
            return
        file.skip()
        if file.is_empty and file is not self._files[0]:
            self._files.remove(file)
            file.close(delete=True)

    def close(self) -> None:
        """Let go; frames not yet replayed stay for the next start, an empty file is deleted."""
        for file in self._files:
            file.close(delete=file.is_empty)
        self._files.clear()

    def _first_filled(self) -> SpoolFile | None:
        return next((file for file in self._files if not file.is_empty), None)
