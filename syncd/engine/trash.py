"""The trash of one job: where deleted and replaced files go, and what is removed of it in the end.

`effects` puts files into it, `reconcile` and `rounds` purge it, `restore` brings back what is in it. It is a directory
of the same remote: `TRASH/STAMP/path` for what was at `path` until then, and `TRASH/.incoming` for new content until it
takes the place of old. Files come and go by moves, so that nothing is copied and nothing is lost between.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import path_of
from syncd.core.stamps import arrival_of, is_stale, is_stamp, time_of
from syncd.engine.confirm import FIRST_WAIT_S, LONGEST_WAIT_S, PATIENCE_S
from syncd.engine.fresh import Collector
from syncd.engine.slots import Slots
from syncd.engine.threshold import Threshold
from syncd.errors import AlreadyExists, NotFound, Rejected, RemoteError, Transient
from syncd.ports import Before, Content, Remote

INCOMING = ".incoming"
Returned = Callable[[RemoteEntry], Awaitable[None]]


def _token() -> str:
    return secrets.token_hex(6)


class Trash:
    """`remote` is placed at the trash directory, `destination` at what the job mirrors to; both of one account. What
    was put there `keep_s` ago is removed by `purge`."""

    def __init__(
        self,
        remote: Remote,
        destination: Remote,
        *,
        keep_s: float,
        slots: Slots,
        wall_s: Callable[[], float] = time.time,
        token: Callable[[], str] = _token,
    ) -> None:
        self.remote = remote
        self._destination = destination
        self._keep_s = keep_s
        self._slots = slots
        self._wall_s = wall_s
        self._token = token
        self._arriving: set[str] = set()
        self._threshold = Threshold(slots)
        self._incoming = False
        """Whether the directory for new content is known to be there."""

    async def take(self, record: RemoteEntry, path: str, stamp: str, *, before: Before | None = None) -> RemoteEntry:
        """Move what is at `path` of the destination here. `before` and what is raised: see `Remote.move`."""
        place = f"{stamp}/{path}"
        if len(place.rpartition("/")[0]) > self.remote.capabilities.max_directory_chars:
            raise Rejected("its path would be too long for the remote in the trash")
        try:
            return await self._threshold.enter(place, lambda: self.remote.move(record, place, before=before))
        except AlreadyExists:
            second = f"{place}~{record.id}"  # of two records of one path
            return await self.remote.move(record, second, before=before)

    async def exchange(
        self, old: RemoteEntry, path: str, content: Content, stamp: str, *, returned: Returned
    ) -> RemoteEntry:
        """Put new content in the place of `old`, which is kept here; the new record.

        The content is complete before anything is moved, so that the path is empty for two requests. Raises what
        `Remote` does; the old record is in its place then, or here, and what is new is not lost to the next run.
        `returned` is told where the old record had to come back: it is another record then.
        """
        name = arrival_of(path, stamp, self._token())
        self._arriving.add(name)
        try:
            if not self._incoming:
                await self._threshold.enter(f"{INCOMING}/", self._make_incoming)
            new = await self._completed(await self.remote.create(f"{INCOMING}/{name}", content), content)
            try:
                kept = await self.take(old, path, stamp)
            except (AlreadyExists, NotFound, Rejected):
                await self._remove(new)
                raise
            return await self._put(new, path, kept, returned)
        finally:
            self._arriving.discard(name)

    async def _make_incoming(self) -> None:
        """Beforehand, because coming there takes as long as an upload."""
        if self._incoming:
            return
        if not any(path_of(entry.key) == INCOMING for entry in await self._children("")):
            with suppress(AlreadyExists):
                await self.remote.make_directory(INCOMING)
        self._incoming = True

    async def _put(self, new: RemoteEntry, path: str, kept: RemoteEntry, returned: Returned) -> RemoteEntry:
        """The last move. If it is refused, the old record goes back to its place; if its answer is lost or something
        else is in the place, the next look tells."""
        try:
            return await self._destination.move(new, path)
        except AlreadyExists:
            await self._remove(new)
            raise
        except (NotFound, Rejected):
            with suppress(RemoteError):
                await returned(await self._destination.move(kept, path))
            await self._remove(new)
            raise

    async def _remove(self, new: RemoteEntry) -> None:
        with suppress(RemoteError):  # else it is purged one day
            await self.remote.delete(new)

    async def _completed(self, record: RemoteEntry, content: Content) -> RemoteEntry:
        """Wait until the remote shows the content. Raises NotFound, Transient."""
        wait_s, waited_s = FIRST_WAIT_S, 0.0
        while record.status is not Status.COMPLETED:
            if waited_s > PATIENCE_S:
                raise Transient(f"uploaded, but the remote did not complete it within {PATIENCE_S:.0f} s")
            await self._slots.sleep(wait_s)
            waited_s += wait_s
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            seen = await self.remote.get(record.id)
            if seen is None:
                raise NotFound("what was uploaded went away")
            record = seen
        if record.checksum != content.checksum:
            raise Transient("the remote completed it with other content than was sent")
        return record

    async def purge(self) -> int:
        """Remove what was put here too long ago, and what replacements that were cut short have left; how much that
        was. Only what has exactly the name that syncd gives is touched."""
        now_s, gone = self._wall_s(), 0
        for entry in await self._children(""):
            name = path_of(entry.key)
            if entry.kind is Kind.DIRECTORY and name == INCOMING:
                gone += await self._purge_incoming(now_s)
            elif (
                entry.kind is Kind.DIRECTORY and (then_s := time_of(name)) is not None and now_s - then_s > self._keep_s
            ):
                await self.remote.delete(entry)
                gone += 1
        return gone

    async def _purge_incoming(self, now_s: float) -> int:
        stale = [
            entry
            for entry in await self._children(INCOMING)
            if entry.kind is Kind.FILE
            and (name := path_of(entry.key).rpartition("/")[2]) not in self._arriving
            and is_stale(name, now_s=now_s)
        ]
        for entry in stale:
            await self.remote.delete(entry)
        return len(stale)

    async def times(self) -> list[str]:
        """The stamps under which something is kept, the oldest first."""
        return sorted(
            name
            for entry in await self._children("")
            if entry.kind is Kind.DIRECTORY and is_stamp(name := path_of(entry.key))
        )

    async def _children(self, directory: str) -> list[RemoteEntry]:
        collector = Collector()
        await self.remote.entries(directory, collector, recursive=False)
        return collector.entries
