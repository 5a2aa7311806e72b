"""Work that happens some time after the request that asked for it.

`library` starts jobs. Delays count from now, by the loop's clock; a job that has not run when the sandbox closes is
started anew by the next one, from the state of the records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

STEPS_AT_ONCE = 500


class Jobs:
    """Functions that run later, and long ones that run in portions so that requests are answered in between."""

    def __init__(self) -> None:
        self._timers: set[asyncio.TimerHandle] = set()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call a function after a delay; without a delay at once."""
        if delay_s <= 0:
            action()
            return

        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)

    def work_off(self, steps: Iterator[None], *, at_once: bool) -> None:
        """Run all steps: in one go, or in portions with room for other work between them."""
        for done, _ in enumerate(steps, start=1):
            if done >= STEPS_AT_ONCE and not at_once:
                self.after(1e-4, lambda: self.work_off(steps, at_once=False))
                return

    def idle(self) -> bool:
        """Whether nothing is waiting."""
        return not self._timers

    def close(self) -> None:
        """Drop what is waiting."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
