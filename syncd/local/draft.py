"""A file beside its place in the source, until it is put there whole. Blocks.

Made by `writer` in a directory that it has open, driven by `incoming`. Never overwrites what was not seen, never leaves
a half of a file under a name that a scan shows.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from syncd.core.model import UNTRUSTED, Kind, LocalEntry
from syncd.core.paths import name_of
from syncd.errors import SourceChanged, Unwritable
from syncd.local.content import COARSE_GRAIN_NS
from syncd.local.walk import TEMPORARY

TRIES = 3
DRAFT = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a filesystem without hard links says."""


class Draft:
    """A file beside its place, under a name of its own that no scan shows. `parent` is a descriptor of its directory,
    closed with it. Raises Unwritable.

    The name is the same for every try, so that what killed runs left does not pile up; the lock keeps two runs from
    writing one draft.
    """

    def __init__(self, parent: int, key: bytes, seen: LocalEntry | None) -> None:
        self._parent = parent
        self._key = key
        self._name = name_of(key)
        self._seen = seen
        self._temporary = TEMPORARY + hashlib.sha256(self._name).hexdigest()[:16].encode()
        self._placed = False
        try:
            with worded():
                self.descriptor = self._open()
        except BaseException:
            os.close(parent)
            raise

    def _open(self) -> int:
        """A new file. What was left under the name is removed and never written to: a run that was killed after it
        linked the draft to its place left a second name of the very file."""
        for _ in range(TRIES):
            descriptor, is_new = self._opened()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = os.stat(self._temporary, dir_fd=self._parent, follow_symlinks=False)
                if is_new and os.path.samestat(os.fstat(descriptor), there):
                    return descriptor
                os.unlink(self._temporary, dir_fd=self._parent)
            except (BlockingIOError, FileNotFoundError):
                os.close(descriptor)
                break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise Unwritable("another pull is writing it")

    def _opened(self) -> tuple[int, bool]:
        """A descriptor of what is under the name, and whether that was made just now."""
        try:
            return os.open(self._temporary, DRAFT | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self._parent), True
        except FileExistsError:
            return os.open(self._temporary, DRAFT, dir_fd=self._parent), False

    def append(self, block: bytes) -> None:
        with worded():
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

    def void(self) -> None:
        """Empty it: what was written is not wanted."""
        with worded():
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)

    def place(self, modified_ns: int | None) -> LocalEntry:
        """Put it where it belongs, durably, with its time and the old one's owner and mode; returns what is there now.

        A new file never takes the place of another: it is linked there, which fails if something is. One that replaces
        another is renamed onto it right after a look that it is still what was seen. Raises SourceChanged.
        """
        with worded():
            self._take_after_the_old()
            if modified_ns is not None:
                os.utime(self.descriptor, ns=(modified_ns, modified_ns))
            os.fsync(self.descriptor)
            if self._seen is None:
                self._put_new()
            else:
                check_unchanged(self._parent, self._name, self._seen)
                os.rename(self._temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            self._placed = True
            os.fsync(self._parent)
            now = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False)
            if not os.path.samestat(now, os.fstat(self.descriptor)):
                raise SourceChanged("it was replaced as soon as it was there")
            return _entry_of(self._key, now)

    def _put_new(self) -> None:
        try:
            os.link(
                self._temporary,
                self._name,
                src_dir_fd=self._parent,
                dst_dir_fd=self._parent,
                follow_symlinks=False,
            )
        except FileExistsError:
            raise SourceChanged("something came into its place meanwhile") from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            check_unchanged(self._parent, self._name, None)
            os.rename(self._temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        else:
            os.unlink(self._temporary, dir_fd=self._parent)

    def _take_after_the_old(self) -> None:
        if self._seen is None:
            return
        with suppress(OSError):
            old = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False)
            with suppress(OSError):
                os.fchown(self.descriptor, old.st_uid, old.st_gid)
            os.fchmod(self.descriptor, stat.S_IMODE(old.st_mode))

    def close(self) -> None:
        """Away with it, unless it was put in its place."""
        if not self._placed:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._parent)
        os.close(self.descriptor)
        os.close(self._parent)


@contextmanager
def worded() -> Iterator[None]:
    """What the system says, in the words of `errors`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Unwritable("a file or a symlink is here where a directory is needed") from error
        raise Unwritable(f"it cannot be written: {error.strerror}") from error


def check_unchanged(parent: int, name: bytes, seen: LocalEntry | None) -> None:
    """Raises SourceChanged."""
    try:
        now = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        if seen is None:
            return
        raise SourceChanged("it went away meanwhile") from None
    if seen is None:
        raise SourceChanged("something came into its place meanwhile")
    fields = (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
    if not stat.S_ISREG(now.st_mode) or fields != (seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode):
        raise SourceChanged("it changed meanwhile, and was left as it is")


def _entry_of(key: bytes, now: os.stat_result) -> LocalEntry:
    """The stat that proves the content from now on. Nobody else knew the file until a moment ago, and whoever writes to
    it now gives it a modification time of now: only if the one it was given is about now, too, does it prove nothing.
    """
    is_fresh = abs(time.time_ns() - now.st_mtime_ns) <= COARSE_GRAIN_NS
    mtime_ns = UNTRUSTED if is_fresh else now.st_mtime_ns
    return LocalEntry(key, Kind.FILE, now.st_size, mtime_ns, now.st_ctime_ns, now.st_ino)
