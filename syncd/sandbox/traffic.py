"""What was asked of the sandbox: the log and the counts that tests and reports read.

`server` writes it around every request; nothing here changes an answer.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

LOG_LENGTH = 100_000
CHANGING = frozenset({"create", "patch", "move", "delete", "upload", "form"})


class LoggedRequest(NamedTuple):
    """One answered request. `status` is 0 where the connection ended without an answer."""

    method: str
    path: str
    operation: str
    status: int
    time: float


class RequestLog(deque[LoggedRequest]):
    """The last requests in the order in which they were answered, and counts over all of them."""

    def __init__(self) -> None:
        super().__init__(maxlen=LOG_LENGTH)
        self.counts: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.leaked_authorizations = 0

    def begin(self, operation: str) -> None:
        """Count a request that has just come in."""
        self.counts[operation] += 1
        self.in_flight[operation] += 1
        if self.in_flight[operation] > self.most_in_flight[operation]:
            self.most_in_flight[operation] = self.in_flight[operation]

    def end(self, request: LoggedRequest) -> None:
        """Log a request that has its answer."""
        self.in_flight[request.operation] -= 1
        self.append(request)

    def changing_requests(self) -> int:
        """How many requests came in that change something, uploads to the storage included."""
        return sum(self.counts[operation] for operation in CHANGING)

    def operations(self) -> list[str]:
        """The operations in the order in which they were answered."""
        return [request.operation for request in self]
