"""One job as the engine sees it: its ports and what its configuration asks for; and the order to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.core.policy import Policy
from syncd.engine.claims import BEAT_S, Claims
from syncd.engine.slots import Slots
from syncd.ports import LocalTree, Remote, Store, Telemetry

if TYPE_CHECKING:
    from syncd.engine.trash import Trash


class NotBegun(Exception):
    """The order to stop came first, or it is not wanted any more: what was to be done is not begun."""


class Stop:
    """The order to stop, given by a signal and looked at between any two operations.

    What runs outside `draining` (looking, planning) is abandoned at once; inside, operations in flight may finish.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._draining = 0

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def request(self, signal: int) -> bool:
        """Give the order; whether something is in flight that may finish."""
        self.signal = self.signal or signal
        return self._draining > 0

    def __enter__(self) -> None:
        self._draining += 1

    def __exit__(self, *_: object) -> None:
        self._draining -= 1


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    tree: LocalTree
    remote: Remote
    store: Store
    telemetry: Telemetry
    policy: Policy
    workers: int
    slots: Slots
    stop: Stop
    trust_stat: bool = True
    """Whether an unchanged stat means unchanged content (not with --checksum)."""
    accept_source: bool = False
    wall_s: Callable[[], float] = time.time
    """The Unix time, for names."""
    trash: Trash | None = None
    """Where what is deleted or replaced goes; None: nowhere."""
    growing: Collection[bytes] = frozenset()
    """The files that may be sent as far as they are, though they become longer."""
    claims: Claims = field(default_factory=Claims)

    def asked_s_ago(self, key: bytes) -> float:
        """How long ago at most something was asked for at this path, by this run or the one before."""
        age_s = self.claims.age_s(key, now_s=asyncio.get_running_loop().time())
        return max(self.store.memory.idle_s - BEAT_S, 0.0) if age_s is None else age_s

    def unlisted_for_s(self, key: bytes) -> float:
        """For how long what is at this path may still be missing from listings; not more than 0: it is not there."""
        return self.remote.capabilities.listing_lag_s - self.asked_s_ago(key)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A slot. Raises NotBegun if the order to stop came while it was waited for."""
        async with self.slots:
            if self.stop.requested:
                raise NotBegun
            yield
