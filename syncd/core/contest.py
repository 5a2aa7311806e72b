"""Which paths somebody else keeps changing on the destination, so that two writers do not fight for ever.

Pure state with the times given, kept by the daemon's looks at one job. A path that is contested is left to whoever
else writes it for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMES = 3
"""So often changed within the time below, a path is contested."""
WITHIN_S = 600.0
MOST = 20_000
"""Paths remembered; with more, all are forgotten."""


@dataclass(slots=True)
class _Path:
    since_s: float
    times: int
    what: str


class Contest:
    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}

    def noticed(self, path: str, what: str, *, now_s: float) -> bool:
        """Count a change of somebody else's; whether it is another one than at the last look. `what` tells which."""
        known = self._paths.get(path)
        if known is None or now_s - known.since_s > WITHIN_S:
            if len(self._paths) >= MOST:
                self._paths.clear()
            self._paths[path] = _Path(now_s, 1, what)
            return known is None or known.what != what
        if known.what == what:
            return False
        known.times, known.what = known.times + 1, what
        return True

    def over(self, path: str) -> bool:
        """Whether the path is contested."""
        known = self._paths.get(path)
        return known is not None and known.times > TIMES
