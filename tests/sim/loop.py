"""An event loop whose clock jumps to the next timer when nothing else is to be done.

Used by every test of `tests.sim` and `tests.engine`. Nothing in it waits in real time, nothing runs in a thread: what
is given to an executor runs in the loop's next turn, so that one seed gives one order of events.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple, Unpack

Returned = TypeVar("Returned")
Arguments = TypeVarTuple("Arguments")


class Deadlock(AssertionError):
    """Everything waits for something that nothing will bring about."""


@dataclass(slots=True)
class Clock:
    """The one time of a world: it goes on from one run to the next."""

    now_s: float = 1_000_000.0
    ahead_s: float = 0.0
    """By how much the clock on the wall, by which files are stamped, has been set forward."""

    @property
    def now_ns(self) -> int:
        return int((self.now_s + self.ahead_s) * 1e9)


class _Jumping(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("nothing is left to wait for")
            self._clock.now_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        super().__init__(_Jumping(clock))

    def time(self) -> float:
        return self._clock.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Arguments]], Returned], *args: *Arguments
    ) -> asyncio.Future[Returned]:
        assert executor is None, "only the default executor is simulated"
        future: asyncio.Future[Returned] = self.create_future()
        self.call_soon(_run, future, lambda: func(*args))
        return future


def _run(future: asyncio.Future[Returned], act: Callable[[], Returned]) -> None:
    if future.cancelled():
        return
    try:
        result = act()
    except BaseException as error:  # also a simulated crash: whoever waits for the thread gets it
        if not future.cancelled():
            future.set_exception(error)
    else:
        if not future.cancelled():
            future.set_result(result)
