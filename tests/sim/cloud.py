"""The server's side: records that complete later, linger when they leave, and get new ids when they move.

Acts happen at once, what follows from them at its time: every look first lets happen what is due (`settle`). Who did
something is told with it (`ours`), because what may be done to a record depends on who made it what it is.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import ancestors_of, is_below, key_of, parent_of, path_of
from syncd.errors import AlreadyExists, NotFound
from tests.sim.chaos import Chaos
from tests.sim.tree import md5

TRASH = "~trash"


def is_trashed(key: bytes) -> bool:
    """Whether it is the trash or in it."""
    return key == key_of(TRASH) or is_below(key, key_of(TRASH))


@dataclass(slots=True)
class Knobs:
    """What the sources of the API leave open, and how slow it is."""

    completion_s: float = 0.05
    linger_s: float = 0.5
    child_move_s: float = 0.02
    lag_s: float = 0.0
    """How long a new record is missing from listings."""
    refuses_twins: bool = True
    """Whether a create or move onto a name that exists is refused; else there are two records then."""
    patch_keeps: bool = False
    """Whether a record still shows its old content as completed until the new one is there."""
    names_kept: Callable[[str], str] = field(default=lambda name: name, repr=False)
    never_completes: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Record:
    id: str
    key: bytes
    kind: Kind
    status: Status
    made_by_us: bool
    owned: bool
    """Whether what it is now was put or adopted there by the job."""
    data: bytes = b""
    visible_s: float = 0.0
    changed: int = 0
    """The step at which somebody else last made or changed it."""
    made: int = 0
    """The step at which it was made."""
    renamed: bool = False
    """It is not at the path that was asked for."""
    upload: int = 0
    """Counts the permissions to upload that were given."""
    detached: bool = False
    """The job may have stopped following it, and leaves it then."""
    unproven: bool = False
    """An upload brought it that was cut off before its content was known: it may as well be somebody else's."""
    colliding: bool = False
    """Brought here by a directory's move while something else came to the same path."""

    @property
    def path(self) -> str:
        return path_of(self.key)

    @property
    def there(self) -> bool:
        return self.status != Status.LEAVING

    @property
    def entry(self) -> RemoteEntry:
        complete = self.kind == Kind.FILE and self.status == Status.COMPLETED
        checksum = md5(self.data) if complete else None
        return RemoteEntry(self.key, self.kind, len(self.data), checksum, self.id, self.status, "")


class Cloud:
    def __init__(self, chaos: Chaos, knobs: Knobs) -> None:
        self.chaos = chaos
        self.knobs = knobs
        self.records: dict[str, Record] = {}
        self.completed: Callable[[Record], None] = lambda _: None
        """Told of every record whose uploaded content became visible."""
        self.made_on_the_way: Callable[[Record], None] = lambda _: None
        """Told of every directory that came into being because the job put something into it."""
        self.removed: Callable[[list[Record], bool], None] = lambda _records, _ours: None
        """Told of the records that a deletion takes, before it does."""
        self.moved: Callable[[list[Record], bytes], None] = lambda _records, _key: None
        """Told of the records that the job moves, before it does, and where the first of them goes."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._moment_s = chaos.clock.now_s
        self._numbers = itertools.count(1)

    def settle(self) -> None:
        """What follows from what was due follows at its time, too, however late anybody looks."""
        now_s = self.chaos.clock.now_s
        while self._due and self._due[0][0] <= now_s:
            self._moment_s, _, act = heapq.heappop(self._due)
            act()
        self._moment_s = now_s

    def at(self, key: bytes) -> list[Record]:
        return [record for record in self.records.values() if record.key == key and record.there]

    def below(self, key: bytes) -> list[Record]:
        return [record for record in self.records.values() if record.there and is_below(record.key, key)]

    def directory_at(self, key: bytes) -> Record | None:
        return next((record for record in self.at(key) if record.kind == Kind.DIRECTORY), None)

    def missing_parents(self, key: bytes) -> list[bytes]:
        return [one for one in ancestors_of(key) if self.directory_at(one) is None]

    def listing(self, directory: bytes, *, recursive: bool) -> list[RemoteEntry]:
        self.settle()
        now_s = self.chaos.clock.now_s
        return [
            record.entry
            for record in self.records.values()
            if record.visible_s <= now_s
            and (is_below(record.key, directory) if recursive else parent_of(record.key) == directory)
        ]

    def listed(self, key: bytes) -> list[Record]:
        """What a listing shows at a path and is not leaving it."""
        self.settle()
        return [record for record in self.at(key) if record.visible_s <= self.chaos.clock.now_s]

    def find(self, record_id: str) -> Record:
        self.settle()
        record = self.records.get(record_id)
        if record is None or not record.there:
            raise NotFound("there is no such record")
        return record

    # What is asked of it. `missing` are the parents that were missing when the request came in: two requests that
    # come in together both make them.

    def post(self, key: bytes, kind: Kind, *, ours: bool, missing: list[bytes] | None = None) -> Record:
        self.settle()
        self._refuse(key, kind)
        self._make_parents(key, missing, ours=ours)
        return self._add(key, kind, Status.PENDING if kind == Kind.FILE else Status.COMPLETED, ours=ours)

    def patch(self, record_id: str) -> Record:
        record = self.find(record_id)
        record.upload += 1
        if not self.knobs.patch_keeps:
            record.status = Status.PENDING
        return record

    def fill(self, record: Record, data: bytes, *, ours: bool) -> None:
        """The bytes are stored; the record shows them a moment later."""
        self.settle()
        upload = record.upload

        def complete() -> None:
            if not record.there or record.upload != upload:
                return
            record.data, record.status, record.owned = data, Status.COMPLETED, ours
            if ours:
                self.completed(record)
            else:
                record.changed = self.chaos.step

        if record.path not in self.knobs.never_completes:
            self._later(self.knobs.completion_s, complete)

    def move(self, record_id: str, key: bytes, *, ours: bool, missing: list[bytes] | None = None) -> Record:
        record = self.find(record_id)
        self._refuse(key, record.kind)
        self._make_parents(key, missing, ours=ours)
        if ours:
            self.moved([record, *(self.below(record.key) if record.kind == Kind.DIRECTORY else [])], key)
        moved = self._moved(record, key, ours=ours)
        if record.kind == Kind.DIRECTORY:
            self._move_children(record, moved, ours=ours)
        else:
            self._linger(record)
        return moved

    def delete(self, record_id: str, *, ours: bool) -> None:
        self.settle()
        record = self.records.get(record_id)
        if record is None or not record.there:
            return
        going = [record, *(self.below(record.key) if record.kind == Kind.DIRECTORY else [])]
        self.removed(going, ours)
        for one in going:
            one.status = Status.LEAVING
            self._linger(one)

    def _refuse(self, key: bytes, kind: Kind) -> None:
        there = self.at(key)
        if there and (self.knobs.refuses_twins or kind == Kind.DIRECTORY or there[0].kind != kind):
            raise AlreadyExists(f"{path_of(key)!r} exists")
        for parent in ancestors_of(key):
            if any(record.kind == Kind.FILE for record in self.at(parent)):
                raise AlreadyExists(f"{path_of(parent)!r} is a file")

    def _make_parents(self, key: bytes, missing: list[bytes] | None, *, ours: bool) -> None:
        for parent in self.missing_parents(key) if missing is None else missing:
            record = self._add(parent, Kind.DIRECTORY, Status.COMPLETED, ours=ours)
            if ours:
                self.made_on_the_way(record)

    def _add(self, key: bytes, kind: Kind, status: Status, *, ours: bool) -> Record:
        visible_s = self.chaos.clock.now_s + self.knobs.lag_s
        record = Record(f"{next(self._numbers):024x}", key, kind, status, ours, ours, visible_s=visible_s)
        record.made = self.chaos.step
        record.changed = 0 if ours else self.chaos.step
        self.records[record.id] = record
        return record

    def _moved(self, record: Record, key: bytes, *, ours: bool) -> Record:
        moved = self._add(key, record.kind, record.status, ours=record.made_by_us and ours)
        moved.data, moved.owned, moved.detached = record.data, record.owned and ours, record.detached
        moved.unproven = record.unproven
        moved.changed = record.changed if ours else self.chaos.step
        record.status = Status.LEAVING
        return moved

    def _move_children(self, old: Record, new: Record, *, ours: bool) -> None:
        """One child after the other, as a job of the server's; the old record is there until the last one went."""
        children = sorted(self.below(old.key), key=lambda record: (record.kind, record.key))

        def move_next() -> None:
            if not children or not new.there:
                self._drop(old)
                return
            child = children.pop(0)
            if child.there:
                self._move_child(child, new.key + child.key[len(old.key) :], ours=ours)
            self._later(self.knobs.child_move_s, move_next)

        move_next()

    def _move_child(self, child: Record, key: bytes, *, ours: bool) -> None:
        twins = self.at(key)
        if child.kind == Kind.DIRECTORY and twins:
            child.status = Status.LEAVING
        else:
            self._moved(child, key, ours=ours).colliding = bool(twins)
        self._linger(child)

    def _linger(self, record: Record) -> None:
        self._later(self.knobs.linger_s, lambda: self._drop(record))

    def _drop(self, record: Record) -> None:
        self.records.pop(record.id, None)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._moment_s + delay_s, next(self._numbers), act))

    # What somebody else does.

    def put(self, path: str, data: bytes | str, *, owned: bool = False) -> Record:
        """A complete file there at once, made or overwritten by somebody else (or, `owned`, as if by the job)."""
        self.settle()
        content = data if isinstance(data, bytes) else data.encode()
        key = key_of(path)
        files = [record for record in self.at(key) if record.kind == Kind.FILE]
        record = files[0] if files else self.post(key, Kind.FILE, ours=owned)
        if record.status == Status.COMPLETED and record.data == content:
            return record  # what changes nothing is nobody's change
        record.data, record.status, record.owned = content, Status.COMPLETED, owned
        record.upload += 1
        record.changed = self.chaos.step
        return record

    def twin(self, path: str, data: bytes, *, owned: bool) -> Record:
        """A second record of the same path."""
        record = self._add(key_of(path), Kind.FILE, Status.COMPLETED, ours=owned)
        record.data, record.colliding = data, True
        return record

    def remove(self, path: str) -> None:
        for record in self.at(key_of(path)):
            self.delete(record.id, ours=False)

    def files(self) -> dict[str, bytes]:
        """The completed files; of twins the first."""
        self.settle()
        found: dict[str, bytes] = {}
        for record in self._complete():
            found.setdefault(record.path, record.data)
        return found

    def directories(self) -> set[str]:
        self.settle()
        return {
            record.path
            for record in self.records.values()
            if record.there and record.kind == Kind.DIRECTORY and not is_trashed(record.key)
        }

    def pending(self) -> list[Record]:
        self.settle()
        return [one for one in self.records.values() if one.status == Status.PENDING and not is_trashed(one.key)]

    def _complete(self) -> Iterator[Record]:
        for record in self.records.values():
            if record.kind == Kind.FILE and record.status == Status.COMPLETED and not is_trashed(record.key):
                yield record
