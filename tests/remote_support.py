"""What the tests of the remotes share: a sandbox with a remote on it, contents, a sink, and quick patience."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from syncd.core.model import Fingerprint, Kind, LocalEntry, RemoteEntry
from syncd.core.paths import path_of
from syncd.core.retry import Patience
from syncd.errors import LocalError
from syncd.ports import Content, Remote
from syncd.remotes import Account, Losant, Privasfer, Traffic
from syncd.remotes.privasfer import CAPABILITIES as PRIVASFER
from syncd.remotes.privasfer_names import kept_name, path_of_name
from syncd.sandbox import APPLICATION_ID, TOKEN, Knobs, Record, Sandbox
from syncd.sandbox import Kind as Library

QUICK = Patience(
    backoff_base_s=0.002,
    backoff_cap_s=0.02,
    dead_after_s=20.0,
    lookup_s=0.3,
    standstill_s=5.0,
    poll_cap_s=0.05,
    connect_s=10.0,
    stall_s=10.0,
)
"""Waits so short that a test does not; time limits so long that a busy machine does not reach them."""


class Bytes(Content):
    """Content in memory, streamed in pieces of `piece_bytes` if given; `ends_with` is raised before the last one."""

    def __init__(
        self,
        data: bytes,
        *,
        piece_bytes: int = 0,
        ends_with: LocalError | None = None,
        content_type: str = "text/plain",
        dimensions: tuple[int, int] | None = None,
    ) -> None:
        self.entry = LocalEntry(b"local", Kind.FILE, len(data), 0, 0, 0)
        self.content_type = content_type
        self.dimensions = dimensions
        self.data = None if piece_bytes else data
        self.readings = 0
        self._all = data
        self._piece_bytes = piece_bytes
        self._ends_with = ends_with
        self._checksum = None if piece_bytes else md5(data)

    @property
    def checksum(self) -> str | None:
        return self._checksum

    @property
    def fingerprint(self) -> Fingerprint:
        raise AssertionError("a remote has no use for it")

    async def chunks(self) -> AsyncIterator[bytes]:
        self.readings += 1
        for start in range(0, len(self._all), self._piece_bytes):
            if self._ends_with is not None and start + self._piece_bytes >= len(self._all):
                raise self._ends_with
            yield self._all[start : start + self._piece_bytes]
        self._checksum = md5(self._all)


class Listed:
    """A sink in memory. Repeats are kept once, as a spool does."""

    def __init__(self) -> None:
        self.entries: dict[tuple[bytes, str], RemoteEntry] = {}
        self.cleared = 0

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        self.entries.update({(entry.key, entry.id): entry for entry in entries})

    async def clear(self) -> None:
        self.cleared += 1
        self.entries.clear()

    def sorted(self) -> list[RemoteEntry]:
        return [self.entries[which] for which in sorted(self.entries)]

    def paths(self) -> list[str]:
        return [path_of(entry.key) for entry in self.sorted()]


class Received:
    """A receiver in memory; `fails_with` is raised at the first piece."""

    def __init__(self, fails_with: LocalError | None = None) -> None:
        self.pieces: list[bytes] = []
        self.begun = 0
        self._fails_with = fails_with

    async def begin(self) -> None:
        self.begun += 1
        self.pieces = []

    async def write(self, piece: bytes) -> None:
        if self._fails_with is not None:
            raise self._fails_with
        self.pieces.append(piece)

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


def lacks(library: Library) -> set[str]:
    """Which capabilities the remote does not have."""
    if library != "privasfer":
        return set()
    return {name for name in PRIVASFER.__dataclass_fields__ if getattr(PRIVASFER, name) is False}


class World:
    """A sandbox and one remote on it, whose destination is the directory `dest`."""

    def __init__(self, sandbox: Sandbox, account: Account, library: Library, directory: str = "dest") -> None:
        self.sandbox = sandbox
        self.account = account
        self.library: Library = library
        self.traffic = Traffic()
        self.sent: list[int] = []
        self.remote = self.remote_at(directory)

    def remote_at(
        self, directory: str, *, application_id: str = APPLICATION_ID, account: Account | None = None
    ) -> Remote:
        if self.library == "privasfer":
            account = account or self.account
            return Privasfer(account, directory=directory, traffic=self.traffic, sent=self.sent.append)
        return Losant(
            account or self.account,
            application_id=application_id,
            private=self.library == "privateFiles",
            directory=directory,
            traffic=self.traffic,
            sent=self.sent.append,
        )

    def turn(self, **knobs: Any) -> None:
        self.sandbox.knobs = replace(self.sandbox.knobs, **knobs)

    def plant(self, path: str, content: bytes = b"planted") -> Record:
        """A file at a path of the account, which begins with a slash."""
        name = kept_name(path[1:]) if self.library == "privasfer" else path
        return self.sandbox.plant(name, content, kind=self.library)

    def files(self) -> dict[str, bytes]:
        """The completed files of the whole account."""
        tree = self.sandbox.tree(self.library)
        return {self._path(path): data for path, data in tree.items() if data is not None}

    def records_at(self, path: str) -> list[Record]:
        records = self.sandbox.records(self.library)
        if self.library == "privasfer":
            records = [record for record in records if not record.lingers]
        return [record for record in records if self._path(record.path) == path]

    def live_files(self) -> int:
        """How many records of files there are, whatever their state, without those that only linger."""
        records = self.sandbox.records(self.library)
        return sum(record.type == "file" and not record.lingers for record in records)

    def _path(self, kept: str) -> str:
        return path_of_name(kept) if self.library == "privasfer" else kept

    def asked(self, operation: str) -> int:
        return self.sandbox.requests.counts[operation]

    async def listed(
        self, directory: str = "", *, recursive: bool = True, directories_known: int | None = None
    ) -> Listed:
        sink = Listed()
        await self.remote.entries(directory, sink, recursive=recursive, directories_known=directories_known)
        return sink

    async def put(self, path: str, data: bytes = b"content") -> RemoteEntry:
        return await self.remote.create(path, Bytes(data))


@asynccontextmanager
async def world(
    data: Path, library: Library, *, patience: Patience = QUICK, separate_storage: bool = False, **knobs: Any
) -> AsyncIterator[World]:
    sandbox = Sandbox(data, knobs=Knobs(**knobs))
    await sandbox.start(storage_port=0 if separate_storage else None)
    try:
        async with account_of(sandbox, patience=patience) as account:
            yield World(sandbox, account, library)
    finally:
        await sandbox.close()


Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Storage:
    """A storage host that answers as it is told, one answer after the other; the last one stays."""

    def __init__(self, *answers: Answering) -> None:
        self._answers = list(answers)
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        return await (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])(request)


@asynccontextmanager
async def storage(world: World, *answers: Answering) -> AsyncIterator[Storage]:
    """An own storage host, which the API names from now on for what is sent and for what is fetched."""
    host = Storage(*answers)
    runner = web.ServerRunner(web.Server(host.answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}/bucket"
    world.turn(upload_url=host.url, content_url=host.url)
    try:
        yield host
    finally:
        await runner.cleanup()


def account_of(sandbox: Sandbox, *, token: str = TOKEN, patience: Patience = QUICK, **more: Any) -> Account:
    return Account(name="test", api_url=sandbox.url, token=lambda: token, patience=patience, **more)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
