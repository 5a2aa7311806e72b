"""Waits until a request may start: one limiter for each account, shared by its jobs.

Called by `transport` around every request. Holds nothing while a retry sleeps, and knows nothing of retries.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from syncd.core.pacing import Pace

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]

THROTTLING = frozenset({429, 503})


class Limiter:
    """At most `max_connections` requests at once, started no faster than the remote and the configuration allow."""

    def __init__(
        self, *, max_connections: int, requests_per_second: float, window_s: float, clock: Clock, sleep: Sleep
    ) -> None:
        self.pace = Pace(cap_per_s=requests_per_second or math.inf)
        self._permits = asyncio.Semaphore(max_connections)
        self._window_s = window_s
        self._clock = clock
        self._sleep = sleep

    async def acquire(self) -> float:
        """Returns when the request starts, on the clock; to be followed by `release`."""
        await self._permits.acquire()
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
