"""Since when something may be on the remote without being listed yet: its absence from a listing proves nothing then.

Kept by a job for as long as its process lives. `effects` says what was asked for; `observe` asks before it believes
that a path whose record is not known is not there.
"""

from __future__ import annotations

from collections.abc import Iterable

BEAT_S = 5.0
"""So often the store is told that something is under way."""
KEPT_S = 60.0
"""No listing is later than this."""


class Claims:
    def __init__(self) -> None:
        self._asked_s: dict[bytes, float] = {}
        """In the order of the times."""

    def asked(self, keys: Iterable[bytes], *, now_s: float) -> None:
        """Something may come to be at these keys until now."""
        for key in keys:
            self._asked_s.pop(key, None)
            self._asked_s[key] = now_s
        while self._asked_s and self._asked_s[first := next(iter(self._asked_s))] < now_s - KEPT_S:
            del self._asked_s[first]

    def age_s(self, key: bytes, *, now_s: float) -> float | None:
        """How long ago that was said of the key; None if it was not, or is over."""
        asked_s = self._asked_s.get(key)
        return None if asked_s is None else now_s - asked_s
