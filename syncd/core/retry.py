"""The arithmetic of trying again: how long to wait, when to give up, what an outage may cost.

Used by `remotes`, which brings the clock, the sleep and the chance. Never waits, never looks at a clock itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for."""

    backoff_base_s: float = 0.25
    backoff_cap_s: float = 15.0
    enough_tries: int = 6
    """An operation that failed this often while other requests succeeded is given up."""
    enough_creates: int = 4
    """The same for a create, each of whose failures was looked into for `lookup_s`."""
    dead_after_s: float = 120.0
    """A remote with no success for this long is dead."""
    lookup_s: float = 30.0
    """How long a lost answer's effect is looked for, and a checksum that the upload's answer lacks."""
    standstill_s: float = 120.0
    """How long a directory's move or deletion may show no progress."""
    poll_cap_s: float = 5.0
    rate_window_s: float = 60.0
    """How long a window lasts of which the remote tells how many requests are left in it: Privasfer's minute."""
    connect_s: float = 15.0
    stall_s: float = 60.0
    """How long a connection may make no progress in either direction."""

    def backoff_s(self, tries: int, chance: float) -> float:
        """Before the next try after `tries` failures: exponential with full jitter, `chance` being in [0, 1)."""
        return chance * min(self.backoff_cap_s, self.backoff_base_s * 2.0 ** min(tries - 1, 30))

    def poll_s(self, looks: int) -> float:
        """Before the next look at something that is under way on the remote."""
        return min(self.poll_cap_s, self.backoff_base_s * 1.5 ** min(looks, 30))


class Verdict(Enum):
    RETRY = "retry"
    GIVE_UP = "give up"
    DEAD = "dead"


def verdict(
    patience: Patience,
    *,
    tries: int,
    enough_tries: int,
    others_succeeded: bool,
    failing_for_s: float,
    retry_after_s: float,
) -> Verdict:
    """What becomes of an operation after its `tries`-th failure, of which `enough_tries` are enough.

    `others_succeeded`: some request to this remote succeeded since the operation's first failure, so it is the
    operation and not the remote that fails. `failing_for_s`: since the first failure that no success followed.
    """
    if retry_after_s > patience.dead_after_s or failing_for_s >= patience.dead_after_s:
        return Verdict.DEAD
    if others_succeeded and tries >= enough_tries:
        return Verdict.GIVE_UP
    return Verdict.RETRY


@dataclass(slots=True)
class RetryBudget:
    """A token bucket over all retries of one remote, so that an outage is not hammered: it delays, it fails nothing.

    A request earns a tenth of a retry; beside that `per_s` retries accrue each second, up to `burst`. What is
    overdrawn is waited for, but never longer than the back-off's cap.
    """

    cap_s: float
    per_s: float = 10.0
    burst: float = 20.0
    earned_by_request: float = 0.1
    tokens: float = 20.0
    _seen_s: float | None = None

    def earn(self) -> None:
        self.tokens = min(self.burst, self.tokens + self.earned_by_request)

    def spend_s(self, now_s: float) -> float:
        """Take one retry's token; returns how long that retry has to wait for it, in seconds."""
        if self._seen_s is not None:
            self.tokens = min(self.burst, self.tokens + (now_s - self._seen_s) * self.per_s)
        self._seen_s = now_s
        self.tokens = max(self.tokens - 1.0, -self.cap_s * self.per_s)
        return max(0.0, -self.tokens / self.per_s)


def retry_after_s(value: str | None, *, date: str | None, now: datetime) -> float:
    """The seconds that a Retry-After header asks for, 0 for none or nonsense (RFC 9110, 10.2.3).

    A date in it is compared with the answer's own `date` header, so that a server whose clock is off is understood.
    """
    if value is None:
        return 0.0
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    until = _moment(text)
    if until is None:
        return 0.0
    since = (_moment(date) if date else None) or now
    return max(0.0, (until - since).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
