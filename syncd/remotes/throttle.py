"""Waits until a job may send its next bytes.

Made by `app` for each job, asked by `multipart` and `uploads` before they give bytes to the network. All transfers of a
job take turns piece by piece, so that a small file waits for one piece of each large one and not for the whole of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from syncd.core.bandwidth import Bucket, Timetable, piece_bytes
from syncd.remotes.limits import Clock, Sleep


def _minute_of_the_day() -> int:
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


class Throttle:
    """`minute` tells the local time of day."""

    def __init__(
        self,
        timetable: Timetable,
        *,
        clock: Clock,
        sleep: Sleep,
        minute: Callable[[], int] = _minute_of_the_day,
    ) -> None:
        self._timetable = timetable
        self._bucket = Bucket()
        self._clock = clock
        self._sleep = sleep
        self._minute = minute

    def piece_bytes(self, largest: int) -> int:
        """How much to ask for at once."""
        return piece_bytes(self._rate(), largest=largest)

    async def grant(self, size_bytes: int) -> None:
        """Returns when so many bytes may be sent."""
        wait_s = self._bucket.reserve_s(size_bytes, self._rate(), now_s=self._clock())
        if wait_s > 0:
            await self._sleep(wait_s)

    def _rate(self) -> float:
        return self._timetable.bytes_per_s(self._minute()) if self._timetable.changes else float("inf")
