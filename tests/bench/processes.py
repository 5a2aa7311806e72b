"""Processes: run one to its end and say what it took, or keep a sandbox running beside it.

Standard library only, here and in everything that the bench process itself imports: a child's peak memory begins at
that of the process which started it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "sandbox"
APPLICATION_ID = "5a9db0c5e1f4a20007c0ffee"
START_TIMEOUT_S = 30.0


class BenchError(Exception):
    """A process did not do what it was measured for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process took from its start to its end."""

    wall_s: float
    cpu_s: float
    """User and system time, of its threads and ended children too."""
    peak_bytes: int
    output: str


def python(*arguments: str | Path) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def measure(command: Sequence[str]) -> Sample:
    """Raises BenchError, with what the process said, if it does not exit with 0."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=REPOSITORY, env=_environment())
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchError(f"{' '.join(command)}\nexited with {process.returncode}: {_text(errors)}{_text(output)}")
        return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, _text(output))


@contextlib.contextmanager
def sandbox(data: Path, *, latency_s: float = 0.0) -> Iterator[str]:
    """The URL of a sandbox in a process of its own. The data directory is removed at the end."""
    address = f"127.0.0.1:{_free_port()}"
    knobs = ["--knob", f"latency={latency_s}", "--knob", "completion_delay=0"]
    command = python("-m", "syncd", "sandbox", "--listen", address, "--data", data, *knobs)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=REPOSITORY, env=_environment())
        try:
            _wait_for(address, process, said)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(data, ignore_errors=True)


def _wait_for(address: str, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    host, _, port = address.partition(":")
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.01)
    raise BenchError(f"the sandbox does not listen on {address}: {_text(said)}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _environment() -> Mapping[str, str]:
    """Without what would configure the measured programs: settings of syncd, and proxies. Python may keep what it
    compiled, as an installation does."""
    unwanted = ("SYNCD_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
