"""One at a time into a directory that may have to be made on the way: two requests at once might make two of it.

Used by `trash` and `restore`, which do not know what is there; where a plan does, `arrivals` goes by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

MOST_KNOWN = 10_000
"""With more directories, all are taken for unknown again."""


class Threshold:
    def __init__(self) -> None:
        self._known: set[str] = set()
        self._making = asyncio.Lock()

    async def enter(self, path: str, act: Callable[[], Awaitable[T]]) -> T:
        """What `act` returns, which brings something to `path`."""
        directory = path.rpartition("/")[0]
        if directory not in self._known:
            async with self._making:
                if directory not in self._known:
                    done = await act()
                    self._learn(directory)
                    return done
        return await act()

    async def open(self, directory: str, make: Callable[[], Awaitable[None]]) -> None:
        """Have a directory made that many are about to come to, where coming there takes long."""
        async with self._making:
            if directory not in self._known:
                await make()
                self._learn(directory)

    def _learn(self, directory: str) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        while directory:
            self._known.add(directory)
            directory = directory.rpartition("/")[0]
