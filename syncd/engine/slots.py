"""How many operations of one job are worked on at once.

Held by the executor's tasks; the transport's retries sleep through it, so that a path that waits for its next try does
not keep the others from going on. As many again get ready meanwhile, so that a slot waits for the network only. Large
uploads never have all of them, so that a small file does not wait for one of those to end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import TracebackType

LARGE_BYTES = 8 * 1024 * 1024
"""An upload of this size takes long enough to be in others' way."""


class Slots:
    def __init__(self, workers: int) -> None:
        self._lanes = asyncio.Semaphore(max(1, workers - max(1, workers // 4)))
        self._semaphore = asyncio.Semaphore(workers)
        self._held: set[asyncio.Task[object]] = set()
        self._places = Places(workers)
        self._ahead: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def lane(self, upload_bytes: int) -> AsyncIterator[None]:
        """Around an operation that sends so much; a large one waits here until there are few enough of them."""
        if upload_bytes < LARGE_BYTES:
            yield
            return
        async with self._lanes:
            yield

    @asynccontextmanager
    async def ahead(self) -> AsyncIterator[None]:
        """A place among those that get ready for a slot; left at the latest when the slot is taken."""
        await self._places.take()
        self._ahead.add(_current())
        try:
            yield
        finally:
            self._leave_place()

    def _leave_place(self) -> None:
        task = _current()
        if task in self._ahead:
            self._ahead.discard(task)
            self._places.leave()

    async def __aenter__(self) -> None:
        await self._semaphore.acquire()
        self._held.add(_current())
        self._leave_place()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = _current()
        if task in self._held:
            self._held.discard(task)
            self._semaphore.release()

    async def sleep(self, seconds: float) -> None:
        """As `wait`, for so long."""
        await self.wait(asyncio.sleep(seconds))

    async def wait(self, end: Awaitable[object]) -> None:
        """Wait without the slot that the current task holds, if it holds one, and take it again after."""
        task = _current()
        if task not in self._held:
            await end
            return
        self._held.discard(task)
        self._semaphore.release()
        await end
        await self._semaphore.acquire()
        self._held.add(task)


class Places:
    """Taken by batches: once half of them are free, all of those go to who waits. What a batch does next together, a
    read in a thread or a commit, costs it about as much as it would cost one."""

    def __init__(self, count: int) -> None:
        self._free = self._count = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(granted)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        self._free += 1
        self._grant()

    def _grant(self) -> None:
        if self._free < self._count - self._count // 2:
            return
        while self._free and self._waiting:
            granted = self._waiting.popleft()
            if not granted.done():
                granted.set_result(None)
                self._free -= 1


def _current() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task
