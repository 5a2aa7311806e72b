"""Bring files back from a job's trash: by moves, and what is in their place goes into the trash first.

Called by `app`. It is a change of the destination like somebody else's: the job's state knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from syncd.core.model import Problem, RemoteEntry
from syncd.core.paths import is_below, key_of, path_of
from syncd.core.restoration import restoration
from syncd.core.stamps import stamp_of
from syncd.engine.fresh import Collector
from syncd.engine.observe import each
from syncd.engine.slots import Slots
from syncd.engine.threshold import Threshold
from syncd.engine.trash import Trash
from syncd.errors import NotInTrash, RemoteDead, RemoteError
from syncd.ports import Remote

MOST_NAMED = 10


@dataclass(slots=True)
class Restored:
    """What came back, in the order in which it was asked for. `displaced_to`: the time under which what had to make
    way is kept, "" if nothing had to."""

    time: str
    files: int = 0
    paths: list[str] = field(default_factory=list)
    displaced: list[str] = field(default_factory=list)
    displaced_to: str = ""
    failed: list[Problem] = field(default_factory=list)


async def restore(
    trash: Trash, destination: Remote, slots: Slots, *, time: str, path: str, unix_s: float, at_once: int
) -> Restored:
    """Everything that was put into the trash at `time` (a stamp, or how one begins), or what was at `path` then.

    Raises NotInTrash, and what the remotes raise where they cannot be listed.
    """
    times = await trash.times()
    stamp = _the_one(time, times)
    kept = await _below(trash.remote, stamp)
    wanted = [one for one in kept if not path or one.key == key_of(path) or is_below(one.key, key_of(path))]
    if not wanted:
        there = _some([path_of(one.key) for one in kept])
        raise NotInTrash(f"{path!r} was not put into the trash at {stamp}; there is {there}")
    plan = restoration(wanted, await _below(destination, ""))
    threshold = Threshold(slots)
    while stamp_of(unix_s) in times:
        unix_s += 1  # what was put there at this very second is kept apart
    restored = Restored(stamp, displaced_to=stamp_of(unix_s) if plan.displaced else "")

    async def displace(record: RemoteEntry) -> None:
        where = path_of(record.key)
        await trash.take(record, where, restored.displaced_to)
        restored.displaced.append(where)

    async def put_back(record: RemoteEntry) -> None:
        where = path_of(record.key)
        await threshold.enter(where, lambda: destination.move(record, where))
        restored.paths.append(where)

    await each(plan.displaced, _noting(displace, restored.failed), at_once=at_once)
    in_the_way = {key_of(problem.path) for problem in restored.failed}
    free = [one for one in plan.moves if not any(one.key == key or is_below(one.key, key) for key in in_the_way)]
    await each(free, _noting(put_back, restored.failed), at_once=at_once)
    restored.files = plan.files if len(restored.paths) == len(plan.moves) else len(restored.paths)
    await _remove_if_empty(trash, stamp)
    return restored


def _noting(
    act: Callable[[RemoteEntry], Awaitable[None]], failed: list[Problem]
) -> Callable[[RemoteEntry], Awaitable[None]]:
    async def noted(record: RemoteEntry) -> None:
        try:
            await act(record)
        except RemoteDead:
            raise
        except RemoteError as error:
            failed.append(Problem(path_of(record.key), "move", str(error)))

    return noted


def _the_one(time: str, times: list[str]) -> str:
    found = [stamp for stamp in times if stamp.startswith(time.replace(":", "-"))]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotInTrash(f"{time} is the beginning of several times in the trash: {_some(found)}")
    raise NotInTrash(f"nothing was put into the trash at {time}; there is {_some(times)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[-MOST_NAMED:]) + more if names else "nothing"


async def _below(remote: Remote, directory: str) -> list[RemoteEntry]:
    """What is in a directory, keys relative to it."""
    collector = Collector()
    await remote.entries(directory, collector, recursive=True)
    prefix = len(key_of(directory)) + 1 if directory else 0
    return [entry._replace(key=entry.key[prefix:]) for entry in collector.entries]


async def _remove_if_empty(trash: Trash, stamp: str) -> None:
    """The time itself goes when no file of it is left."""
    collector = Collector()
    await trash.remote.entries("", collector, recursive=False)
    directory = next((one for one in collector.entries if path_of(one.key) == stamp), None)
    if directory is not None and not any(one.kind for one in await _below(trash.remote, stamp)):
        await trash.remote.delete(directory)
