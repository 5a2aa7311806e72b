"""`ports.Remote` over the simulated cloud: requests that take time, fail before or after their effect, and back off.

Like the real one it looks for a lost answer's effect before it gives up, and waits until a directory's move is done.
What it was asked, and how much of that at once, is kept for the checkers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from syncd.core.model import Capabilities, Kind, RemoteEntry, Status
from syncd.core.paths import SEPARATOR, join, key_of, path_of
from syncd.engine.slots import Slots
from syncd.errors import NotFound, NotMade, Rejected, RemoteDead, RenamedByRemote, Transient, Unauthorized
from syncd.ports import Before, Content, Receiver, Sink
from tests.sim.chaos import Chaos
from tests.sim.cloud import Cloud, Record, is_trashed
from tests.sim.tree import md5

Returned = TypeVar("Returned")
PAGE = 3

CAPABILITIES = Capabilities(
    directories=True,
    move=True,
    move_directory=True,
    download=True,
    max_name_chars=100,
    max_directory_chars=1000,
    max_size_bytes=1000,
    listing_lag_s=30.0,
)


class Listed(NamedTuple):
    """A directory that was listed whole, and when that was begun."""

    directory: str
    step: int
    now_s: float


class MemoryRemote:
    capabilities = CAPABILITIES

    def __init__(self, chaos: Chaos, cloud: Cloud, slots: Slots, *, most_at_once: int, base: str = "") -> None:
        self._base = key_of(base) + SEPARATOR if base else b""
        self._chaos = chaos
        self._cloud = cloud
        self._slots = slots
        self._most = most_at_once
        self._active = 0
        self._changing: Counter[str] = Counter()
        self.calls: list[str] = []
        """Every operation asked for, in order, such as `create a/b`."""
        self.broken: dict[str, Exception] = {}
        """Operations that fail for ever, by what `calls` would call them."""
        self.at_call: dict[str, Callable[[], None]] = {}
        """What is to happen, once, when an operation is asked for."""
        self.listed: list[Listed] = []
        self.violations: list[str] = []
        self.looks_apart = False
        """A daemon looks while it works: only what changes something counts as in flight then."""
        self._looking = 0

    @property
    def changes(self) -> list[str]:
        """The operations that ask for a change."""
        return [call for call in self.calls if call.split()[0] not in ("entries", "get")]

    async def entries(
        self,
        directory: str,
        sink: Sink,
        *,
        recursive: bool,
        directories_known: int | None = None,
        steady: bool = True,
    ) -> None:
        del directories_known, steady
        with self._operation(f"entries {directory}"):
            begun = Listed(directory, self._chaos.step, self._chaos.clock.now_s)
            found = await self._request("list", lambda: self._listing(directory, recursive=recursive))
            for start in range(0, len(found), PAGE):
                await sink.add(found[start : start + PAGE])
                await self._request("page", lambda: None)
            self.listed.append(begun)

    def _key(self, path: str) -> bytes:
        return join(self._base[:-1], key_of(path)) if path else self._base[:-1]

    def _listing(self, directory: str, *, recursive: bool) -> list[RemoteEntry]:
        entries = self._cloud.listing(self._key(directory), recursive=recursive)
        return [one for entry in entries if (one := self._shown(entry)) is not None]

    def _shown(self, entry: RemoteEntry) -> RemoteEntry | None:
        """As it is seen from here: what is in the trash only by the trash."""
        if self._base:
            return entry._replace(key=entry.key[len(self._base) :]) if entry.key.startswith(self._base) else None
        return None if is_trashed(entry.key) else entry

    async def get(self, record_id: str) -> RemoteEntry | None:
        with self._operation(f"get {record_id.lstrip('0')}"):
            return await self._request("get", lambda: self._entry(record_id))

    def _entry(self, record_id: str) -> RemoteEntry | None:
        self._cloud.settle()
        record = self._cloud.records.get(record_id)
        return self._shown(record.entry) if record is not None else None

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        del beside
        with self._operation(f"create {path}", at=path):
            there = [] if begun_s_ago is None else await self._looked_for(path, begun_s_ago)
            record = there[0] if there else await self._make(path, Kind.FILE)
            return await self._fill(record, path, content)

    async def replace(self, record: RemoteEntry, path: str, content: Content) -> RemoteEntry:
        with self._operation(f"replace {path}", at=path):
            patched = await self._request("patch", lambda: self._cloud.patch(record.id))
            return await self._fill(patched, path, content)

    async def download(self, record: RemoteEntry, into: Receiver) -> None:
        with self._operation(f"download {path_of(record.key)}"):
            there = await self._request("content", lambda: self._cloud.records.get(record.id))
            if there is None:
                raise NotFound("it went away before it was downloaded")
            await into.begin()
            await into.write(there.data)

    async def make_directory(self, path: str) -> RemoteEntry:
        with self._operation(f"mkdir {path}", at=path):
            return (await self._make(path, Kind.DIRECTORY)).entry

    async def move(self, record: RemoteEntry, path: str, *, before: Before | None = None) -> RemoteEntry:
        await self._turn(before)
        with self._operation(f"move {path_of(record.key)} -> {path}", at=path):
            missing = self._missing(path)
            moved = await self._request(
                "move",
                lambda: self._cloud.move(record.id, self._key(path), ours=True, missing=missing),
                at_once=before is not None,
            )
            if record.kind == Kind.DIRECTORY:
                await self._gone(record.id)
                return moved.entry._replace(key=key_of(path))
            return moved.entry._replace(key=key_of(path), size=record.size, checksum=record.checksum)

    async def delete(self, record: RemoteEntry, *, before: Before | None = None) -> None:
        await self._turn(before)
        with self._operation(f"delete {path_of(record.key)}", at=record.id):
            await self._request("delete", lambda: self._cloud.delete(record.id, ours=True), at_once=before is not None)
            if record.kind == Kind.DIRECTORY:
                await self._gone(record.id)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _looked_for(self, path: str, begun_s_ago: float) -> list[Record]:
        """What is listed at the path as soon as something is, or once it would be if it were there."""
        until_s = self._chaos.clock.now_s + CAPABILITIES.listing_lag_s - begun_s_ago
        while True:
            there = await self._request("find", lambda: self._cloud.listed(self._key(path)))
            if there or self._chaos.clock.now_s >= until_s:
                return there
            await self._sleep(1.0)

    async def _make(self, path: str, kind: Kind) -> Record:
        missing = self._missing(path)
        name = path.rpartition("/")[2]
        kept = path[: len(path) - len(name)] + self._cloud.knobs.names_kept(name)
        if kept != path:
            record = await self._request("post", lambda: self._renamed(kept, kind))
            raise RenamedByRemote(f"the remote keeps it as {kept!r}", record_id=record.id, kept_path=kept)
        return await self._request("post", lambda: self._cloud.post(self._key(path), kind, ours=True, missing=missing))

    def _renamed(self, kept: str, kind: Kind) -> Record:
        there = self._cloud.at(key_of(kept))
        if there:
            return there[0]
        missing = self._cloud.missing_parents(key_of(kept))
        record = self._cloud.post(key_of(kept), kind, ours=True)
        record.renamed = True
        for key in missing:  # on the way to what is taken back, which the job lets go of
            if (made := self._cloud.directory_at(key)) is not None:
                made.detached = True
        return record

    async def _fill(self, record: Record, path: str, content: Content) -> RemoteEntry:
        upload = record.upload
        pieces = [content.data] if content.data is not None else [piece async for piece in content.chunks()]
        data = b"".join(pieces)

        def store() -> None:
            if record.upload == upload:
                self._cloud.fill(record, data, ours=True)

        await self._request("upload", store)
        return RemoteEntry(key_of(path), Kind.FILE, len(data), md5(data), record.id, Status.PENDING, "")

    def _missing(self, path: str) -> list[bytes]:
        self._cloud.settle()
        return self._cloud.missing_parents(self._key(path))

    async def _gone(self, record_id: str) -> None:
        while record_id in self._cloud.records:
            self._cloud.settle()
            await self._sleep(0.1)
            self._chaos.point("wait")

    async def _turn(self, before: Before | None) -> None:
        """Nothing has to be waited for after a last look."""
        chaos = self._chaos
        if before is not None:
            if chaos.happens(chaos.rates.back_off):
                await self._slots.sleep(chaos.random.uniform(0.1, 3.0))
            await before()

    async def _request(self, what: str, effect: Callable[[], Returned], *, at_once: bool = False) -> Returned:
        chaos = self._chaos
        if not at_once and chaos.happens(chaos.rates.back_off):
            await self._sleep(chaos.random.uniform(0.1, 3.0))
        chaos.point(what)
        await asyncio.sleep(chaos.random.uniform(0.001, 0.02))
        self._fail_sometimes(what)
        returned = effect()
        chaos.point(f"{what} done")
        await asyncio.sleep(chaos.random.uniform(0.001, 0.02))
        if chaos.happens(chaos.rates.transient):
            await self._sleep(self._cloud.knobs.lag_s)
            raise Transient(f"the answer to {what} was lost")
        return returned

    def _fail_sometimes(self, what: str) -> None:
        chaos = self._chaos
        if chaos.happens(chaos.rates.transient):
            raise Transient(f"{what} was not answered")
        if what in ("post", "patch", "move", "delete") and chaos.happens(chaos.rates.rejected):
            raise (NotMade if what in ("post", "move") else Rejected)(f"{what} is refused")
        if chaos.happens(chaos.rates.fatal):
            raise chaos.random.choice([Unauthorized("401"), RemoteDead("nothing succeeded")])

    async def _sleep(self, seconds: float) -> None:
        self._active -= 1
        try:
            await self._slots.sleep(seconds)
        except BaseException:
            self._active += 1  # it ends without a slot
            raise
        self._enter()

    @contextmanager
    def _operation(self, call: str, *, at: str | None = None) -> Iterator[None]:
        self.calls.append(call)
        self._chaos.note(f"-> {call}")
        if (act := self.at_call.pop(call, None)) is not None:
            act()
        if call in self.broken:
            raise self.broken[call]
        looking = at is None and self.looks_apart
        self._looking += looking
        self._enter()
        if at is not None:
            self._changing[at] += 1
            if self._changing[at] > 1:
                self.violations.append(f"two operations at once at {at!r}")
        try:
            yield
        finally:
            self._active -= 1
            self._looking -= looking
            if at is not None:
                self._changing[at] -= 1

    def _enter(self) -> None:
        self._active += 1
        in_flight = self._active - self._looking
        if in_flight > self._most:
            self.violations.append(f"{in_flight} operations in flight, allowed are {self._most}")
