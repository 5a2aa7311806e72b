"""The sandbox as a whole: composition, listening, and the way of every request from arrival to log.

Tests, the embedded destination and the command line start a `Sandbox`; `serve` runs one until it is cancelled. The
rules of the APIs are in the sites that it hands requests to; a further API is a further entry in `_sites`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from syncd.sandbox.contents import Contents
from syncd.sandbox.errors import ConnectionDropped, Refusal, not_found
from syncd.sandbox.exchange import Exchange, Handler, Site, refuse
from syncd.sandbox.jobs import Jobs
from syncd.sandbox.knobs import Conditions, Knobs
from syncd.sandbox.library import Library
from syncd.sandbox.losant import Losant
from syncd.sandbox.privasfer import Privasfer
from syncd.sandbox.records import Encoder, Kind, Record, split_path
from syncd.sandbox.s3 import Signer
from syncd.sandbox.storage import Addresses, Storage
from syncd.sandbox.store import Store
from syncd.sandbox.traffic import LoggedRequest, RequestLog

APPLICATION_ID = "5a9db0c5e1f4a20007c0ffee"
TOKEN = "sandbox"
LONGEST_LINE_BYTES = 64 * 1024
READ_BUFFER_BYTES = 512 * 1024
SHUTDOWN_TIMEOUT_S = 0.5


class Sandbox:
    """A server for public and private files, and for a Privasfer account, over one data directory.

    `data` is made if it is missing and is held alone while the sandbox runs. `applications` are the ids that exist;
    None: any. `public_url` is what addresses handed out begin with, if not the address that is listened on.
    """

    def __init__(
        self,
        data: Path,
        *,
        token: str = TOKEN,
        applications: Collection[str] | None = (APPLICATION_ID,),
        knobs: Knobs | None = None,
        public_url: str | None = None,
    ) -> None:
        self.requests = RequestLog()
        self.url = ""
        self.storage_url = ""
        self.on_page: Callable[[], None] | None = None
        """Called after every page of a listing that was answered: a test changes records here."""
        self._data = data
        self._token = token
        self._applications = applications
        self._conditions = Conditions(knobs or Knobs())
        self._public_url = public_url
        self._jobs = Jobs()
        self._sites: dict[str, Site] = {}
        self._runner: web.ServerRunner | None = None
        self._store: Store
        self._contents: Contents
        self._library: Library

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, storage_port: int | None = None) -> None:
        """Open the data directory and listen. `storage_port`: a port of its own for the object storage, 0: any.

        Raises:
            DataDirectoryInUse: another process has the data directory.
            SandboxError: the data directory was written by a newer version.
            OSError: the address cannot be listened on.
        """
        self._store = await asyncio.to_thread(Store.open, self._data)
        self._contents = Contents(self._store)
        self._runner = web.ServerRunner(
            web.Server(
                self._answer,
                access_log=None,
                max_line_size=LONGEST_LINE_BYTES,
                read_bufsize=READ_BUFFER_BYTES,
            ),
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        listeners: list[socket.socket] = []
        try:
            await self._runner.setup()
            ports = (port,) if storage_port is None else (port, storage_port)
            listeners.extend(_listener(host, each) for each in ports)
            self._name_addresses(host, [listener.getsockname()[1] for listener in listeners])
            await self._compose()
            for listener in listeners:
                await web.SockSite(self._runner, listener).start()
        except BaseException:
            for listener in listeners:
                listener.close()
            await self.close()
            raise

    async def close(self) -> None:
        """Answer no more requests, commit what is waiting and let go of the data directory."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self._jobs.close()
        self._contents.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def knobs(self) -> Knobs:
        """The knobs in force. Setting them starts chance and the counts of faults anew."""
        return self._conditions.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self._conditions.set(knobs)

    @property
    def token(self) -> str:
        """The token that the API takes."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = token
        self._losant.token = self._privasfer.token = token

    def records(self, kind: Kind = "files") -> list[Record]:
        """All records of a kind in the order of their making, lingering ones included."""
        return self._library.all_records(kind)

    def at(self, path: str, *, kind: Kind = "files", application: str = APPLICATION_ID) -> Record | None:
        """The record at a path as it is now: whoever asks often asks here."""
        return self._library.catalog(application, kind).at_path(path)

    def content(self, record: Record) -> bytes:
        """The content that the storage holds for a record. Blocks while a large one is read."""
        return b"" if record.content is None else self._contents.read(record.content)

    def tree(self, kind: Kind = "files") -> dict[str, bytes | None]:
        """The completed records of a kind by path: the content of a file, None for a directory."""
        live = [record for record in self.records(kind) if record.status == "completed"]
        return {record.path: self.content(record) if record.type == "file" else None for record in live}

    def plant(self, path: str, content: bytes, *, kind: Kind = "files", application: str = APPLICATION_ID) -> Record:
        """Put a completed file in place past all checks of its name, as if another client had uploaded it.

        Privasfer has no directories: there `path` is the name, and what is planted beside one of that name is another.
        """
        if kind == "privasfer":
            return self._library.keep(kind, path, self._contents.keep_small(content), content_type=None)
        directory, name = split_path(path)
        self._library.make_directories(application, kind, directory)
        record = self._library.plant(application, kind, name=name, directory=directory)
        self._library.uploaded(record, self._contents.keep_small(content))
        return record

    def alter(self, record: Record, **values: object) -> None:
        """Tell other things of a record than are true, by the names of its attributes."""
        self._library.alter(record, values)

    def remove(self, record: Record) -> None:
        """Take a record away at once, as if another client had deleted it."""
        self._library.remove(record)

    def jobs_done(self) -> bool:
        """Whether no completion, move or delete is waiting."""
        return self._jobs.idle()

    async def flush(self) -> None:
        """Return when everything answered so far is on disk."""
        await self._store.flush()

    def _name_addresses(self, host: str, ports: list[int]) -> None:
        reached = "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        self.url = self._public_url or f"http://{reached}:{ports[0]}"
        self.storage_url = f"{self.url if len(ports) == 1 else f'http://{reached}:{ports[1]}'}/storage"

    async def _compose(self) -> None:
        signer = Signer(await asyncio.to_thread(self._store.secret))
        encoder = Encoder(self.storage_url)
        addresses = Addresses(self.storage_url, signer, self._conditions)
        self._library = Library(self._store, self._contents, self._jobs, self._conditions, encoder)
        self._library.resume(await asyncio.to_thread(self._store.load))
        self._losant = Losant(
            self._library,
            self._conditions,
            signer,
            addresses,
            token=self._token,
            applications=self._applications,
        )
        storage = Storage(self._library, self._contents, signer, addresses, self._conditions, self.requests)
        self._privasfer = Privasfer(self._library, self._conditions, url=self.url, token=self._token)
        self._sites = {"applications": self._losant, "storage": storage, "api": self._privasfer}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        segments = request.raw_path.partition("?")[0].split("/")[1:]
        site = self._sites.get(segments[0])
        operation, handler = (site and site.find(request.method, segments)) or ("unknown", _unknown)
        exchange = Exchange(request, operation, segments, self._conditions)
        status = 0
        self.requests.begin(operation)
        try:
            answer = await self._handle(exchange, handler)
            status = answer.status
        except ConnectionDropped:
            await exchange.hold_back()
            exchange.drop()
            answer = web.Response()
        except ConnectionError:  # the client went away in the middle
            answer = web.Response()
        finally:
            entry = LoggedRequest(request.method, request.raw_path, operation, status, time.time())
            self.requests.end(entry)
        if operation == "list" and self.on_page is not None:
            self.on_page()
        return answer

    async def _handle(self, exchange: Exchange, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(exchange)
        except Refusal as refusal:
            answer = refuse(refusal)
        if offset := self._conditions.knobs.clock_offset:
            answer.headers["Date"] = formatdate(time.time() + offset, usegmt=True)
        await exchange.hold_back()
        return answer


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


async def _unknown(_: Exchange) -> web.StreamResponse:
    raise not_found("Resource")


async def serve(
    listen: str,
    data: Path,
    token: str = TOKEN,
    applications: Collection[str] | None = (APPLICATION_ID,),
    knobs: Knobs | None = None,
    *,
    public_url: str | None = None,
    started: Callable[[Sandbox], None] | None = None,
) -> None:
    """Run a sandbox until cancelled. `listen` is `HOST:PORT`, `[HOST]:PORT` or `:PORT`.

    Raises:
        ValueError: `listen` is none of these.
        DataDirectoryInUse: another process has the data directory.
        OSError: the address cannot be listened on.
    """
    host, port = parse_address(listen)
    sandbox = Sandbox(data, token=token, applications=applications, knobs=knobs, public_url=public_url)
    await sandbox.start(host, port)
    try:
        if started is not None:
            started(sandbox)
        await asyncio.Event().wait()
    finally:
        await sandbox.close()


def parse_address(listen: str) -> tuple[str, int]:
    """The host and port in `HOST:PORT`; without a host all addresses of this machine.

    Raises:
        ValueError: there is no port, or it is none.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{listen!r}: expected HOST:PORT")
    return host.strip("[]") or "0.0.0.0", int(port)
