"""Waits for what the remote does in its own time: effects that show late, directories moved or deleted child by child.

Used by `losant` and `uploads`. Asks through what it is given; changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from syncd.core.retry import Patience
from syncd.errors import Transient
from syncd.remotes.limits import Clock, Sleep

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waits:
    patience: Patience
    sleep: Sleep
    clock: Clock

    async def appearance(self, look: Callable[[], Awaitable[T | None]], *, begun_s_ago: float = 0.0) -> T | None:
        """What `look` returns as soon as that is not None; None if nothing shows within `lookup_s` of the beginning."""
        until_s, looks = self.clock() + self.patience.lookup_s - begun_s_ago, 0
        while True:
            seen = await look()
            if seen is not None or self.clock() >= until_s:
                return seen
            await self.sleep(self.patience.poll_s(looks))
            looks += 1

    async def end(self, look: Callable[[int], Awaitable[Hashable | None]], *, of: str) -> None:
        """Return when `look`, told how often it looked before, returns None.

        Raises Transient once what it returns has not changed for `standstill_s`.
        """
        looks, seen, since_s = 0, await look(0), self.clock()
        while seen is not None:
            if self.clock() - since_s > self.patience.standstill_s:
                raise Transient(f"the remote does not finish {of}")
            await self.sleep(self.patience.poll_s(looks))
            looks += 1
            before, seen = seen, await look(looks)
            if seen != before:
                since_s = self.clock()
