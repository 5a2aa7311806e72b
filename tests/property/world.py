"""Both sides and the baseline in memory; a job that plans over them and carries the plan out, judging each step.

`World.plan` is what an engine does before it acts. `World.sync` acts as an engine would: directory moves first and then
a new plan, children of a moved directory get new ids, directories on the way appear by themselves. What no plan may
ever ask for is an AssertionError right where it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.core.diff import Census, Difference, differences, local_changes, remote_changes
from syncd.core.filters import Filter
from syncd.core.guard import Guard
from syncd.core.model import (
    BaselineEntry,
    Capabilities,
    Create,
    Delete,
    DeleteMode,
    Fingerprint,
    Kind,
    LocalEntry,
    MakeDirectory,
    MaxDelete,
    Move,
    OnDrift,
    Operation,
    RemoteEntry,
    Replace,
    Status,
    Sync,
)
from syncd.core.paths import is_below, key_of, path_of
from syncd.core.plan import Plan, decide, to_be_read
from syncd.core.policy import Policy
from tests.property.cloud import Cloud, Record, checksum_of
from tests.property.disk import Disk, parents

CAPABILITIES = Capabilities(
    directories=True,
    move=True,
    move_directory=True,
    download=True,
    max_name_chars=20,
    max_directory_chars=28,
    max_size_bytes=50,
)
NO_GUARD = MaxDelete(count=None, percent=100.0)


def content_type(path: str) -> str:
    return path.rpartition(".")[2] if "." in path else "none"


@dataclass(slots=True)
class World:
    disk: Disk = field(default_factory=Disk)
    cloud: Cloud = field(default_factory=Cloud)
    baseline: dict[bytes, BaselineEntry] = field(default_factory=dict)
    delete: DeleteMode = DeleteMode.TRACKED
    rules: Filter = field(default_factory=Filter)
    capabilities: Capabilities = CAPABILITIES
    max_delete: MaxDelete = NO_GUARD
    on_drift: OnDrift = OnDrift.OVERWRITE
    changes: int = 0
    """Changing requests made by `sync`."""

    @property
    def policy(self) -> Policy:
        return Policy(
            delete=self.delete,
            max_delete=self.max_delete,
            empty_directories=True,
            capabilities=self.capabilities,
            content_type=content_type,
            filter=self.rules,
            on_drift=self.on_drift,
        )

    def observe(self) -> tuple[list[Difference], Census]:
        census = Census()
        rows = sorted(self.baseline.values())
        mine = list(local_changes(self.disk.scan(self.rules), rows, census))
        return list(differences(mine, remote_changes(self.cloud.listing(), rows, census))), census

    def plan(self) -> Plan:
        found, census = self.observe()
        checksums = {entry.key: self.fingerprint(entry) for entry in to_be_read(found, self.policy)}
        return decide(found, checksums, self.policy, Guard(self.max_delete, census.known), stamp="T")

    def fingerprint(self, entry: LocalEntry) -> Fingerprint:
        return Fingerprint(entry, checksum_of(self.disk.nodes[path_of(entry.key)].content))

    def sync(self) -> list[Plan]:
        """Plan and act until nothing has to be planned anew. Returns every plan that was made."""
        plans = []
        while True:
            plan = self.plan()
            plans.append(plan)
            assert len(plans) < 20, "directories are moved again and again"
            again = Execution(self, plan).run()
            if not again:
                return plans


class Execution:
    """One plan, carried out step by step."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan_ = plan
        self.baseline = dict(world.baseline)
        self.visible = {path_of(one.key): one.kind for one in world.disk.scan(world.rules)}
        self.unknown = {path for path, kind in self.visible.items() if kind > Kind.FILE}
        self.announced = {one.path for one in plan.operations if isinstance(one, MakeDirectory) and one.on_the_way}
        self.both = {path for path in world.disk.files() if any(one.kind == Kind.FILE for one in world.cloud.at(path))}

    def run(self) -> bool:
        """Whether what is left has to be planned anew."""
        if self.plan_.directory_moves:
            for move in self.plan_.directory_moves:
                self._step(move)
            return True
        for row in self.plan_.adopted:
            self.world.baseline[row.key] = row
        for key in self.plan_.forgotten:
            self.world.baseline.pop(key, None)
        as_sent = [self._complete(difference) for difference in self.plan_.awaiting]
        for operation in self.plan_.operations:
            self._step(operation)
        for path in self.announced:
            assert self.world.cloud.at(path), f"{path} was announced as being on the way and is not there"
        return not all(as_sent)

    def _step(self, operation: Operation) -> None:
        match operation:
            case Move():
                self._move(operation)
            case Delete():
                self._delete(operation)
            case Create() | Replace():
                self._upload(operation)
            case MakeDirectory():
                self._make(operation)
        if not (isinstance(operation, MakeDirectory) and operation.on_the_way):
            self.world.changes += 1
        for path in self.both:
            assert self.world.cloud.at(path), f"{operation} vacated {path}, which is on both sides"

    def _record(self, entry: RemoteEntry) -> Record:
        assert entry.id in self.world.cloud.records, f"{entry} is not there"
        record = self.world.cloud.records[entry.id]
        assert record.path == path_of(entry.key), f"{entry} is at {record.path}"
        return record

    def _arrive(self, path: str) -> None:
        assert not self.world.cloud.at(path), f"{path} is not free"
        node = self.world.disk.nodes[path]
        assert node.kind in (Kind.FILE, Kind.DIRECTORY)

    def _made_on_the_way(self, made: list[str]) -> None:
        for path in made:
            assert path in self.announced, f"{path} came on the way and was not announced"
            self._remember_directory(path)

    def _remember_directory(self, path: str, record_id: str = "") -> None:
        key = key_of(path)
        row = BaselineEntry(key, Kind.DIRECTORY, 0, 0, 0, 0, None, record_id, Sync.SYNCED, None)
        self.world.baseline[key] = row

    def _remember_file(self, local: LocalEntry, record_id: str) -> None:
        read = self.world.fingerprint(local)
        _, _, size, mtime_ns, ctime_ns, inode = read.entry
        self.world.baseline[local.key] = BaselineEntry(
            local.key, Kind.FILE, size, mtime_ns, ctime_ns, inode, read.checksum, record_id, Sync.SYNCED, None
        )

    def _make(self, operation: MakeDirectory) -> None:
        if operation.on_the_way:
            return
        self._arrive(operation.path)
        record, made = self.world.cloud.put(operation.path, Kind.DIRECTORY, ours=True)
        self._made_on_the_way(made)
        self._remember_directory(operation.path, record.id)

    def _upload(self, operation: Create | Replace) -> None:
        content = self.world.disk.nodes[operation.path].content
        if isinstance(operation, Replace) and operation.aside:
            assert not self.world.cloud.at(operation.aside), f"{operation.aside} is not free"
            self.world.cloud.move(self._record(operation.remote), operation.aside)
        if isinstance(operation, Create) or operation.aside:
            self._arrive(operation.path)
            record, made = self.world.cloud.put(operation.path, Kind.FILE, content, ours=True)
            self._made_on_the_way(made)
        else:
            record = self._record(operation.remote)
            assert record.path == operation.path
            assert record.kind == Kind.FILE
            record.content, record.status, record.ours = content, Status.COMPLETED, True
        self._remember_file(operation.local, record.id)

    def _complete(self, difference: Difference) -> bool:
        """Whether the record that was waited for has what was sent."""
        assert difference.remote is not None
        assert difference.base is not None
        record, row = self._record(difference.remote), difference.base
        record.status = Status.COMPLETED
        as_sent = record.checksum == row.checksum
        sync, claim = (Sync.SYNCED, None) if as_sent else (Sync.CLAIMED, row.checksum)
        self.world.baseline[row.key] = row._replace(sync=sync, claim=claim)
        return as_sent

    def _move(self, operation: Move) -> None:
        record = self._record(operation.remote)
        assert record.path == operation.source
        assert content_type(operation.path) == content_type(operation.source) or record.kind == Kind.DIRECTORY
        self._arrive(operation.path)
        self._assert_covered(record, operation.covers)
        for one in self._tree(record):
            self._assert_may_leave(one, moved=True)
        local = operation.local
        if record.kind == Kind.FILE:
            assert record.content == self.world.disk.nodes[operation.path].content
        self._made_on_the_way(self.world.cloud.move(record, operation.path))
        (moved,) = self.world.cloud.at(operation.path)
        if record.kind == Kind.FILE:
            del self.world.baseline[key_of(operation.source)]
            self._remember_file(local, moved.id)
        else:
            self._rekey(key_of(operation.source), key_of(operation.path))
            self._remember_directory(operation.path, moved.id)

    def _rekey(self, old: bytes, new: bytes) -> None:
        baseline = self.world.baseline
        for key in [key for key in baseline if key == old or is_below(key, old)]:
            row = baseline.pop(key)._replace(key=new + key[len(old) :], id="")
            baseline[row.key] = row

    def _delete(self, operation: Delete) -> None:
        record = self._record(operation.remote)
        if operation.leftover:
            self._assert_is_leftover(record)
            self.world.cloud.delete(record)
            return
        self._assert_covered(record, operation.covers)
        for one in self._tree(record):
            self._assert_may_leave(one, moved=False)
            self.world.baseline.pop(key_of(one.path), None)
        self.world.cloud.delete(record)

    def _tree(self, record: Record) -> list[Record]:
        inside = self.world.cloud.below(record.path) if record.kind == Kind.DIRECTORY else []
        return [record, *(one for one in inside if one.status != Status.LEAVING)]

    def _assert_covered(self, record: Record, covers: tuple[RemoteEntry, ...]) -> None:
        """A directory goes with everything that is in it, and with nothing that the plan does not name."""
        if record.kind == Kind.DIRECTORY:
            there = {one.id for one in self._tree(record)}
            assert there == {record.id, *(one.id for one in covers)}, (
                f"{record.path} holds something else than was known"
            )

    def _assert_is_leftover(self, record: Record) -> None:
        """Nobody misses it: it never had content, or another record of the path has the same."""
        row = self.baseline.get(key_of(record.path))
        if record.status == Status.PENDING:
            assert row is not None, f"{record} is somebody else's"
            return
        others = [one for one in self.world.cloud.at(record.path) if one is not record]
        assert record.checksum in [one.checksum for one in others], f"{record} is no repeat"
        node = self.world.disk.nodes.get(record.path)
        is_local = node is not None and node.content == record.content
        assert is_local or (row is not None and record.checksum in (row.checksum, row.claim)), record

    def _is_as_adopted(self, record: Record) -> bool:
        row = self.baseline.get(key_of(record.path))
        if row is None or row.kind != record.kind:
            return False
        return record.kind == Kind.DIRECTORY or row.checksum == record.checksum is not None

    def _assert_may_leave(self, record: Record, *, moved: bool) -> None:
        world, path = self.world, record.path
        assert world.delete is not DeleteMode.NEVER
        assert self.visible.get(path) != record.kind, f"{path} is there locally"
        assert self.unknown.isdisjoint([path, *parents(path)]), f"nothing is known about {path}"
        if record.kind == Kind.FILE:
            assert world.rules.wants(path, directory=False), f"{path} is left out by the filters"
        else:
            assert not world.rules.excludes(path, directory=True), f"{path} is left out by the filters"
        if not self.world.policy.takes_all or moved:
            assert record.ours or self._is_as_adopted(record), f"{path} is somebody else's"
