"""Which paths are being worked on, so that whoever plans can plan around them.

Pure state, kept by `engine.keeper`: an operation's paths are taken when it is planned and released when its outcome is
in the baseline. What was looked at while an operation on it was under way proves nothing, even if that has ended since:
a `Fence` begun before looking remembers it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from syncd.core.paths import ancestors_of


class _Keys:
    """Keys, each perhaps more than once, and what is above them."""

    def __init__(self) -> None:
        self.keys: Counter[bytes] = Counter()
        self._above: Counter[bytes] = Counter()

    def add(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self.keys[key] += 1
            self._above.update(ancestors_of(key))

    def remove(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            _less(self.keys, key)
            for one in ancestors_of(key):
                _less(self._above, one)
        if not self.keys:
            self.keys.clear()  # an emptied dict keeps the room that it once needed
            self._above.clear()

    def touch(self, key: bytes) -> bool:
        """Whether the key is one of these, above one, or below one."""
        if not self.keys:
            return False
        return key in self.keys or key in self._above or any(one in self.keys for one in ancestors_of(key))


def _less(counter: Counter[bytes], key: bytes) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


class Fence:
    """What one look must not be decided on. To be closed when it was."""

    def __init__(self, busy: Busy) -> None:
        self._busy = busy
        self.ended = _Keys()

    def excludes(self, key: bytes) -> bool:
        """Whether the key, what is above it or what is below it was worked on at any time since the fence began."""
        return self._busy.now.touch(key) or self.ended.touch(key)

    def touched(self) -> Iterable[bytes]:
        """What was worked on at any time since the fence began."""
        return self._busy.now.keys.keys() | self.ended.keys.keys()

    def close(self) -> None:
        self._busy.fences.discard(self)


class Busy:
    def __init__(self) -> None:
        self.now = _Keys()
        self.fences: set[Fence] = set()

    def __len__(self) -> int:
        return len(self.now.keys)

    def fence(self) -> Fence:
        fence = Fence(self)
        self.fences.add(fence)
        return fence

    def take(self, keys: Iterable[bytes]) -> None:
        self.now.add(keys)

    def release(self, keys: Iterable[bytes]) -> None:
        """The outcomes are in the baseline, or nothing was done."""
        released = list(keys)
        self.now.remove(released)
        for fence in self.fences:
            fence.ended.add(released)
