"""The daemon's end of the control socket: `control.sock` in the state directory, for its owner only.

Made by `app` around the running daemon; `cli.control` talks to it. It holds the state directory's lock while it
listens: a socket that is found under the lock belongs to nobody any more. It decides nothing, it asks the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from syncd.core.model import Waited
from syncd.core.words import count_text
from syncd.errors import JobLocked
from syncd.ports import Daemon
from syncd.telemetry import wire
from syncd.telemetry.overview import status_data

Answer = dict[str, Any]

_USAGE = 2
_CLIENTS_AT_MOST = 64
_PATIENCE_S = 10.0
"""How long a client may take to say what it wants, and to read the answer."""


class _BadRequest(Exception):
    pass


class ControlServer:
    """Serves while entered. Entering raises JobLocked if a daemon is already running with this state directory, and
    OSError if there can be no socket in it."""

    def __init__(self, state_dir: Path, daemon: Daemon) -> None:
        self._state_dir = state_dir
        self._daemon = daemon
        self._lock = -1
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._commands: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
            "status": self._status,
            "approve": self._approve,
            "rescan": self._rescan,
            "pause": self._pause,
            "resume": self._resume,
            "why": self._why,
        }

    async def __aenter__(self) -> Self:
        self._lock = _locked(self._state_dir)
        try:
            listener = _listening(self._state_dir)
            self._server = await asyncio.start_unix_server(
                self._connected, sock=listener, limit=wire.REQUEST_LIMIT_BYTES
            )
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hangs up on whoever still waits."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        (self._state_dir / wire.SOCKET_NAME).unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        os.close(self._lock)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Not a coroutine: asyncio before 3.12 logs a traceback for one that is cancelled."""
        client = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)
        client.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(wire.encode(await self._answer(reader)))
            await asyncio.wait_for(writer.drain(), _PATIENCE_S)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            request = wire.decode(await asyncio.wait_for(reader.readline(), _PATIENCE_S))
            if len(self._clients) > _CLIENTS_AT_MOST:
                return {"exit": 1, "text": f"{_CLIENTS_AT_MOST} others are connected already: try again later"}
            if request.get("command") == "wait":
                return await self._wait(_jobs(request), reader)
            return self._command(request)(request)
        except KeyError as error:
            known = ", ".join(status.job for status in self._daemon.status())
            return {"exit": _USAGE, "text": f"{error.args[0]}: the running daemon has no such job (it has: {known})"}
        except _BadRequest as error:
            return {"exit": _USAGE, "text": str(error)}
        except ValueError:  # no JSON, or a line beyond the limit
            return {"exit": _USAGE, "text": "the daemon did not understand the request"}

    def _command(self, request: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Answer]:
        command = request.get("command")
        if not isinstance(command, str) or command not in self._commands:
            raise _BadRequest(f"the running daemon does not know {command!r}: is it of another version?")
        return self._commands[command]

    async def _wait(self, jobs: Sequence[str], reader: asyncio.StreamReader) -> Answer:
        """Until it is done, or until the client went away."""
        waiting = asyncio.ensure_future(self._daemon.wait(jobs))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ConnectionAbortedError
            how, text = waiting.result()
            return {"exit": how.value, "text": text or _WAITED[how]}
        finally:
            for task in (waiting, gone):
                task.cancel()
            await asyncio.gather(waiting, gone, return_exceptions=True)

    def _status(self, _request: Mapping[str, Any]) -> Answer:
        return {"exit": 0, "status": status_data(self._daemon.status())}

    def _approve(self, request: Mapping[str, Any]) -> Answer:
        job = _job(request)
        if job is None:
            raise _BadRequest("approve needs the name of a job")
        released = self._daemon.approve(job)
        what = f"{count_text(released, 'held deletion')} released" if released else "approved; no deletions were held"
        return {"exit": 0, "text": f"{job}: {what}"}

    def _rescan(self, request: Mapping[str, Any]) -> Answer:
        job = _job(request)
        self._daemon.rescan(job)
        return {"exit": 0, "text": f"{job or 'all jobs'}: full reconcile begun"}

    def _pause(self, request: Mapping[str, Any]) -> Answer:
        job = _job(request)
        self._daemon.pause(job)
        return {"exit": 0, "text": f"{job or 'all jobs'}: paused until `syncd resume` or a restart"}

    def _resume(self, request: Mapping[str, Any]) -> Answer:
        job = _job(request)
        self._daemon.resume(job)
        return {"exit": 0, "text": f"{job or 'all jobs'}: resumed"}

    def _why(self, request: Mapping[str, Any]) -> Answer:
        job, path = _job(request), request.get("path")
        if job is None or not isinstance(path, str):
            raise _BadRequest("why needs the name of a job and a path")
        return {"exit": 0, "path": wire.path_data(self._daemon.why(job, path))}


_WAITED = {
    Waited.DONE: "everything changed until now is on the destination",
    Waited.HELD: "part is held (syncd status tells what)",
    Waited.STUCK: "part cannot be done (syncd status tells what)",
}


def _job(request: Mapping[str, Any]) -> str | None:
    job = request.get("job")
    if job is not None and not isinstance(job, str):
        raise _BadRequest("a job is named by text")
    return job


def _jobs(request: Mapping[str, Any]) -> list[str]:
    jobs = request.get("jobs", [])
    if not isinstance(jobs, list) or not all(isinstance(job, str) for job in jobs):
        raise _BadRequest("jobs are named by a list of texts")
    return jobs


def _locked(state_dir: Path) -> int:
    """A descriptor of the directory, made if it is missing, with its lock: the kernel lets go when the process dies."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JobLocked(f"another syncd is already running with the state directory {str(state_dir)!r}") from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _listening(state_dir: Path) -> socket.socket:
    (state_dir / wire.SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before bind: Linux gives the file this mode, it is never open to others
        with wire.address(state_dir) as address:
            listener.bind(address)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
