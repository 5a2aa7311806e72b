"""What is wrong with one job of the daemon as a whole, and when it is tried again.

Used by `keeper`. Pure arithmetic: the time and chance are given.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncd.core.model import JobState
from syncd.errors import LocalError, SourceForeign, StateError, SyncdError, Transient

LOCAL_RETRY_S = 5.0
HALTED_RETRY_S = 30.0
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """`times` in a row. `foreign`: the source is on another filesystem; `reopen`: what was opened is not to
    be relied on."""

    error: str
    state: JobState
    until_s: float
    times: int
    foreign: bool
    reopen: bool


def trouble_of(error: Exception, before: Trouble | None, *, now_s: float, chance: float) -> Trouble:
    """`chance` is in [0, 1)."""
    times = before.times + 1 if before is not None else 1
    said = str(error) if isinstance(error, SyncdError) else f"internal error: {type(error).__name__}: {error}"
    if isinstance(error, Transient):
        state, wait_s = JobState.WAITING, min(FIRST_WAIT_S * 2 ** min(times, 10), LONGEST_WAIT_S) * (1 + chance) / 2
    else:
        state, wait_s = JobState.HALTED, LOCAL_RETRY_S if isinstance(error, LocalError) else HALTED_RETRY_S
    reopen = isinstance(error, StateError) or not isinstance(error, SyncdError)
    return Trouble(said, state, now_s + wait_s, times, isinstance(error, SourceForeign), reopen)
