"""The arithmetic of how fast requests may start: additive increase, multiplicative decrease, and pauses asked for.

Beyond the rate at which the remote throttled last, the increase itself increases: that one may have been a single
answer in a quiet time, which says little of how much the remote can do.

Used by `remotes.limits`, which brings the clock and waits. A rate and not a window is adapted, because a remote that
allows ten requests a second answers each of them in milliseconds. Latency decides nothing: it rises whenever an
upload fills the link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECREASE = 0.7
GROWTH = 0.3
"""So much of itself the increase gains for every second in which the whole rate was used, beyond the last ceiling."""
SLOWEST_PER_S = 0.5
SLACK_S = 0.05
"""How far starts may bunch up: a timer's own lateness must not lower the rate."""


@dataclass(slots=True)
class Pace:
    """`cap_per_s`: the most starts a second that the configuration allows, infinity for no such limit."""

    cap_per_s: float = math.inf
    rate_per_s: float = math.inf
    """What the remote allows as far as is known; infinity until it throttled for the first time."""
    _step_per_s: float = 1.0
    _ceiling_per_s: float = math.inf
    _next_s: float = -math.inf
    _resume_s: float = -math.inf
    _decreased_s: float = -math.inf
    _second_s: float = -math.inf
    _started: int = 0
    _served: int = 0
    _served_before: int = 0
    _window_s: float = -math.inf

    def reserve_s(self, now_s: float) -> float:
        """Take the next start; returns how long it has to wait, in seconds."""
        self._roll(now_s)
        self._started += 1
        allowed_per_s = min(self.rate_per_s, self.cap_per_s)
        if math.isinf(allowed_per_s):
            return self.paused_s(now_s)
        start_s = max(self._next_s, now_s - SLACK_S, self._resume_s)
        self._next_s = start_s + 1.0 / allowed_per_s
        return max(0.0, start_s - now_s)

    def paused_s(self, now_s: float) -> float:
        """How long the remote asked to be left alone, in seconds from now."""
        return max(0.0, self._resume_s - now_s)

    def throttled(self, *, started_s: float, now_s: float, retry_after_s: float) -> None:
        """An answer said 429 or 503.

        Requests that were under way at the last decrease do not decrease again. Nor does the rate fall below what
        the remote did serve lately: one that counts by the second refuses everything for the rest of that second,
        over many quick round trips.
        """
        self._resume_s = max(self._resume_s, now_s + retry_after_s)
        if started_s < self._decreased_s:
            return
        self._roll(now_s)
        current_per_s = min(self.rate_per_s, self.cap_per_s, self._started / max(now_s - self._second_s, 0.1))
        served_per_s = max(self._served, self._served_before)
        self._ceiling_per_s = max(current_per_s, served_per_s)
        lowered_per_s = DECREASE * self._ceiling_per_s
        self.rate_per_s = max(SLOWEST_PER_S, min(self.rate_per_s, lowered_per_s))
        self._step_per_s = max(1.0, self.rate_per_s * 0.05)
        self._decreased_s = now_s

    def succeeded(self, now_s: float) -> None:
        """Adds `_step_per_s` for about every second in which the whole rate was used."""
        self._roll(now_s)
        self._served += 1
        if not math.isinf(self.rate_per_s):
            used = 1.0 / max(self.rate_per_s, 1.0)
            self.rate_per_s += self._step_per_s * used
            if self.rate_per_s > self._ceiling_per_s:
                self._step_per_s *= 1.0 + GROWTH * used

    def allowed(self, requests_left: int, *, now_s: float, window_s: float) -> None:
        """An answer told how many more requests a window of `window_s` allows: with none left, its end is waited for.

        When it began is not told: at the latest with the first answer of it that was seen.
        """
        if now_s - self._window_s >= window_s:
            self._window_s = now_s
        if not requests_left:
            self._resume_s = max(self._resume_s, self._window_s + window_s)

    def _roll(self, now_s: float) -> None:
        """Count by the second, and remember the second before."""
        passed_s = now_s - self._second_s
        if passed_s >= 1.0:
            self._served_before = self._served if passed_s < 2.0 else 0
            self._second_s, self._started, self._served = now_s, 0, 0
