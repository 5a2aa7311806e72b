"""What must never happen, looked at with every effect on the cloud, and what must be so in the end.

Made by `world` for the whole life of a world. It knows more than the engine: who made what it deletes, which contents
a local path ever had, and at which step what was looked at.
"""

from __future__ import annotations

from collections import deque

from syncd.core.filters import Filter
from syncd.core.lot import COUNTED_S
from syncd.core.model import BaselineEntry, DeleteMode, JobReport, Kind, MaxDelete, OnDrift, Status, Sync
from syncd.core.paths import ancestors_of, is_below, key_of, path_of
from syncd.engine.trash import INCOMING
from tests.sim.chaos import Chaos
from tests.sim.cloud import TRASH, Cloud, Record, is_trashed
from tests.sim.remote import MemoryRemote
from tests.sim.store import MemoryStore
from tests.sim.tree import MemoryTree, md5


class Violation(AssertionError):
    """A rule of the contract was broken."""


class Checks:
    def __init__(self, chaos: Chaos, tree: MemoryTree, cloud: Cloud, store: MemoryStore) -> None:
        self._chaos = chaos
        self._tree = tree
        self._cloud = cloud
        self._store = store
        self.violations: list[str] = []
        self._deleted_s: deque[float] = deque()
        """When files were deleted by the run, without its own leftovers."""
        self.daemon = False
        self.approved: set[str] = set()
        """Paths whose deletion somebody approved."""
        self.trashes = False
        self._renewing: set[str] = set()
        self._contents_deleted: set[tuple[bytes, str | None]] = set()
        """By the run: at which path which content."""
        cloud.completed = self._completed
        cloud.made_on_the_way = self._made_on_the_way
        cloud.removed = self._removed
        cloud.moved = self._moved
        store.committed = self._adopted

    def begin(
        self, mode: DeleteMode, max_delete: MaxDelete, filters: Filter, remote: MemoryRemote, on_drift: OnDrift
    ) -> None:
        self._on_drift = on_drift
        self._mode = DeleteMode.NEVER if self._store.memory.rebuilt else mode
        self._most = max_delete.count
        self._filters = filters
        self._remote = remote
        self._deleted_s.clear()
        self.daemon = False
        self._contents_deleted = set()

    def ended(self) -> None:
        """What the filters left out in a run is no longer followed."""
        for record in self._cloud.records.values():
            record.detached = record.detached or self._is_left_out(record)

    def state_lost(self) -> None:
        for record in self._cloud.records.values():
            record.detached = True

    def check_report(self, report: JobReport) -> None:
        allowed = self._most or 0
        if report.held and len(self._deleted_s) > allowed:
            self._violated(f"{report.held} deletions were held and {len(self._deleted_s)} done")
        if report.exit != (3 if report.held else 1 if report.failed else 0):
            self._violated(f"exit {report.exit} of {report}")

    def _violated(self, text: str) -> None:
        self.violations.append(f"step {self._chaos.step}: {text}")

    def _completed(self, record: Record) -> None:
        if is_trashed(record.key):
            return  # looked at when it comes to its place
        if record.data not in self._tree.versions[record.path]:
            self._violated(f"{record.path!r} was published with {record.data!r}, which it never was")
        self.check_twins(record)
        # Taken for somebody else's by a run between the upload and this moment, it is not followed any more.
        record.detached = record.detached or record.key not in self._store.baseline
        record.unproven = self._is_unproven(record, record.key)

    def _moved(self, records: list[Record], key: bytes) -> None:
        """Into the trash is a deletion, unless something takes its place; out of it, a publication."""
        first = records[0]
        if is_trashed(key):
            row = self._store.baseline.get(first.key)
            is_replaced = row is not None and row.sync is Sync.CLAIMED
            if not is_replaced:
                self._look_at_deletion(records)
        elif ".theirs-" in path_of(key):
            first.detached = True  # what cannot be told from somebody else's is kept as such
        elif is_trashed(first.key) and first.made_by_us and first.path.startswith(f"{TRASH}/{INCOMING}/"):
            if first.data not in self._tree.versions[path_of(key)]:
                self._violated(f"{path_of(key)!r} was published with {first.data!r}, which it never was")
            first.unproven = self._is_unproven(first, key)
            if first.status is not Status.COMPLETED:
                self._violated(f"{path_of(key)!r} was published before it was complete")

    def _is_unproven(self, record: Record, key: bytes) -> bool:
        row = self._store.baseline.get(key)
        is_begun = row is not None and row.sync is Sync.CLAIMED and row.claim == ""
        return is_begun and row is not None and record.entry.checksum != row.checksum

    def _made_on_the_way(self, record: Record) -> None:
        """One that the job thought to be there still, under another id, it does not know to have made."""
        row = self._store.baseline.get(record.key)
        record.detached = row is not None and row.id != ""
        if self._chaos.others_edited <= self._chaos.begun:  # else somebody may have removed it between two requests
            self.check_twins(record)

    def check_twins(self, record: Record) -> None:
        twins = [one for one in self._cloud.at(record.key) if one.made_by_us and not one.colliding]
        if len(twins) > 1:
            self._violated(f"{len(twins)} records of ours at {record.path!r}")

    def _removed(self, records: list[Record], ours: bool) -> None:
        if not ours or is_trashed(records[0].key):
            return
        self._look_at_deletion(records)
        for record in records if self.trashes else ():
            if record.kind == Kind.FILE and record.status == Status.COMPLETED and not self._is_kept(record):
                self._violated(f"{record.path!r} was deleted and is not in the trash")

    def _is_kept(self, record: Record) -> bool:
        """Whether a further record has the content, it was only now made by the run itself, or it became complete only
        after it was seen as what a create had left unfinished."""
        others = [one for one in self._cloud.records.values() if one is not record and one.there]
        row = self._store.baseline.get(record.key)
        was_unfinished = row is not None and row.checksum is None and row.claim == record.entry.checksum
        return was_unfinished or self._is_taken_back(record) or any(one.data == record.data for one in others)

    def _look_at_deletion(self, records: list[Record]) -> None:
        going = set(map(id, records))
        for record in records:
            complaint = self._complaint(record, going)
            if complaint is not None:
                self._violated(f"{record.path!r} ({record.kind.name}) was deleted: {complaint}")
        self._contents_deleted |= {(record.key, record.entry.checksum) for record in records}

    def _adopted(self, rows: list[BaselineEntry]) -> None:
        """What the baseline knows as the same on both sides is the job's."""
        for row in rows:
            if row.kind == Kind.FILE and row.sync == Sync.SYNCED:
                for record in self._cloud.at(row.key):
                    same = row.id in ("", record.id) and record.entry.checksum == row.checksum
                    record.owned = record.owned or same
                    record.unproven = record.unproven and not same

    def _is_renewed(self, record: Record) -> bool:
        """Whether its content was uploaded to another path: each such copy stands for one that goes."""
        copies = (
            one
            for one in self._cloud.records.values()
            if (one.kind, one.entry.checksum, one.status) == (Kind.FILE, record.entry.checksum, Status.COMPLETED)
        )
        others = (one for one in copies if one.made_by_us and one.key != record.key)
        copy = next((one for one in others if one.id not in self._renewing), None)
        if copy is not None:
            self._renewing.add(copy.id)
        return copy is not None

    def _complaint(self, record: Record, going: set[int]) -> str | None:
        twins = [one for one in self._cloud.at(record.key) if id(one) not in going]
        if record.changed > self._looked_at(record):
            return None  # the gap between the last look and the deletion, which cannot be closed
        if self._is_frozen(record.path) and not self._is_left_at_no_file(record):
            return "nothing is known about it locally"
        if self._is_left_out(record):
            return "the filters leave it out"
        if twins:
            row = self._store.baseline.get(record.key)
            repeat = record.status == Status.PENDING or (row is not None and row.checksum == record.entry.checksum)
            ours = record.made_by_us or record.owned or repeat
            return None if ours or self._mode is DeleteMode.MIRROR else "a stranger's twin"
        if self._is_claimed(record) or self._is_taken_back(record):
            return None
        if record.kind == Kind.FILE and (record.key, record.entry.checksum) in self._contents_deleted:
            return None  # it went as a repeat of the one that went before it
        if record.made_by_us and record.status == Status.PENDING:
            return None
        if record.kind == Kind.FILE and not self._is_renewed(record):
            self._count(record)
            if self._most is not None and len(self._deleted_s) > self._most:
                return f"it is the {len(self._deleted_s)}th, and {self._most} are allowed"
        return self._wrong_mode(record) or self._still_local(record)

    def _count(self, record: Record) -> None:
        """Those of the run, or, of the daemon, of the last ten minutes."""
        now_s = self._chaos.clock.now_s
        if record.path not in self.approved:
            self._deleted_s.append(now_s)
        while self.daemon and self._deleted_s and self._deleted_s[0] < now_s - COUNTED_S:
            self._deleted_s.popleft()

    def _looked_at(self, record: Record) -> int:
        """The step of the last listing that it was, or would have been, in."""
        listed = self._remote.listed
        shown = (one for one in listed if is_below(record.key, key_of(one.directory)) and record.visible_s <= one.now_s)
        return max((one.step for one in shown), default=0)

    def _is_claimed(self, record: Record) -> bool:
        """Whether it may be what an upload of the job's own has made, as far as the job can know."""
        row = self._store.baseline.get(record.key)
        if row is None or record.status != Status.PENDING:
            return False
        is_repeat = row.kind == Kind.FILE and row.id not in ("", record.id)
        return is_repeat or (row.claim is not None and row.id == "")

    def _is_taken_back(self, record: Record) -> bool:
        """Whether the run made it and the remote gave it another name than was asked for."""
        return record.made_by_us and record.made > self._chaos.begun and record.renamed

    def _wrong_mode(self, record: Record) -> str | None:
        if self._mode is DeleteMode.NEVER:
            return "nothing may be deleted"
        if self._mode is DeleteMode.TRACKED and not (record.owned or self._is_known(record) or self._makes_way(record)):
            return "it is not the job's"
        if not self._takes_all and record.kind == Kind.FILE and not record.owned:
            return "it is somebody else's"
        return None

    def _is_known(self, record: Record) -> bool:
        """Whether it is as the job left it, whatever was done to it meanwhile."""
        row = self._store.baseline.get(record.key)
        known = (record.id, record.entry.checksum)
        return row is not None and row.checksum is not None and known == (row.id, row.checksum)

    @property
    def _takes_all(self) -> bool:
        return self._mode is DeleteMode.MIRROR and self._on_drift is OnDrift.OVERWRITE

    def _makes_way(self, record: Record) -> bool:
        """Whether it is an emptied directory, where a file comes to its place: then it need only be adopted."""
        node = self._tree.nodes.get(record.path)
        if record.kind != Kind.DIRECTORY:
            return False
        return node is None or node.kind == Kind.FILE or node.born > self._tree.scanned

    def _still_local(self, record: Record) -> str | None:
        """Whether a local one of its kind was there when that was last looked at."""
        node = self._tree.nodes.get(record.path)
        if node is None or node.kind != record.kind:
            return None
        asked = self._asked(record.path)
        looked = -1 if self.daemon else self._tree.scanned  # a daemon's looks go on while it works on the one before
        return "it is there locally" if (node.born < asked if asked else node.born <= looked) else None

    def _asked(self, path: str) -> int:
        """The step at which it was last asked for, by itself or with a directory above."""
        return max(self._tree.asked.get(path_of(key), 0) for key in [key_of(path), *ancestors_of(key_of(path))])

    def _is_frozen(self, path: str) -> bool:
        since = self._asked(path) if self.daemon else 0
        return any(
            self._is_frozen_itself(path_of(key), since=since) for key in [key_of(path), *ancestors_of(key_of(path))]
        )

    def _is_frozen_itself(self, path: str, *, since: int) -> bool:
        """The daemon looks again at parts of what it has scanned, and asks right before it deletes."""
        node = self._tree.nodes.get(path)
        is_now = node is not None and node.kind > Kind.FILE and (not since or node.born < since)
        return path in self._tree.frozen and (not self.daemon or is_now)

    def _is_left_at_no_file(self, record: Record) -> bool:
        """Whether it is an unfinished upload where the source has a link or the like now."""
        node = self._tree.nodes.get(record.path)
        is_skipped = node is not None and node.kind in (Kind.SYMLINK, Kind.SPECIAL)
        above = any(path_of(key) in self._tree.frozen for key in ancestors_of(record.key))
        return record.status == Status.PENDING and is_skipped and not above

    def _is_left_out(self, record: Record) -> bool:
        return self._filters.excludes(record.path, directory=record.kind == Kind.DIRECTORY)

    # In the end.

    def converged(self, report: JobReport, *, empty_directories: bool) -> list[str]:
        """What is not as it must be after a run that nothing disturbed."""
        failed = {problem.path for problem in report.failed}
        self._left = {drift.path for drift in report.drifted} if self._on_drift is OnDrift.KEEP else set()
        found = [f"{path!r} failed without need" for path in failed if not self.is_hopeless(path)]
        found += self._not_equal(failed, held=report.held > 0)
        if empty_directories:
            found += self._directories_missing(failed, held=report.held > 0)
        if not report.held and not failed:
            found += self._superfluous()  # what stands for a path that failed stays where it is
        if not failed and not report.held:
            found += self._baseline_wrong()
        return found

    def is_hopeless(self, path: str) -> bool:
        """Whether somebody else's record, the name or the local file itself keeps the path from being synced."""
        node = self._tree.nodes.get(path)
        if node is None or node.kind > Kind.FILE or node.locked:
            return True
        if any(self._cloud.knobs.names_kept(part) != part for part in path.split("/")):
            return True
        kinds = {record.kind for record in self._cloud.at(key_of(path))}
        return node.kind not in (kinds or {node.kind}) or self._is_under_a_file(path)

    def _is_under_a_file(self, path: str) -> bool:
        return any(record.kind == Kind.FILE for key in ancestors_of(key_of(path)) for record in self._cloud.at(key))

    def _wanted(self, kind: Kind) -> list[str]:
        return [
            path
            for path, node in self._tree.nodes.items()
            if node.kind == kind
            and path not in self._left
            and not self._is_frozen(path)
            and not self._filters.excludes(path, directory=kind == Kind.DIRECTORY)
        ]

    def _not_equal(self, failed: set[str], *, held: bool) -> list[str]:
        found = []
        for path in self._wanted(Kind.FILE):
            data = self._tree.nodes[path].data
            there = [record.data for record in self._cloud.at(key_of(path)) if record.status == Status.COMPLETED]
            if data not in there and path not in failed and not (held and self.is_hopeless(path)):
                found.append(f"{path!r} is {data!r} here and {there} there")
        return found

    def _directories_missing(self, failed: set[str], *, held: bool) -> list[str]:
        return [
            f"the directory {path!r} is missing there"
            for path in self._wanted(Kind.DIRECTORY)
            if self._cloud.directory_at(key_of(path)) is None
            and path not in failed
            and not (self._on_drift is OnDrift.KEEP and key_of(path) in self._store.baseline)
            and not self.is_hopeless(path)
            and not held
        ]

    def _superfluous(self) -> list[str]:
        found = []
        for record in self._cloud.records.values():
            if not record.there or self._is_left_out(record):
                continue
            if self._is_frozen(record.path) and not self._is_left_at_no_file(record):
                continue
            if is_trashed(record.key) or record.unproven:
                continue
            node = self._tree.nodes.get(record.path)
            if node is not None and node.kind == record.kind and record.status == Status.COMPLETED:
                continue
            if self._had_to_go(record):
                found.append(f"{record.path!r} ({record.kind.name}, {record.status.name}) is still there")
        return found

    def _had_to_go(self, record: Record) -> bool:
        if record.status == Status.PENDING:
            row = self._store.baseline.get(record.key)
            moved = row is not None and row.checksum is not None and row.id != record.id
            ours = record.made_by_us and record.owned and not (record.renamed or record.detached or moved)
            return ours and self._mode is not DeleteMode.NEVER
        if any(not one.owned for one in self._cloud.at(record.key)) and not self._takes_all:
            return False
        inside = self._cloud.below(record.key)
        strangers = [one for one in inside if not one.owned or one.detached or one.unproven or one.renamed]
        strangers += [one for one in inside if self._is_frozen(one.path)]
        if record.renamed:
            return False  # made, and then not taken back because of a crash or a failure: nobody can know it
        if any(self._is_left_out(one) for one in strangers):
            return False
        if self._takes_all:
            return not any(self._is_frozen(one.path) or one.status == Status.PENDING for one in strangers)
        return self._mode is not DeleteMode.NEVER and record.owned and not strangers and not record.detached

    def _baseline_wrong(self) -> list[str]:
        rows = self._store.baseline
        found = [
            f"row {path_of(key)!r} is {row.sync.name}"
            for key, row in rows.items()
            if row.sync in _UNSETTLED and self._matters(row)
        ]
        for path in self._wanted(Kind.FILE):
            row = rows.get(key_of(path))
            ids = {record.id for record in self._cloud.at(key_of(path))}
            if row is None or row.checksum != md5(self._tree.nodes[path].data) or row.id not in ids:
                found.append(f"the row of {path!r} is {row}")
        there = {record.key for record in self._cloud.records.values() if record.there}
        found += [
            f"row {path_of(key)!r} stands for nothing"
            for key in rows
            if path_of(key) not in self._tree.nodes and key not in there and not self._is_frozen(path_of(key))
        ]
        return found

    def _matters(self, row: BaselineEntry) -> bool:
        """Whether anything follows from a row that is not settled."""
        if path_of(row.key) in self._left:
            return False
        node = self._tree.nodes.get(path_of(row.key))
        there = self._cloud.at(row.key)
        cut_short = any(one.status == Status.PENDING and row.id != one.id for one in there)
        cut_short |= any(one.status == Status.PENDING and not one.owned for one in there)
        # after the state was lost, what was sent to what somebody may have begun is left, and said, until it completes
        cut_short |= any(one.status == Status.PENDING and one.detached and row.checksum is None for one in there)
        another_kind = any(one.kind != row.kind for one in there)
        if self._is_frozen(path_of(row.key)) or cut_short or another_kind:
            return False
        return self._mode is not DeleteMode.NEVER if node is None else node.kind == row.kind


_UNSETTLED = (Sync.CLAIMED, Sync.UPLOADED)
