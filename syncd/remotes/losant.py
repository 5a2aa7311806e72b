"""Losant's public and private files as a `Remote`: which requests an operation is, and what came of them.

Made by `app` for each job, on its account. What a listing needs to be whole is `listing`'s, the bytes are `uploads`'
and `downloads`'.

A create or move is not repeatable. Where its answer was lost, its effect is looked for before it is asked again, so
that a lost answer never makes two records.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace

from syncd.core.bandwidth import UNLIMITED, Timetable
from syncd.core.model import Capabilities, Kind, RemoteEntry, Status
from syncd.core.paths import key_of, path_of
from syncd.errors import AlreadyExists, NotFound, NotMade, Rejected, RenamedByRemote
from syncd.ports import Before, Content, Receiver, Sink
from syncd.remotes.account import Account
from syncd.remotes.downloads import Downloader
from syncd.remotes.http import Failed
from syncd.remotes.limits import Clock, Sleep
from syncd.remotes.listing import PER_PAGE, Lister
from syncd.remotes.losant_api import Api, Wanted, described
from syncd.remotes.records import Place, Record, Target, md5_of, slashed
from syncd.remotes.throttle import Throttle
from syncd.remotes.transport import Attempts, Traffic
from syncd.remotes.uploads import Ticket, Uploader
from syncd.remotes.waits import Waits

MAX_CHARS = 1024
MAX_FORM_BYTES = 5 * 2**30
"""S3 takes no more by form."""

LONG_LOOKS = 10
"""So many looks, of which each waits longer than the one before, are about fifteen seconds."""


def _nobody(_: int) -> None:
    """Where nobody asks for progress."""


class Losant:
    """One destination directory of one application. `directory` has no leading or trailing slash, "" is the root;
    what is in `hidden`, a directory in it, is not there.

    `sleep` is how a path waits without holding up the others; `sent` is told the bytes given to the network, which are
    no more than `bandwidth` allows.
    """

    def __init__(
        self,
        account: Account,
        *,
        application_id: str,
        private: bool,
        directory: str,
        hidden: str = "",
        traffic: Traffic,
        sleep: Sleep = asyncio.sleep,
        sent: Callable[[int], None] = _nobody,
        bandwidth: Timetable = UNLIMITED,
        clock: Clock = time.monotonic,
    ) -> None:
        transport = account.transport(traffic=traffic, sleep=sleep)
        self._api = Api(transport, api=account.api, application_id=application_id, private=private)
        self._transport = transport
        self._place = Place(directory, hidden=hidden)
        self._waits = Waits(account.patience, sleep, clock)
        self._uploader = Uploader(
            transport,
            guard=account.guard,
            waits=self._waits,
            sent=sent,
            throttle=Throttle(bandwidth, clock=clock, sleep=asyncio.sleep),
            look=self._api.record,
        )
        self._downloader = Downloader(transport, guard=account.guard, locate=self._api.located)
        self.capabilities = Capabilities(
            directories=True,
            move=True,
            move_directory=True,
            download=True,
            max_name_chars=MAX_CHARS,
            max_directory_chars=_directory_chars(self._place),
            max_size_bytes=MAX_FORM_BYTES,
            listing_lag_s=account.patience.lookup_s,
        )

    def beside(self, directory: str) -> Losant:
        """Another directory of the application, with everything else the same."""
        other = copy.copy(self)
        other._place = Place(directory)
        other.capabilities = replace(self.capabilities, max_directory_chars=_directory_chars(other._place))
        return other

    async def entries(
        self,
        directory: str,
        sink: Sink,
        *,
        recursive: bool,
        directories_known: int | None = None,
        steady: bool = True,
    ) -> None:
        lister = Lister(self._api.page, self._place, directory, sink, steady=steady)
        try:
            await (lister.tree(directories_known) if recursive else lister.children())
        finally:
            self._place.forget()

    async def get(self, record_id: str) -> RemoteEntry | None:
        record = await self._api.record(record_id)
        return None if record is None else self._place.entry(record)

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        del beside  # names do not repeat
        found = None if begun_s_ago is None else await self._found(path, begun_s_ago)
        made = found or await self._make(path, {"type": "file", **described(content)})
        ticket = made if isinstance(made, Ticket) else await self._api.patch(made.id, content)
        return await self._fill(ticket, path, content)

    async def replace(self, record: RemoteEntry, path: str, content: Content) -> RemoteEntry:
        return await self._fill(await self._api.patch(record.id, content), path, content)

    async def make_directory(self, path: str) -> RemoteEntry:
        made = await self._make(path, {"type": "directory"})
        return _entry(made.record if isinstance(made, Ticket) else made, path, Kind.DIRECTORY)

    async def move(self, record: RemoteEntry, path: str, *, before: Before | None = None) -> RemoteEntry:
        target = self._place.target(path)
        moved = await self._moved(record, target, before)
        self._refuse_renamed(moved, target)
        if record.kind is Kind.DIRECTORY:
            await self._waits.end(
                lambda looks: self._left_of(record, looks, path, new_id=moved.id), of="moving a directory"
            )
            await self._waits.end(lambda _: self._leaving_in(path), of="moving what is in a directory")
        entry = _entry(moved, path, record.kind)
        return entry if entry.checksum else entry._replace(size=record.size, checksum=record.checksum)

    async def delete(self, record: RemoteEntry, *, before: Before | None = None) -> None:
        await self._api.delete(record.id, before=before)
        if record.kind is Kind.DIRECTORY:
            await self._waits.end(
                lambda looks: self._left_of(record, looks, path_of(record.key)), of="deleting a directory"
            )

    async def download(self, record: RemoteEntry, into: Receiver) -> None:
        await self._downloader.fetch(record, into)

    async def aclose(self) -> None:
        """The connections are the account's."""

    async def _found(self, path: str, begun_s_ago: float) -> Record | None:
        """The file that an earlier run may have made, looked for as long as it may take to be listed."""
        target = self._place.target(path)
        found = await self._waits.appearance(lambda: self._at(target), begun_s_ago=begun_s_ago)
        return found if found is not None and found.type == "file" else None

    async def _make(self, path: str, wanted: Wanted) -> Ticket | Record:
        """A new record; as a Ticket if the API's answer came, as a Record if it was lost and its effect was found."""
        target = self._place.target(path)
        attempts = Attempts(self._waits.patience.enough_creates)
        while True:
            try:
                ticket = await self._api.create(target, wanted, attempts)
            except Failed as failure:
                found = await self._waits.appearance(lambda: self._at(target))
                if found is None:
                    await self._transport.pause(attempts, failure)
                    continue
                if found.type != wanted["type"]:
                    raise AlreadyExists(f"there is a {found.type} of that name") from failure
                return found
            except Rejected as refusal:
                raise NotMade(str(refusal)) from refusal
            self._refuse_renamed(ticket.record, target)
            return ticket

    async def _fill(self, ticket: Ticket, path: str, content: Content) -> RemoteEntry:
        record = ticket.record
        completed = await self._uploader.fill(
            ticket,
            content,
            name=path.rpartition("/")[2],
            renew=lambda: self._api.patch(record.id, content),
        )
        return RemoteEntry(
            key_of(path),
            Kind.FILE,
            content.entry.size,
            content.checksum,
            record.id,
            Status.COMPLETED if completed else Status.PENDING,
            record.last_updated or "",
        )

    async def _moved(self, record: RemoteEntry, target: Target, before: Before | None) -> Record:
        attempts = Attempts(self._waits.patience.enough_creates)
        while True:
            try:
                return await self._api.move(record.id, target, attempts, before=before)
            except Failed as failure:
                found = await self._waits.appearance(lambda: self._effect_of_move(record, target))
                if found is not None:
                    return found
                if await self._api.record(record.id) is None:
                    raise NotFound("it went away while it was moved") from failure
                await self._transport.pause(attempts, failure)
            except Rejected as refusal:
                raise NotMade(str(refusal)) from refusal

    async def _effect_of_move(self, record: RemoteEntry, target: Target) -> Record | None:
        """The record that a move made whose answer was lost; None while it shows no effect."""
        old = await self._api.record(record.id)
        if old is not None and not old.leaving:
            return old if target.is_of(old) else None
        if old is not None and old.move_into_id:
            return await self._api.record(old.move_into_id)
        return await self._at(target)

    async def _at(self, target: Target) -> Record | None:
        """The record that is at a place now, compared character by character: filters know globs and more."""
        number, size, seen = 0, PER_PAGE, 0
        while True:
            page = await self._api.page(target.parent, number, size, name=target.name)
            for record in page.items:
                if target.is_of(record) and not record.leaving:
                    return record
            seen += len(page.items)
            if not page.items or seen >= page.total_count:
                return None
            number, size = number + 1, size if number else len(page.items)

    async def _left_of(self, record: RemoteEntry, looks: int, path: str, *, new_id: str = "") -> Hashable | None:
        """None once a directory that is moved or deleted is gone. Only of one that takes long is asked how much is
        at `path`, which grows with a move or shrinks, and so tells progress from standstill."""
        old = await self._api.record(record.id)
        if old is None or old.id == new_id:
            return None
        if looks < LONG_LOOKS:
            return old.status or ""
        tally = Tally()
        await self.entries(path, tally, recursive=True)
        return tally.records

    async def _leaving_in(self, path: str) -> int | None:
        tally = Tally()
        await self.entries(path, tally, recursive=True)
        return tally.leaving or None

    def _refuse_renamed(self, record: Record, target: Target) -> None:
        if target.is_of(record):
            return
        kept = slashed(record.parent_directory) + record.name
        entry = self._place.entry(record)
        raise RenamedByRemote(
            f"the remote keeps it as {kept!r}",
            record_id=record.id,
            kept_path=None if entry is None else path_of(entry.key),
        )


def _directory_chars(place: Place) -> int:
    return MAX_CHARS - len(place.prefix) - 1


class Tally:
    """A sink that only counts. Repeats count again: it tells progress, not numbers."""

    def __init__(self) -> None:
        self.records = 0
        self.leaving = 0

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        self.records += len(entries)
        self.leaving += sum(entry.status is Status.LEAVING for entry in entries)

    async def clear(self) -> None:
        self.records = self.leaving = 0


def _entry(record: Record, path: str, kind: Kind) -> RemoteEntry:
    """The record that a request was just answered with; whatever its status is called, it is not leaving."""
    completed = record.status == "completed"
    return RemoteEntry(
        key_of(path),
        kind,
        record.file_size or 0,
        md5_of(record.s3etag) if completed and kind is Kind.FILE else None,
        record.id,
        Status.COMPLETED if completed or kind is Kind.DIRECTORY else Status.PENDING,
        record.last_updated or "",
    )
