"""Which of the operations that bring something into a directory may start.

A remote makes missing parents by itself, but several at once may make them several times: so the first operation into
a missing directory goes ahead alone, and the others into it follow when it is there. Large ones are taken apart from
the rest, each in the order given. Used by `execute`; pure state.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from syncd.core.model import Create, MakeDirectory, Move, Replace
from syncd.core.paths import ancestors_of, key_of

Arrival = TypeVar("Arrival", bound=Create | Replace | Move | MakeDirectory)


class Arrivals(Generic[Arrival]):
    def __init__(
        self, operations: Iterable[Arrival], missing: Iterable[bytes], *, is_large: Callable[[Arrival], bool]
    ) -> None:
        self._is_large = is_large
        self._ready: dict[bool, deque[Arrival]] = {True: deque(), False: deque()}
        for operation in operations:
            self._ready[is_large(operation)].append(operation)
        self._missing = set(missing)
        self._led: dict[bytes, list[Arrival]] = {}
        self._leads: dict[str, list[bytes]] = defaultdict(list)

    def exhausted(self, *, large: bool) -> bool:
        """Whether nothing is left of these, neither ready nor waiting for a directory."""
        return not self._ready[large] and not self._led

    def take(self, *, large: bool) -> tuple[Arrival, list[bytes]] | None:
        """The next operation that may start and the missing directories that it makes on its way."""
        ready = self._ready[large]
        while ready:
            operation = ready.popleft()
            missing = [key for key in ancestors_of(key_of(operation.path)) if key in self._missing]
            leader = next((key for key in missing if key in self._led), None)
            if leader is not None:
                self._led[leader].append(operation)
                continue
            for key in missing:
                self._led[key] = []
            self._leads[operation.path] = missing
            return operation, missing
        return None

    def settled(self, operation: Arrival, *, arrived: bool) -> bool:
        """Say how it ended; whether others may start now."""
        followers: list[Arrival] = []
        for key in self._leads.pop(operation.path, []):
            followers += self._led.pop(key)
            if arrived:
                self._missing.discard(key)
        for operation in reversed(followers):
            self._ready[self._is_large(operation)].appendleft(operation)
        return bool(followers)
