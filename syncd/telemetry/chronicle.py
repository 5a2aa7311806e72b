"""What a job does, kept in its own history for `syncd history` and `syncd why`.

Put by `app` around a job's telemetry. Keeps what was done or failed at a path, not what was only looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from syncd.core.model import Drift, Event, Move, Problem, Step
from syncd.ports import Store, Telemetry


class Chronicled:
    """A job's Telemetry that notes in `store` what it passes on. `clock` gives Unix time."""

    def __init__(self, inner: Telemetry, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._inner = inner
        self._store = store
        self._clock = clock
        self.planned = inner.planned
        self.sent = inner.sent
        self.notice = inner.notice
        self.warning = inner.warning
        self.noticed = inner.noticed
        self.finished = inner.finished

    def done(self, operation: Step) -> None:
        source = operation.source if isinstance(operation, Move) else None
        size, reason = operation.size, operation.reason
        self._store.note(Event(self._clock(), operation.name, operation.path, source, size, reason, failed=False))
        self._inner.done(operation)

    def drifted(self, drift: Drift) -> None:
        self._store.note(
            Event(self._clock(), "drift", drift.path, None, 0, f"{drift.kind} by somebody else", failed=False)
        )
        self._inner.drifted(drift)

    def failed(self, problem: Problem) -> None:
        path, action, error = problem
        self._store.note(Event(self._clock(), action, path, None, 0, error, failed=True))
        self._inner.failed(problem)
