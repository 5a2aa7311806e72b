"""Starts syncd from a process that has loaded it already: the same program in a process of its own, ten times sooner.

`Nursery` is the test's side. Run as a program, this module is the other: it loads what a run needs and then, for each
request, forks a child that becomes the run, and between them one that tells how the run ended.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOADED = (
    "syncd.app.once",
    "syncd.app.visits",
    "syncd.cli.commands",
    "syncd.settings",
    "syncd.settings.show",
    "syncd.telemetry.console",
    "structlog",
)
REQUEST_BYTES = 1024 * 1024


class Run:
    """A run, as far as tests need what `subprocess.Popen` has."""

    def __init__(self, status: int, out: int, err: int) -> None:
        self._status = status
        self._outputs = {out: bytearray(), err: bytearray()}
        self._open = {out, err}
        self._out, self._err = out, err
        self.returncode: int | None = None
        self.pid = int.from_bytes(os.read(status, 8), "big")

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("syncd", timeout or 0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        end_s = None if timeout is None else time.monotonic() + timeout
        while self._open:
            left_s = None if end_s is None else end_s - time.monotonic()
            ready = select.select(list(self._open), [], [], None if left_s is None else max(left_s, 0))[0]
            if not ready:
                raise subprocess.TimeoutExpired("syncd", timeout or 0)
            for descriptor in ready:
                self._read(descriptor)
        self.wait(None if end_s is None else max(end_s - time.monotonic(), 0))
        return bytes(self._outputs[self._out]), bytes(self._outputs[self._err])

    def _read(self, descriptor: int) -> None:
        block = os.read(descriptor, 65536)
        self._outputs[descriptor] += block
        if not block:
            os.close(descriptor)
            self._open.discard(descriptor)

    def _ended(self) -> None:
        status = os.read(self._status, 8)
        os.close(self._status)
        self.returncode = os.waitstatus_to_exitcode(int.from_bytes(status, "big")) if status else -signal.SIGKILL


class Nursery:
    """The loaded process; `start` makes runs of it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_BYTES)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])

    def start(
        self,
        words: Sequence[str | Path],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        hasty: bool = False,
    ) -> Run:
        """`hasty`: some waits are shorter than in life (`hurry`), and nothing else is different."""
        words = [os.fsdecode(word) for word in words]
        request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(environment), "hasty": hasty})
        (out, out_), (err, err_), (status, status_) = os.pipe(), os.pipe(), os.pipe()
        try:
            socket.send_fds(self._socket, [request.encode("utf-8", "surrogateescape")], [out_, err_, status_])
        finally:
            for theirs in (out_, err_, status_):
                os.close(theirs)
        return Run(status, out, err)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def serve(connection: socket.socket) -> None:
    """Returns in the child that is to become a run, and when nobody can ask any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
        if not request:
            sys.exit(0)
        if os.fork() == 0:
            connection.close()
            return begin(json.loads(request.decode("utf-8", "surrogateescape")), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def begin(request: dict[str, Any], out: int, err: int, status: int) -> None:
    """Returns in the run; this process waits for it and tells of its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    run = os.fork()
    if run != 0:
        os.close(out)
        os.close(err)
        os.write(status, run.to_bytes(8, "big"))
        os.write(status, os.waitpid(run, 0)[1].to_bytes(8, "big"))
        os._exit(0)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    os.close(status)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - made anew, as the ones there know what was there before
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["syncd", *request["words"]]
    if request["hasty"]:
        hurry()


def hurry() -> None:
    """Do not look for half a minute for a lost answer's effect, nor wait long before everything is looked at again."""
    account, reconcile = map(importlib.import_module, ("syncd.remotes.account", "syncd.engine.reconcile"))
    vars(account)["Patience"] = functools.partial(account.Patience, lookup_s=2.0)
    vars(reconcile)["LONGEST_PAUSE_S"] = 0.5


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()  # what is loaded is looked at by no run's collector: its memory stays shared
    serve(socket.socket(fileno=int(sys.argv[1])))
    from syncd.cli import main

    main()
