"""The control socket as both of its ends know it: where it is, and one line of JSON each way.

Used by `control` (the daemon's end) and `cli.control` (the other).

A request is `{"command": NAME, ...}` with `"job"` (rescan, pause, resume: absent for all; approve) or `"jobs"` (wait),
or with `"job"` and `"path"` (why). The answer is `{"exit": CODE}` with `"text"` (a sentence), `"status"` (the object of
`overview.status_data`) or `"path"` (that of `path_data`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from syncd.core.model import JobState, PathStatus

SOCKET_NAME = "control.sock"
REQUEST_LIMIT_BYTES = 64 * 1024

_LONGEST_ADDRESS_BYTES = 107
"""unix(7): 108 with the NUL that ends it."""


@contextlib.contextmanager
def address(state_dir: Path) -> Iterator[str]:
    """What the socket of a state directory is bound and connected to: its path, or, where that is longer than an
    address can be, one through a descriptor of the directory. Raises OSError."""
    path = state_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS_BYTES:
        yield str(path)
        return
    descriptor = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def path_data(status: PathStatus) -> dict[str, Any]:
    """The answer to why; `path_status` makes it one again."""
    return {**asdict(status), "state": status.state.value}


def path_status(data: Mapping[str, Any]) -> PathStatus:
    return PathStatus(**{**data, "state": JobState(data["state"])})


def encode(message: Mapping[str, Any]) -> bytes:
    """One line; names that are no UTF-8 travel as JSON's escapes."""
    return json.dumps(message).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Raises ValueError for what is no line with a JSON object."""
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not line.endswith(b"\n") or not isinstance(message, dict):
        raise ValueError("not one line with a JSON object")
    return message
