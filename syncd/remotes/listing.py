"""Reads listings whole although their pages drift: all pages of the application, or directory by directory.

Called by `losant`, which fetches the pages. What is put into the sink is complete, or an exception was raised; where it
need not be, each page is read once.

Paging is by offset, so whatever is added or removed while one reads shifts the pages. Read in the order of creation,
an addition only appends, and a removal shifts everything after it, the last page included. So a reading is taken for
whole if the last page is the same before and after all others were read, every page told the same total, and as many
different records were seen as the total says.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from syncd.core.model import RemoteEntry
from syncd.core.paths import is_below, key_of, parent_of
from syncd.errors import Transient
from syncd.ports import Sink
from syncd.remotes.records import Page, Place, Record, slashed

PER_PAGE = 1000
AT_ONCE = 4
READINGS = 3

Fetch = Callable[[str | None, int, int], Coroutine[Any, Any, Page]]
"""(directory, or None for all of them; page from 0; items a page) -> the page."""

Take = Callable[[list[Record]], Awaitable[None]]


class _Unstable(Exception):
    """The pages changed while they were read."""


class _Dearer(Exception):
    """Directory by directory costs more requests than paging through everything."""


class Lister:
    """One listing of what is below `directory`, a path relative to the place. Not `steady`: each page is asked for
    once, whatever changes meanwhile."""

    def __init__(self, fetch: Fetch, place: Place, directory: str, sink: Sink, *, steady: bool = True) -> None:
        self._fetch_page = fetch
        self._read = self._steadily if steady else self._once
        self._place = place
        self._root = place.directory(directory)
        self._key = key_of(directory)
        self._sink = sink
        self._one_at_a_time = asyncio.Lock()
        self._fetched = 0

    async def children(self) -> None:
        """The direct children only."""
        first = await self._fetch(self._root, 0, PER_PAGE)
        await self._read(self._root, first, self._add_children)

    async def tree(self, directories_known: int | None) -> None:
        """Everything below, in the way that is likely to cost fewer requests."""
        first = await self._fetch(None, 0, PER_PAGE)
        pages = _page_count(first)
        if pages == 1:
            return await self._add(first.items)
        few = directories_known is not None and pages <= directories_known + 1
        if not few and self._root != "/":
            try:
                return await self._walk(at_most=pages + 2 if directories_known is None else None)
            except _Dearer:
                await self._sink.clear()
                first = await self._fetch(None, 0, PER_PAGE)
        try:
            await self._read(None, first, self._add)
        except Transient:
            await self._sink.clear()
            await self._walk(at_most=None)

    async def _add(self, records: list[Record]) -> None:
        entries = self._place.entries(records)
        if self._key:
            entries = [entry for entry in entries if is_below(entry.key, self._key)]
        await self._put(entries)

    async def _add_children(self, records: list[Record]) -> None:
        await self._put([entry for entry in self._place.entries(records) if parent_of(entry.key) == self._key])

    async def _put(self, entries: list[RemoteEntry]) -> None:
        if entries:
            async with self._one_at_a_time:
                await self._sink.add(entries)

    async def _once(self, directory: str | None, first: Page, take: Take, *, clear: bool = True) -> None:
        """All pages of one listing that began with `first`, as they are; there is nothing to `clear`."""
        del clear
        await take(first.items)
        if first.items:
            rest = range(1, _page_count(first))
            await self._in_order(directory, rest, len(first.items), lambda page: take(page.items))

    async def _steadily(self, directory: str | None, first: Page, take: Take, *, clear: bool = True) -> None:
        """All pages of one listing that began with `first`, read until they hold still. Raises Transient."""
        for reading in range(READINGS):
            if reading:
                if clear:
                    await self._sink.clear()
                first = await self._fetch(directory, 0, PER_PAGE)
            if _page_count(first) == 1:
                return await take(first.items)
            try:
                return await self._all_pages(directory, first, take)
            except _Unstable:
                continue
        raise Transient(f"the listing of {directory or 'all directories'} changed each time it was read")

    async def _all_pages(self, directory: str | None, first: Page, take: Take) -> None:
        size, last_number = len(first.items), _page_count(first) - 1
        if not size:
            raise _Unstable
        before = await self._fetch(directory, last_number, size)
        seen = _Distinct()

        async def take_steady(page: Page) -> None:
            if page.total_count != first.total_count:
                raise _Unstable
            seen.add(page.items)
            await take(page.items)

        await self._in_order(directory, range(last_number), size, take_steady)
        last = await self._fetch(directory, last_number, size)
        if {record.id for record in before.items} != {record.id for record in last.items}:
            raise _Unstable
        await take_steady(last)
        if seen.count() != first.total_count:
            raise _Unstable

    async def _in_order(
        self, directory: str | None, numbers: Iterable[int], size: int, take: Callable[[Page], Awaitable[None]]
    ) -> None:
        """Fetch some pages ahead, hand them over one after the other."""
        ahead: deque[asyncio.Task[Page]] = deque()
        try:
            for number in numbers:
                ahead.append(asyncio.create_task(self._fetch(directory, number, size)))
                if len(ahead) == AT_ONCE:
                    await take(await ahead.popleft())
            while ahead:
                await take(await ahead.popleft())
        finally:
            await _cancel(ahead)

    async def _walk(self, *, at_most: int | None) -> None:
        """Directory by directory, the nearest first. Raises _Dearer once it needs more than `at_most` requests."""
        waiting, known = deque([self._root]), {self._root}
        running: set[asyncio.Task[list[str]]] = set()
        before = self._fetched
        try:
            while waiting or running:
                if at_most is not None and self._fetched - before + len(waiting) > at_most:
                    raise _Dearer
                while waiting and len(running) < AT_ONCE:
                    running.add(asyncio.create_task(self._one_directory(waiting.popleft())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for directory in (found for task in done for found in task.result()):
                    if directory not in known:
                        known.add(directory)
                        waiting.append(directory)
        finally:
            await _cancel(running)

    async def _one_directory(self, directory: str) -> list[str]:
        """Returns the directories in it. A record seen in an unsteady reading and gone since stays in the sink: a
        listing is never newer than its requests."""
        inside: list[str] = []

        async def take(records: list[Record]) -> None:
            inside.extend(
                f"{slashed(record.parent_directory)}{record.name}/"
                for record in records
                if record.type == "directory" and self._place.is_good(record)
            )
            await self._add(records)

        first = await self._fetch(directory, 0, PER_PAGE)
        await self._read(directory, first, take, clear=False)
        return [child for child in inside if child.startswith(directory)]

    async def _fetch(self, directory: str | None, number: int, size: int) -> Page:
        self._fetched += 1
        return await self._fetch_page(directory, number, size)


class _Distinct:
    """Counts different ids in eight bytes each: a listing may have millions."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]

    def add(self, records: list[Record]) -> None:
        for record in records:
            mark = hash(record.id)
            self._buckets[mark & 255].append(mark)

    def count(self) -> int:
        return sum(len(set(bucket)) for bucket in self._buckets)


def _page_count(first: Page) -> int:
    """How many pages there are, by what the first one holds: the server may give fewer than it was asked for."""
    if len(first.items) >= first.total_count:
        return 1
    size = len(first.items) or 1
    return -(-first.total_count // size)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End what is still running, and wait until it has."""
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
