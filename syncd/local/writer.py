"""Changes to the source directory, for `pull`: directories made, files put in their place, what went removed.

Made by `app`, called by `engine.fetch` and `incoming`. Every path is walked from one descriptor of the source, a
directory at a time, and no symlink on the way is followed: whatever others rename or link meanwhile, nothing outside
the source is written or removed. What is not what was seen is left as it is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from syncd.core.model import Kind, LocalEntry
from syncd.core.paths import SEPARATOR, key_of, name_of
from syncd.errors import SourceMissing, Unwritable
from syncd.local.draft import Draft, check_unchanged, worded
from syncd.local.incoming import IncomingFile

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LONGEST_PATH_BYTES = 4095
"""What is longer could be written from one directory to the next, and could not be read by its path."""


class Writer:
    """The source at `root`; with `make` it is made, with its parents, if it is not there, else that raises
    SourceMissing. Methods block and are run in a thread."""

    def __init__(self, root: Path, *, make: bool = False) -> None:
        self._root_bytes = len(os.path.realpath(os.fsencode(root)))
        try:
            if make:
                root.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceMissing(f"the source {str(root)!r} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._descriptor)

    def incoming(self, path: str, seen: LocalEntry | None) -> IncomingFile:
        """See `ports.LocalWriter`."""
        return IncomingFile(lambda: Draft(self.parent_of(path), key_of(path), seen))

    def make_directory(self, path: str) -> None:
        """With its parents; one that is there is success. Raises Unwritable."""
        os.close(self.parent_of(f"{path}/it"))

    def remove(self, path: str, seen: LocalEntry) -> bool:
        """Remove a file that is still what was seen, or a directory if it is empty; whether it went.

        Raises SourceChanged, Unwritable.
        """
        name = name_of(seen.key)
        parent = self.parent_of(path, make=False)
        try:
            if seen.kind == Kind.DIRECTORY:
                with suppress(OSError):
                    os.rmdir(name, dir_fd=parent)
                    return True
                return False
            with worded():
                check_unchanged(parent, name, seen)
                os.unlink(name, dir_fd=parent)
            return True
        finally:
            os.close(parent)

    def parent_of(self, path: str, *, make: bool = True) -> int:
        """A descriptor of the directory that holds the path, made if it is to be. Raises Unwritable."""
        key = key_of(path)
        if self._root_bytes + 1 + len(key) > LONGEST_PATH_BYTES:
            raise Unwritable(f"its path would be longer than {LONGEST_PATH_BYTES} bytes here")
        with worded():
            descriptor = os.dup(self._descriptor)
            try:
                for directory in key.split(SEPARATOR)[:-1]:
                    inner = _inner(descriptor, directory, make=make)
                    os.close(descriptor)
                    descriptor = inner
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor


def _inner(parent: int, name: bytes, *, make: bool) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, DIRECTORY, dir_fd=parent)
