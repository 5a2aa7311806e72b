"""The limit on API requests per second.

Called by the file API for every request that has a good token. A bucket that holds one second's worth of requests.
"""

from __future__ import annotations

import time

from syncd.sandbox.errors import Refusal
from syncd.sandbox.knobs import Conditions


class Throttle:
    """Admits as many requests as the knobs allow."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._left = float("inf")
        self._filled = time.monotonic()

    def admit(self) -> None:
        """Return, or raise a `Refusal` with 429."""
        rate = self._conditions.knobs.throttle
        if not rate:
            return
        now = time.monotonic()
        self._left = min(max(rate, 1.0), self._left + (now - self._filled) * rate)
        self._filled = now
        if self._left < 1:
            raise Refusal(429, "TooManyRequests", "Too many requests", headers=self._retry_after())
        self._left -= 1

    def _retry_after(self) -> dict[str, str]:
        seconds = self._conditions.knobs.throttle_retry_after
        return {} if seconds is None else {"Retry-After": f"{seconds:g}"}
