"""A world whose remote has names and nothing else: no directories, moves, checksums, replacing; records side by side.

The engine, the source, the state and the chaos are those of every simulated world; what may be asked of the cloud, and
what must be so there, is told here anew.
"""

from __future__ import annotations

from collections.abc import Collection

from syncd.core.model import Capabilities, DeleteMode, JobReport, Kind, RemoteEntry, Status, Sync
from syncd.core.paths import ancestors_of, key_of
from syncd.errors import Transient
from syncd.ports import Content
from tests.sim.checks import Checks
from tests.sim.cloud import Cloud, Record
from tests.sim.remote import MemoryRemote
from tests.sim.tree import md5
from tests.sim.world import World

FLAT = Capabilities(
    directories=False,
    move=False,
    move_directory=False,
    download=False,
    max_name_chars=1000,
    max_directory_chars=1000,
    max_size_bytes=1000,
    replace_in_place=False,
    checksums=False,
    unique_names=False,
)


class FlatCloud(Cloud):
    def upload(self, key: bytes, data: bytes) -> Record:
        """A complete record, whatever else has that name."""
        record = self._add(key, Kind.FILE, Status.COMPLETED, ours=True)
        record.data = data
        self.completed(record)
        return record

    def listing(self, directory: bytes, *, recursive: bool) -> list[RemoteEntry]:
        return [entry._replace(checksum=None) for entry in super().listing(directory, recursive=recursive)]


class FlatRemote(MemoryRemote):
    capabilities = FLAT
    _cloud: FlatCloud

    def _entry(self, record_id: str) -> RemoteEntry | None:
        entry = super()._entry(record_id)
        return None if entry is None or entry.status is Status.LEAVING else entry._replace(checksum=None)

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        with self._operation(f"create {path}", at=path):
            earlier = None if begun_s_ago is None else await self._new(path, beside)
            known = {*beside, earlier.id} if earlier is not None else beside
            pieces = [content.data] if content.data is not None else [piece async for piece in content.chunks()]
            data = b"".join(pieces)
            record = await self._uploaded(path, data, known)
            if earlier is not None:
                self._cloud.delete(earlier.id, ours=True)
            return record.entry._replace(checksum=md5(data))

    async def _uploaded(self, path: str, data: bytes, known: Collection[str]) -> Record:
        try:
            return await self._request("post", lambda: self._cloud.upload(key_of(path), data))
        except Transient:
            found = await self._new(path, known, size=len(data))
            if found is None:
                raise
            return found

    async def _new(self, path: str, known: Collection[str], *, size: int | None = None) -> Record | None:
        def look() -> Record | None:
            there = [one for one in self._cloud.at(key_of(path)) if one.id not in known]
            return next((one for one in there if size in (None, len(one.data))), None)

        return await self._request("get", look)


class FlatChecks(Checks):
    """`strangers`: whether others have records beside ours, so that not every one of ours can be told."""

    strangers = False
    settled = False
    """Whether the run before had nothing to do any more: the row of what replaced another is settled by the run after
    the one that saw the old record go."""

    def check_twins(self, record: Record) -> None:
        ours = [one for one in self._cloud.at(record.key) if one.made_by_us]
        if len(ours) > 2 and not self.strangers:
            self._violated(f"{len(ours)} records of ours at {record.path!r}")

    def _complaint(self, record: Record, going: set[int]) -> str | None:
        left = [one for one in self._cloud.at(record.key) if id(one) not in going]
        versions = self._tree.versions[record.path]
        node = self._tree.nodes.get(record.path)
        is_wanted = node is not None and node.kind == Kind.FILE and node.born <= self._tree.scanned
        if is_wanted:
            is_kept = self.strangers or any(one.made_by_us and one.data in versions for one in left)
            return None if is_kept else "it was the only one of a file that is there"
        row = self._store.baseline.get(record.key)
        is_replaced = row is not None and row.claim == record.id
        if not (record.made_by_us or record.owned or is_replaced) and self._mode is not DeleteMode.MIRROR:
            return "it is a stranger's"
        if self._is_frozen(record.path):
            return "nothing is known about it locally"
        ours = any(one.made_by_us for one in left)
        return "nothing may be deleted" if self._mode is DeleteMode.NEVER and not ours else None

    def converged(self, report: JobReport, *, empty_directories: bool) -> list[str]:
        del empty_directories
        self._left = set()
        failed = {problem.path for problem in report.failed}
        found = [f"{path!r} failed without need" for path in failed if not self.is_hopeless(path)]
        for path in self._wanted(Kind.FILE):
            if path not in failed:
                found += self._wrong_at(path)
        if self._mode is not DeleteMode.NEVER and not self.strangers:
            wanted = {*self._wanted(Kind.FILE), *failed}
            found += [
                f"{record.path!r} is still there"
                for record in self._cloud.records.values()
                if record.there and record.path not in wanted and not self._stays(record)
            ]
        return found

    def _wrong_at(self, path: str) -> list[str]:
        key, data = key_of(path), self._tree.nodes[path].data
        row = self._store.baseline.get(key)
        there = self._cloud.at(key)
        found = []
        if not any(row is not None and one.id == row.id and one.data == data for one in there):
            found.append(f"{path!r} is {data!r} here, {[one.data for one in there]} there, {row}")
        elif self.settled and (row is None or row.sync is not Sync.SYNCED or row.claim is not None):
            found.append(f"the row of {path!r} is {row}")
        if len(there) > 1 and not self.strangers:
            found.append(f"{len(there)} records at {path!r}")
        return found

    def _stays(self, record: Record) -> bool:
        return self._is_frozen(record.path) or self._is_left_out(record) or record.detached

    def _is_under_a_file(self, path: str) -> bool:
        return any(self._tree.nodes[one].kind != Kind.DIRECTORY for one in map(_path, ancestors_of(key_of(path))))


def _path(key: bytes) -> str:
    return key.replace(b"\0", b"/").decode()


class FlatWorld(World):
    remote_class = FlatRemote
    cloud_class = FlatCloud
    checks_class = FlatChecks
    checks: FlatChecks
