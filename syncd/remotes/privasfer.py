"""Privasfer as a `Remote`: which requests an operation is, and what came of them.

Made by `app` for each job, on its account. It has no directories, no checksums and no way to change or move a file; its
names may repeat, and what it deleted stays in its list. So a file is made or deleted here and nothing else; what else
has to be done is planned as that.

An upload is not repeatable. Where its answer was lost, a record of that name and size is looked for that was not there
before, so that a lost answer never makes two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from syncd.core.bandwidth import UNLIMITED, Timetable
from syncd.core.model import Capabilities, RemoteEntry
from syncd.core.paths import is_below, key_of, parent_of, path_of
from syncd.core.retry import Patience
from syncd.errors import NotMade, Rejected, RenamedByRemote, Transient
from syncd.ports import Before, Content, Receiver, Sink
from syncd.remotes.account import Account
from syncd.remotes.http import Failed, Refused
from syncd.remotes.limits import Clock, Sleep
from syncd.remotes.multipart import Meter
from syncd.remotes.privasfer_api import NEWEST_FIRST, OLDEST_FIRST, Api, Page, Record
from syncd.remotes.privasfer_names import MAX_CHARS, Names
from syncd.remotes.throttle import Throttle
from syncd.remotes.transport import Attempts, Traffic
from syncd.remotes.waits import Waits

READINGS = 3

CAPABILITIES = Capabilities(
    directories=False,
    move=False,
    move_directory=False,
    replace_in_place=False,
    checksums=False,
    unique_names=False,
    download=False,
    max_name_chars=MAX_CHARS,
    max_directory_chars=MAX_CHARS,
    max_size_bytes=2**63 - 1,
    listing_lag_s=Patience().lookup_s,
)
"""There is no documented way to download, and no documented limit of the size."""


def _nobody(_: int) -> None:
    """Where nobody asks for progress."""


class Privasfer:
    """The files of one account whose names begin with `directory`, "" for all of them. `sleep`, `sent` and
    `bandwidth` as for `Losant`."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        account: Account,
        *,
        directory: str,
        traffic: Traffic,
        sleep: Sleep = asyncio.sleep,
        sent: Callable[[int], None] = _nobody,
        bandwidth: Timetable = UNLIMITED,
        clock: Clock = time.monotonic,
    ) -> None:
        self._transport = account.transport(traffic=traffic, sleep=sleep)
        throttle = Throttle(bandwidth, clock=clock, sleep=asyncio.sleep)
        self._api = Api(self._transport, api=account.api, throttle=throttle)
        self._names = Names(directory)
        self._waits = Waits(account.patience, sleep, clock)
        self._sent = sent

    async def entries(
        self,
        directory: str,
        sink: Sink,
        *,
        recursive: bool,
        directories_known: int | None = None,
        steady: bool = True,
    ) -> None:
        """The whole list is read for any part of it."""
        del directories_known, steady
        key = key_of(directory)

        def is_wanted(entry: RemoteEntry) -> bool:
            return (not key or is_below(entry.key, key)) if recursive else parent_of(entry.key) == key

        for reading in range(READINGS):
            if reading:
                await sink.clear()
            if await self._read_whole(sink, is_wanted):
                return
        raise Transient("the list changed each time it was read")

    async def _read_whole(self, sink: Sink, is_wanted: Callable[[RemoteEntry], bool]) -> bool:
        """Whether it held still: the oldest come first, so that what is added while one reads is only appended, and
        what is deleted stays. Where pages tell a total, so many different records were seen."""
        first: Page | None = None
        seen: set[str] = set()
        async for page in self._api.pages(OLDEST_FIRST):
            first = first or page
            if page.total != first.total:
                return False
            if first.following() is not None:
                seen.update(record.id for record in page.data)
            entries = [entry for record in page.data if (entry := self._names.entry(record)) is not None]
            await sink.add([entry for entry in entries if is_wanted(entry)])
        assert first is not None
        return first.following() is None or first.total is None or len(seen) == first.total

    async def get(self, record_id: str) -> RemoteEntry | None:
        record = await self._api.record(record_id)
        return None if record is None else self._names.entry(record)

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        name = self._names.of(path)
        earlier: Record | None = None
        if begun_s_ago is not None:
            earlier = await self._waits.appearance(lambda: self._new(name, beside), begun_s_ago=begun_s_ago)
        known = {*beside, earlier.id} if earlier is not None else beside
        record = await self._uploaded(name, content, known)
        if earlier is not None:
            await self._api.delete(earlier.id)
        entry = self._names.entry(record)
        assert entry is not None
        return entry._replace(checksum=content.checksum)

    async def replace(self, record: RemoteEntry, path: str, content: Content) -> RemoteEntry:
        del record, path, content
        raise Rejected("the remote cannot replace a file in place")

    async def move(self, record: RemoteEntry, path: str, *, before: Before | None = None) -> RemoteEntry:
        del record, path, before
        raise Rejected("the remote cannot move")

    async def delete(self, record: RemoteEntry, *, before: Before | None = None) -> None:
        await self._api.delete(record.id, before=before)

    async def download(self, record: RemoteEntry, into: Receiver) -> None:
        del record, into
        raise Rejected("the remote has no documented way to download")

    async def make_directory(self, path: str) -> RemoteEntry:
        del path
        raise Rejected("the remote has no directories")

    async def aclose(self) -> None:
        """The connections are the account's."""

    async def _uploaded(self, name: str, content: Content, known: Collection[str]) -> Record:
        """The record of the content, none of `known`. One of another size is taken back and sent anew once."""
        attempts = Attempts(self._waits.patience.enough_creates)
        meter = Meter(self._sent)
        resent = False
        size_bytes = content.entry.size
        while True:
            meter.begin_again()
            try:
                record = await self._api.upload(name, content, meter, attempts)
            except Refused as refusal:
                raise NotMade(str(refusal)) from refusal
            except Failed as failure:
                found = await self._waits.appearance(lambda: self._new(name, known, size_bytes=size_bytes))
                if found is None:
                    await self._transport.pause(attempts, failure)
                    continue
                record = found
            self._refuse_renamed(record, name)
            if record.size == size_bytes:
                return record
            await self._api.delete(record.id)
            if resent:
                raise Rejected(f"the remote holds {record.size} bytes of {size_bytes} after two uploads")
            resent = True

    async def _new(self, name: str, known: Collection[str], *, size_bytes: int | None = None) -> Record | None:
        """A record of that name (and size, where one is given) that was not there before."""
        async for page in self._api.pages(NEWEST_FIRST):
            for record in page.data:
                is_of_size = size_bytes is None or record.size == size_bytes
                if record.full_filename == name and is_of_size and not record.trashed and record.id not in known:
                    return record
        return None

    def _refuse_renamed(self, record: Record, name: str) -> None:
        if record.full_filename == name:
            return
        entry = self._names.entry(record)
        raise RenamedByRemote(
            f"the remote keeps it as {record.full_filename!r}",
            record_id=record.id,
            kept_path=None if entry is None else path_of(entry.key),
        )
