"""One run of a job at a time: a lock file beside the job's database.

Called by `sqlite`, held for as long as the database is open; the kernel lets go of it when the process dies, however it
does. The file is never removed: whoever removes a lock file lets two holders in.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from syncd.errors import JobLocked


class JobLock:
    """The lock on `path`. Its content, the holder's process id, is written by `mark` once the database is in use: a
    file that is not empty says that there was one."""

    def __init__(self, path: Path, *, database: Path) -> None:
        """Raises JobLocked, naming the database and the holder; OSError."""
        self._path = path
        self._descriptor = -1
        while self._descriptor < 0:
            self._descriptor = self._locked(database)
        self.was_used = os.fstat(self._descriptor).st_size > 0

    def mark(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)

    def _locked(self, database: Path) -> int:
        """The locked file, or -1 if what was locked is not what is at the path any more: look again."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            process = f" (process {holder})" if holder else ""
            raise JobLocked(f"another syncd{process} is already running this job: {database}") from error
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return -1
