"""Standard output and standard error that cannot hurt a run: closed, full or gone, the mirror goes on.

Used by `cli` and `console`. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from syncd.telemetry.text import printable


def secure() -> None:
    """Put /dev/null where a standard stream was closed, so that no file of ours gets its number (and is written to as
    if it were a terminal), and let no character be one that a stream cannot write."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def write_result(text: str) -> bool:
    """Write to standard output; False if it could not be written whole, which is said unless the reader went away."""
    if sys.stdout is None:
        return True
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(1)
    except OSError as error:
        _silence(1)
        say(f"syncd: cannot write the result: {error.strerror}")
        return False
    return True


def say(line: str) -> None:
    """Write one line to standard error, if it is still there; a line that a full disk refuses is lost."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _silence(2)
    except (OSError, ValueError):  # ValueError: closed within this process
        return


def finish() -> None:
    """Let nothing that could not be written be tried, and complained of, again while the interpreter ends."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _silence(descriptor)


class Unfailing(io.TextIOBase):
    """A stream for what must not end a run by failing to write: after its first failure it writes nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failed = False

    def write(self, text: str, /) -> int:
        if not self._failed:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._failed = True
        return len(text)

    def flush(self) -> None:
        if not self._failed:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._failed = True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def say_error(message: str) -> None:
    """`syncd: MESSAGE`, each of its lines safe to show."""
    for line in message.splitlines() or [""]:
        say(f"syncd: {printable(line)}")


def _silence(descriptor: int) -> None:
    """Let what is still buffered, and all that follows, go nowhere instead of failing again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
