"""Waits until a request may start: one limiter for each account, shared by its jobs.

Called by `transport` around every request. Holds nothing while a retry sleeps, and knows nothing of retries.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable

from syncd.core.pacing import Pace

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]

THROTTLING = frozenset({429, 503})


class Turns:
    """A semaphore whose waiters are served in turn by owner, and by order of asking for each of them: whoever asks for
    much does not keep back whoever asks for little."""

    def __init__(self, permits: int) -> None:
        self._free = permits
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, owner: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            owner, queue = self._waiting.popitem(last=False)
            granted = queue.popleft()
            if queue:
                self._waiting[owner] = queue
            if not granted.done():
                granted.set_result(None)
                return
        self._free += 1


class Limiter:
    """At most `max_connections` requests at once, started no faster than the remote and the configuration allow."""

    def __init__(
        self, *, max_connections: int, requests_per_second: float, window_s: float, clock: Clock, sleep: Sleep
    ) -> None:
        self.pace = Pace(cap_per_s=requests_per_second or math.inf)
        self._permits = Turns(max_connections)
        self._window_s = window_s
        self._clock = clock
        self._sleep = sleep

    async def acquire(self, owner: Hashable) -> float:
        """Returns when the request starts, on the clock; to be followed by `release`. `owner`: which job asks."""
        await self._permits.acquire(owner)
        try:
            wait_s = self.pace.reserve_s(self._clock())
            while wait_s > 0:
                await self._sleep(wait_s)
                wait_s = self.pace.paused_s(self._clock())
        except BaseException:
            self._permits.release()
            raise
        return self._clock()

    def release(self) -> None:
        self._permits.release()

    def answered(self, status: int, *, started_s: float, retry_after_s: float) -> None:
        """Learn from an answer. Only 429 and 503 say that there were too many; other failures say nothing."""
        if status in THROTTLING:
            self.pace.throttled(started_s=started_s, now_s=self._clock(), retry_after_s=retry_after_s)
        elif status < 500:
            self.pace.succeeded(self._clock())

    def told(self, *, requests_left: int) -> None:
        """Learn from an answer how many more requests this window allows (`X-RateLimit-Remaining`)."""
        self.pace.allowed(requests_left, now_s=self._clock(), window_s=self._window_s)

    def paused_s(self) -> float:
        """How much longer the remote asked to be left alone."""
        return self.pace.paused_s(self._clock())
