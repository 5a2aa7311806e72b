"""One at a time into a directory that may have to be made on the way: two requests at once might make two of it.

Used by `trash` and `restore`, which do not know what is there; where a plan does, `arrivals` goes by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from syncd.engine.slots import Slots

T = TypeVar("T")

MOST_KNOWN = 10_000
"""With more directories, all are taken for unknown again."""


class Threshold:
    """Whoever waits at it does so without a slot: the one who went ahead may need it."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._known = {""}
        self._ahead: asyncio.Event | None = None
        """Of the one who may be making a directory; set when that is over."""

    async def enter(self, path: str, act: Callable[[], Awaitable[T]]) -> T:
        """What `act` returns, which brings something to `path`."""
        directory = path.rpartition("/")[0]
        while directory not in self._known:
            if self._ahead is not None:
                await self._slots.wait(self._ahead.wait())
                continue
            ahead = self._ahead = asyncio.Event()
            try:
                done = await act()
                self._learn(directory)
                return done
            finally:
                ahead.set()
                self._ahead = None
        return await act()

    def _learn(self, directory: str) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known = {""}
        while directory:
            self._known.add(directory)
            directory = directory.rpartition("/")[0]
