"""`ports.Watch` that is told of every edit and passes on what it likes: late, twice, too much, or nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from syncd.ports import Hint
from tests.sim.tree import MemoryTree, Node


@dataclass(frozen=True, slots=True)
class Manners:
    """How often, between 0 and 1, a hint is lost, repeated, or says everything; and how late it comes at most."""

    lost: float = 0.0
    repeated: float = 0.0
    exaggerated: float = 0.0
    late_s: float = 0.0


class MemoryWatch:
    degraded: str | None = None

    def __init__(self, chance: random.Random, manners: Manners) -> None:
        self._random = chance
        self._manners = manners
        self._loop = asyncio.get_running_loop()
        self._hints: asyncio.Queue[Hint | None] = asyncio.Queue()

    async def hints(self) -> AsyncIterator[Hint]:
        while (hint := await self._hints.get()) is not None:
            yield hint

    async def renew(self, reason: str) -> None:
        """Nothing was wrong with it."""

    async def aclose(self) -> None:
        self._hints.put_nowait(None)

    def changed(self, directories: Collection[str]) -> None:
        chance, manners = self._random, self._manners
        for directory in sorted(directories):
            if chance.random() < manners.lost:
                continue
            hint = Hint(None if chance.random() < manners.exaggerated else frozenset([directory]), "edited")
            for _ in range(1 + (chance.random() < manners.repeated)):
                self._loop.call_later(chance.uniform(0.0, manners.late_s), self._hints.put_nowait, hint)


class Changes:
    """Which directories have changed since this was made, as inotify sees it."""

    def __init__(self, tree: MemoryTree) -> None:
        self._tree = tree
        self._before = self._state()

    def directories(self) -> set[str]:
        before, now = self._before, self._state()
        paths = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
        return {path.rpartition("/")[0] for path in paths}

    def _state(self) -> dict[str, tuple[int, int, int]]:
        return {path: _mark(node) for path, node in self._tree.nodes.items()}


def _mark(node: Node) -> tuple[int, int, int]:
    return node.inode, node.mtime_ns, node.ctime_ns
