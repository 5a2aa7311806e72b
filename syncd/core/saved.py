"""A plan kept for later: its operations as plain data with what they saw of both sides, and which of them still hold.

Called by `app.plans`, which keeps the data in a file, and by `engine.apply`. An operation is never made from the data:
both sides are looked at anew, planned anew, and of that plan the operations are taken that are the kept ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from syncd.core.model import Delete, Kind, LocalEntry, MakeDirectory, Move, Operation, RemoteEntry, Replace
from syncd.core.paths import is_below, key_of, path_of

Data = Mapping[str, object]

LOCAL = ("size", "mtime_ns", "ctime_ns", "inode")
UNCOMPARED = frozenset({"reason", "size"})
"""Of an operation's data: what is for people."""


class Matched(NamedTuple):
    """The operations of a new plan that are kept ones, in its order, and the kept ones that it has not."""

    operations: list[Operation]
    changed: list[Data]


def data_of(operation: Operation) -> dict[str, object]:
    """What it does, and what it saw: the local file's stat, the remote records' ids, checksums and sizes."""
    match operation:
        case MakeDirectory():
            seen: dict[str, object] = {"on_the_way": operation.on_the_way}
        case Move():
            seen = {
                "from": operation.source,
                "local": _local(operation.local),
                "remote": _remote(operation.remote),
                "with": _records(operation.covers),
            }
        case Delete():
            seen = {
                "remote": _remote(operation.remote),
                "with": _records(operation.covers),
                "leftover": operation.leftover,
            }
        case Replace():
            seen = {
                "local": _local(operation.local),
                "remote": _remote(operation.remote),
                "aside": bool(operation.aside),
            }
        case _:
            seen = {"local": _local(operation.local)}
    what = {"action": operation.name, "path": operation.path, "size": operation.size, "reason": operation.reason}
    return {**what, "seen": seen}


def matched(kept: Sequence[Data], operations: Iterable[Operation], *, moved: Sequence[str] = ()) -> Matched:
    """`moved`: directories that were moved since the plan was made: what is in them has other ids now."""
    directories = [key_of(path) for path in moved]
    waiting = {_mark(one, directories): one for one in kept}
    found = [one for one in operations if waiting.pop(_mark(data_of(one), directories), None) is not None]
    return Matched(found, list(waiting.values()))


def licensed_by(kept: Iterable[Data]) -> frozenset[bytes]:
    """The keys of what the kept operations delete."""
    keys = set()
    for one in kept:
        if one["action"] == "delete":
            seen = one["seen"]
            assert isinstance(seen, Mapping)
            keys |= {key_of(str(one["path"])), *(key_of(str(record["path"])) for record in seen["with"])}
    return frozenset(keys)


def _mark(one: Data, moved: Sequence[bytes]) -> str:
    """The same for what is the same."""
    compared = {key: value for key, value in one.items() if key not in UNCOMPARED}
    key = key_of(str(one["path"]))
    renumbered = any(is_below(key, directory) for directory in moved)
    return repr(_frozen(compared, without_ids=renumbered))


def _frozen(value: object, *, without_ids: bool) -> object:
    if isinstance(value, Mapping):
        items = [(key, _frozen(inner, without_ids=without_ids)) for key, inner in sorted(value.items())]
        return [item for item in items if not (without_ids and item[0] == "id")]
    if isinstance(value, list | tuple):
        return [_frozen(inner, without_ids=without_ids) for inner in value]
    return value


def _local(entry: LocalEntry) -> dict[str, object]:
    """A directory's stat says nothing: it changes with what is in it."""
    if entry.kind == Kind.DIRECTORY:
        return {"type": "directory"}
    return {"type": "file", **{name: getattr(entry, name) for name in LOCAL}}


def _records(records: Iterable[RemoteEntry]) -> list[dict[str, object]]:
    return [_remote(record) for record in sorted(records)]


def _remote(record: RemoteEntry) -> dict[str, object]:
    """When a record was last updated is not in it: where nothing changed, the baseline stands for it, which does not
    know. Of a directory the baseline may not know the id either."""
    path = path_of(record.key)
    if record.kind == Kind.DIRECTORY:
        return {"type": "directory", "path": path}
    return {"type": "file", "path": path, "id": record.id, "size": record.size, "checksum": record.checksum}
