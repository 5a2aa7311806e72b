"""What a look of the daemon leaves aside: what is worked on meanwhile, has not settled, or is parked.

Called by `rounds` between looking and deciding. Whatever is left aside is queued for when it may be decided on; what
was looked at and is well is parked and held no longer. Looks at nothing itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence

from syncd.core.busy import Fence
from syncd.core.classify import occupied_parents
from syncd.core.diff import Difference, LocalChange
from syncd.core.model import Kind, LocalEntry, Problem, RemoteEntry
from syncd.core.paths import ancestors_of, is_below, key_of, parent_of, path_of
from syncd.core.settling import Stillness
from syncd.engine.desk import Desk, directories_of

RESTLESS = "it changes all the time: it is sent when it has held still"


class Aside:
    """`growing`: the files that may be sent as far as they are. `hurried`: nothing has to settle any more, there is no
    time left."""

    def __init__(self, desk: Desk, *, wall_ns: Callable[[], int]) -> None:
        self._desk = desk
        self._wall_ns = wall_ns
        self.growing: set[bytes] = set()
        self.hurried = False

    def excluding(self, changes: Sequence[LocalChange], fence: Fence, *, since_s: float) -> set[bytes]:
        """What is not to be decided on now: it has not settled, or is parked. Queued for when it may be, as is what is
        or was worked on meanwhile."""
        excluded: set[bytes] = set()
        blocked = [one.key for one in changes if fence.excludes(one.key)]
        self._desk.block(blocked, since_s=since_s, now_s=_now())
        for key, local, _ in changes:
            path = path_of(key)
            file = local if local is not None and local.kind == Kind.FILE else None
            if fence.excludes(key):
                continue
            moving = file is not None and self._is_moving(file, since_s=since_s)
            if moving or self._desk.queue.rests(path, file):
                excluded.add(key)
        return excluded

    def come_back(self, fence: Fence, looked: Collection[bytes], deep: Collection[bytes], *, since_s: float) -> None:
        """What is being made in the directories that were looked at may be gone here already without that showing as a
        difference: neither side has it yet. They are looked at again when it is made."""
        keys = [
            key for key in fence.touched() if parent_of(key) in looked or any(one in deep for one in ancestors_of(key))
        ]
        self._desk.block(keys, since_s=since_s, now_s=_now())

    def put_right(
        self,
        looked: Collection[bytes] | None,
        excluded: Collection[bytes],
        fence: Fence,
        spared: Collection[bytes] = (),
    ) -> None:
        """Parked paths and deletions on their way that were in what was looked at (None: everything) are solved or no
        deletions any more, unless they are among `spared` or could not be decided on."""
        lot, queue = self._desk.lot, self._desk.queue

        def is_settled(key: bytes) -> bool:
            was_looked_at = looked is None or parent_of(key) in looked
            return was_looked_at and key not in spared and key not in excluded and not fence.excludes(key)

        queue.solved(path for path in queue.parked_paths() if is_settled(key_of(path)))
        back = [key for key in lot.keys if is_settled(key)]
        lot.discard(back)
        below = [key for key in lot.keys if any(is_below(key, one) for one in back)] if looked is not None else []
        queue.look_at(directories_of(below), since_s=_now(), due_s=_now())

    def planned_around(
        self, differences: Sequence[Difference], excluded: Collection[bytes], fence: Fence, *, since_s: float
    ) -> list[Difference]:
        blocked = [one.key for one in differences if fence.excludes(one.key)]
        self._desk.block(blocked, since_s=since_s, now_s=_now())
        out = {*blocked, *excluded}
        kept = [one for one in differences if one.key not in out]
        ways = _only_ways(kept, excluded) if excluded else set()
        return [one for one in kept if one.key not in ways]

    def _is_moving(self, file: LocalEntry, *, since_s: float) -> bool:
        now_s = _now()
        verdict = self._desk.settling.judge(file, now_s=now_s, wall_ns=self._wall_ns())
        if self.hurried or verdict.stillness is Stillness.GROWING:
            self.growing.add(file.key)
            return False
        self.growing.discard(file.key)
        if verdict.stillness is Stillness.SETTLED:
            self._desk.queue.solved_if(path_of(file.key), RESTLESS)
            return False
        if verdict.stillness is Stillness.RESTLESS:
            problem = Problem(path_of(file.key), "create", RESTLESS)
            self._desk.queue.park(problem, now_s=now_s, entry=file, chance=random.random())
        self._desk.queue.look_at(directories_of([file.key]), since_s=since_s, due_s=now_s + verdict.wait_s)
        return True


def is_new(difference: Difference) -> bool:
    return difference.local is not None and difference.remote is None


def _only_ways(differences: Sequence[Difference], excluded: Collection[bytes]) -> set[bytes]:
    """The new directories in which something has to wait and nothing can be sent yet, and the empty ones in them: they
    are made on the way to that."""
    files = {one.key for one in differences if one.local is not None and one.local.kind == Kind.FILE}
    wait, filled = occupied_parents(excluded), occupied_parents(files)
    new = [one.key for one in differences if is_new(one) and one.key not in filled and one.key not in files]
    ways = {key for key in new if key in wait}
    return ways | {key for key in new if not ways.isdisjoint(ancestors_of(key))}


def entered(differences: Sequence[Difference], excluded: set[bytes]) -> set[bytes]:
    """The new directories into which something comes: whatever failed there before, they are made on the way to it."""
    new = {one.key for one in differences if is_new(one)}
    return excluded & occupied_parents(new.difference(excluded)) & new


def closed_by(differences: Sequence[Difference], excluded: Collection[bytes]) -> set[bytes]:
    """What is in directories that wait because a file is in their place on the destination."""
    closed = {one.key for one in differences if one.key in excluded and _is_taken(one.local, one.remote)}
    return {one.key for one in differences if not closed.isdisjoint(ancestors_of(one.key))} if closed else set()


def _is_taken(local: LocalEntry | None, remote: RemoteEntry | None) -> bool:
    return local is not None and local.kind == Kind.DIRECTORY and remote is not None and remote.kind == Kind.FILE


def _now() -> float:
    return asyncio.get_running_loop().time()
