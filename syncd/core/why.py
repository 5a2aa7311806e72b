"""What decides about one path, said in a sentence: rule, source, job, transfer, back-off, guard, queue, drift or state.

Called by `cli` with what the filter, the source, the baseline and, if one runs, the daemon say about the path. Pure;
the remote is not asked, so it speaks of what is known.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from syncd.core.classify import FAILED, SKIPPED
from syncd.core.diff import same_stat
from syncd.core.model import BaselineEntry, DeleteMode, JobState, Kind, LocalEntry, OnDrift, PathStatus, Sync


class By(Enum):
    """What kind of thing decides."""

    RULE = "rule"
    SOURCE = "source"
    JOB = "job"
    TRANSFER = "transfer"
    BACK_OFF = "back-off"
    GUARD = "guard"
    QUEUE = "queue"
    DRIFT = "drift"
    STATE = "state"


class Verdict(NamedTuple):
    by: By
    text: str


class Known(NamedTuple):
    """`rule`: which filter leaves the path out, if one does. `live` is None where no daemon runs. `drift`: what
    somebody else did to it on the destination, where that is the last that was noticed about it."""

    rule: str | None
    local: LocalEntry | None
    base: BaselineEntry | None
    live: PathStatus | None
    drift: str | None
    delete: DeleteMode
    on_drift: OnDrift


def verdict(known: Known) -> Verdict:
    """The first that decides, in the order in which a reconcile meets them."""
    live = _of_daemon(known.live) if known.live is not None else None
    return _of_rule(known) or _of_source(known) or live or _of_drift(known) or _of_state(known)


def _of_rule(known: Known) -> Verdict | None:
    if known.rule is None:
        return None
    return Verdict(By.RULE, f"{known.rule}; whatever the destination has there is left alone")


def _of_source(known: Known) -> Verdict | None:
    kind = Kind(known.local.kind) if known.local is not None else Kind.FILE
    if (reason := SKIPPED.get(kind)) is not None:
        return Verdict(By.SOURCE, f"is skipped: {reason}")
    if (failure := FAILED.get(kind)) is not None:
        return Verdict(By.SOURCE, failure[1])
    return None


def _of_daemon(live: PathStatus) -> Verdict | None:
    if live.state in (JobState.HALTED, JobState.WAITING):
        return Verdict(By.JOB, f"the job is {live.state.value}: {live.trouble}")
    if live.state is JobState.PAUSED:
        return Verdict(By.JOB, "the job is paused: `syncd resume` lets it go on")
    if live.busy:
        return Verdict(By.TRANSFER, "is being worked on at this moment")
    if live.error is not None:
        again = _due("tried again", live.retry_in_s)
        return Verdict(By.BACK_OFF, f"failed {_times(live.tries)}, {again}: {live.error}")
    if live.held_because is not None:
        return Verdict(By.GUARD, f"its deletion is held: {live.held_because}")
    if live.delete_in_s is not None:
        text = "its deletion waits for others to come, so that they are guarded as one"
        return Verdict(By.GUARD, f"{text}; {_due('decided', live.delete_in_s)}")
    if live.look_in_s is not None:
        return Verdict(By.QUEUE, f"something changed there: {_due('looked at', live.look_in_s)}, when it has settled")
    return None


def _of_drift(known: Known) -> Verdict | None:
    if known.drift is None:
        return None
    return Verdict(By.DRIFT, f"was {known.drift} on the destination; on_drift is {known.on_drift.value}")


def _of_state(known: Known) -> Verdict:
    local, base = known.local, known.base
    if local is None:
        return Verdict(By.STATE, _of_absent(base, known.delete))
    if base is None:
        return Verdict(By.STATE, "is new: taken over if the destination has the same, else sent by the next run")
    if base.kind != local.kind:
        return Verdict(By.STATE, f"was a {_noun(base.kind)} at the last sync and is a {_noun(local.kind)} now")
    if base.sync == Sync.CLAIMED:
        return Verdict(By.STATE, "an upload was begun and its end is not known: the next run looks for it")
    if not same_stat(local, base):
        return Verdict(By.STATE, "changed since the last sync: compared, and sent if it differs, by the next run")
    if base.sync == Sync.UPLOADED:
        return Verdict(By.STATE, "was sent; the destination has not been seen to have it complete yet")
    return Verdict(By.STATE, "is the same on both sides, as far as is known")


def _of_absent(base: BaselineEntry | None, delete: DeleteMode) -> str:
    if base is None:
        return "is neither in the source nor known to be on the destination"
    if delete is DeleteMode.NEVER:
        return "is gone from the source; kept on the destination, because delete is never"
    return "is gone from the source: the next run moves or deletes it on the destination, if the guard lets it"


def _noun(kind: int) -> str:
    return "directory" if kind == Kind.DIRECTORY else "file"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _due(what: str, in_s: float | None) -> str:
    return f"{what} now" if not in_s or in_s < 1 else f"{what} in {in_s:.0f} s"
