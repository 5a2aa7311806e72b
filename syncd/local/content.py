"""Stable readings of single files: what is published had the bytes that the file had at one moment.

Owned here: opening without being led out of the source, stat-read-stat, checksums, streaming. Called by `tree`. Never
hands out the last piece of a file that moved while it was read; never blocks on a FIFO; never reads on the event loop.
"""

# ruff: noqa: PTH115
# Paths are bytes here, as the kernel has them; pathlib knows only str.

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from syncd.core.model import UNTRUSTED, Fingerprint, Kind, LocalEntry
from syncd.core.paths import path_of
from syncd.errors import LocalError, SourceChanged, Unreadable
from syncd.local.ahead import Ahead, Piece
from syncd.local.media import HEADER_BYTES, content_type_of, dimensions_of, is_picture
from syncd.local.walk import is_inside

SMALL_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024
GRAIN_NS = 20_000_000
"""How far a file's timestamp may lag behind the clock: the kernel stamps with its tick, 10 ms at most."""
COARSE_GRAIN_NS = 2_000_000_000
"""The same where timestamps have no fractions: FAT counts in steps of two seconds."""

DESCRIPTORS = b"/proc/self/fd/%d"


class Place(NamedTuple):
    """Where keys are looked up: `root` is resolved."""

    root: bytes
    follow_symlinks: bool

    def path(self, key: bytes) -> bytes:
        return self.root + b"/" + key.replace(b"\0", b"/")


@dataclass(slots=True, eq=False)
class FileContent:
    """See `ports.Content`."""

    place: Place
    entry: LocalEntry
    trusted: bool
    content_type: str
    dimensions: tuple[int, int] | None = None
    data: bytes | None = None
    checksum: str | None = field(default=None)
    growing: bool = False
    """The file may become longer: it is read as far as it was, and what was there must stay as it is."""
    read_before: str | None = None
    """Of a long one that grows: the checksum of the first pass, to which every other has to come."""

    @property
    def fingerprint(self) -> Fingerprint:
        if self.checksum is None:
            raise RuntimeError("a streamed file has no fingerprint before it was read to its end")
        entry = self.entry if self.trusted else self.entry._replace(mtime_ns=UNTRUSTED)
        return Fingerprint(entry, self.checksum)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The next pieces are read and hashed in a thread while the last one is being sent."""
        if self.data is not None:
            if self.data:
                yield self.data
            return
        reading = _Reading(self.place, self.entry, growing=self.growing, wanted=self.read_before)
        ahead = Ahead(reading.next)
        checksum = None
        try:
            while checksum is None:
                piece, checksum = await ahead.take()
                self.checksum = checksum
                yield piece
        finally:
            ahead.close()
            asyncio.get_running_loop().run_in_executor(None, reading.close)

    async def read_once(self) -> None:
        """Run a pass whose pieces nobody wants, for its checksum."""
        async for _ in self.chunks():
            pass
        self.read_before = self.checksum if self.growing else None

    async def read_to_its_end(self) -> Fingerprint | None:
        """None if it does not hold still for as long."""
        try:
            await self.read_once()
        except LocalError:
            return None
        return self.fingerprint


def read_file(place: Place, entry: LocalEntry, *, growing: bool = False) -> FileContent:
    """What is at the entry's path now: a small file read whole, a large one looked at. Blocks.

    One that is `growing` is what it is at this moment, whatever is added, and proves nothing later. A small one is read
    twice here, a large one is to be read once before it is sent.
    """
    key = entry.key
    with _reading(key), _opened(place, key) as descriptor:
        now, trusted, moving = _settled(descriptor, key)
        seen = entry if entry == now else now  # of many files, what is the same is kept once
        content = FileContent(place, seen, trusted and not growing, content_type_of(path_of(key)), growing=growing)
        if now.size <= SMALL_BYTES:
            content.data = _exactly(descriptor, now.size)
            content.checksum = hashlib.md5(content.data, usedforsecurity=False).hexdigest()
        if growing or moving:
            _read_again(descriptor, content)
        if is_picture(content.content_type):
            header = content.data if content.data is not None else os.pread(descriptor, HEADER_BYTES, 0)
            content.dimensions = dimensions_of(header, content.content_type)
        _check(_stat(descriptor, key), now, growing=growing)
        return content


def _read_again(descriptor: int, content: FileContent) -> None:
    """A small file that is being written is what it was at one moment if it reads the same twice."""
    if content.data is None:
        if not content.growing:
            raise SourceChanged("it is being written")
    elif os.pread(descriptor, content.entry.size, 0) != content.data:
        raise SourceChanged("it is being written")


def _check(now: LocalEntry, first: LocalEntry, *, growing: bool) -> None:
    """Raises SourceChanged unless the file is what it was at the first look, or has only become longer."""
    if now != first and not (growing and now.size >= first.size):
        raise SourceChanged("it changed while it was read")


class _Reading:
    """One pass over a large file, a piece a call, each call in some thread. `close` waits for a call under way."""

    def __init__(self, place: Place, entry: LocalEntry, *, growing: bool, wanted: str | None) -> None:
        self._place = place
        self._entry = entry
        self._growing = growing
        self._wanted = wanted
        self._left = entry.size
        self._digest = hashlib.md5(usedforsecurity=False)
        self._descriptor = -1
        self._closed = False
        self._lock = threading.Lock()

    def next(self) -> Piece | None:
        """The next piece, and with the last one the checksum; None once it is closed. The file is looked at after every
        read: what was read is what it was at the first look, and has the checksum that is wanted if one is; or
        SourceChanged."""
        with self._lock, _reading(self._entry.key):
            if self._closed:
                return None
            if self._descriptor < 0:
                self._descriptor = _open(self._place, self._entry.key)
            piece = _exactly(self._descriptor, min(CHUNK_BYTES, self._left))
            now = _stat(self._descriptor, self._entry.key)
            _check(now, self._entry, growing=self._growing and now.inode == self._entry.inode)
            self._digest.update(piece)
            self._left -= len(piece)
            if self._left:
                return Piece(piece, None)
            checksum = self._digest.hexdigest()
            if checksum != (self._wanted or checksum):
                raise SourceChanged("what was written before changed while it was read")
            return Piece(piece, checksum)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def unprovable_for_ns(entry: LocalEntry, now_ns: int) -> int:
    """How long until a reading of the file proves anything later, 0 if one does now.

    A change within the clock's grain of the last one leaves the same timestamps. Only the ctime cannot be set, so an
    mtime counts only where it is about now (filesystems that keep no ctime of their own).
    """
    coarse = entry.mtime_ns % 1_000_000_000 == 0 and entry.ctime_ns % 1_000_000_000 == 0
    grain_ns = COARSE_GRAIN_NS if coarse else GRAIN_NS
    newest_ns = entry.ctime_ns
    if abs(entry.mtime_ns - now_ns) <= grain_ns:
        newest_ns = max(newest_ns, entry.mtime_ns)
    return max(0, newest_ns + grain_ns + 1 - now_ns)


def _settled(descriptor: int, key: bytes) -> tuple[LocalEntry, bool, bool]:
    """The file's stat, whether it proves anything, and whether the file is being written at this very moment.

    One that has just changed is given the moment to pass: within it, a stat does not tell of a further change.
    """
    first = now = _stat(descriptor, key)
    wait_ns = unprovable_for_ns(now, time.time_ns())
    if 0 < wait_ns <= COARSE_GRAIN_NS:
        time.sleep(wait_ns / 1e9)
        now = _stat(descriptor, key)
    return now, unprovable_for_ns(now, time.time_ns()) == 0, now != first


@contextmanager
def _reading(key: bytes) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceChanged("it is gone") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SourceChanged("it is a symlink now") from error
        raise Unreadable(f"cannot read {path_of(key)!r}: {error.strerror}") from error


@contextmanager
def _opened(place: Place, key: bytes) -> Iterator[int]:
    descriptor = _open(place, key)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(place: Place, key: bytes) -> int:
    """Not blocking on a FIFO, not following what has become a symlink since the scan, at whatever level."""
    path = place.path(key)
    no_follow = 0 if place.follow_symlinks else os.O_NOFOLLOW
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | no_follow
    descriptor = _opened_in_time(path, flags)
    try:
        if _is_confined(descriptor, path, place):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise SourceChanged("it was replaced, or a directory on its way by a symlink")


def _opened_in_time(path: bytes, flags: int) -> int:
    """Tried for a second while too many files are open: other transfers are about to close theirs."""
    for _ in range(20):
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            time.sleep(0.05)
    return os.open(path, flags)


def _is_confined(descriptor: int, path: bytes, place: Place) -> bool:
    """One system call where /proc tells what was opened, a look at every directory on the way where it does not."""
    try:
        opened = os.readlink(DESCRIPTORS % descriptor)
    except OSError:
        opened = b""
    if opened == path or (place.follow_symlinks and is_inside(opened, place.root)):
        return True
    real = os.path.realpath(path)
    if not is_inside(real, place.root) or (real != path and not place.follow_symlinks):
        return False
    return os.path.samestat(os.lstat(real), os.fstat(descriptor))


def _stat(descriptor: int, key: bytes) -> LocalEntry:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SourceChanged("it is no regular file any more")
    return LocalEntry(key, Kind.FILE, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _exactly(descriptor: int, size_bytes: int) -> bytes:
    data = os.read(descriptor, size_bytes)
    while len(data) < size_bytes:
        more = os.read(descriptor, size_bytes - len(data))
        if not more:
            raise SourceChanged("it became shorter while it was read")
        data += more
    return data
