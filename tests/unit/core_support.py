"""Views in a few words, and the plan that the core makes of them.

A file's content stands for its checksum. `Views.plan` walks the three views as an engine does, reads what it is asked
to read, and decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.core.diff import Census, Difference, differences, local_changes, remote_changes
from syncd.core.filters import Filter
from syncd.core.guard import Guard
from syncd.core.model import (
    BaselineEntry,
    Capabilities,
    DeleteMode,
    Fingerprint,
    Kind,
    LocalEntry,
    MaxDelete,
    OnDrift,
    Order,
    RemoteEntry,
    Status,
    Sync,
)
from syncd.core.paths import key_of, path_of
from syncd.core.plan import Plan, decide, to_be_read
from syncd.core.policy import Policy

ALL = Capabilities(
    directories=True,
    move=True,
    move_directory=True,
    download=True,
    max_name_chars=40,
    max_directory_chars=60,
    max_size_bytes=1000,
)
STAMP = "2026-11-24T16-05-09Z"
NO_GUARD = MaxDelete(count=None, percent=100.0)


def content_type(path: str) -> str:
    return path.rpartition(".")[2] if "." in path else "none"


@dataclass(slots=True)
class Views:
    """`known` puts a path into all three views as a finished sync leaves it; the other methods into one."""

    local: dict[str, LocalEntry] = field(default_factory=dict)
    remote: list[RemoteEntry] = field(default_factory=list)
    base: dict[str, BaselineEntry] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    delete: DeleteMode = DeleteMode.TRACKED
    rules: Filter = field(default_factory=Filter)
    capabilities: Capabilities = ALL
    empty_directories: bool = True
    adopt_by_size: bool = False
    order: Order = Order.SMALL_FIRST
    max_delete: MaxDelete = NO_GUARD
    on_drift: OnDrift = OnDrift.OVERWRITE
    unreadable: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)

    def file(self, path: str, content: str = "c", *, inode: int | None = None, time: int = 10) -> Views:
        """A local file; by its inode and time it may be another one that the baseline knows."""
        number = inode if inode is not None else 900 + len(self.local)
        self.local[path] = LocalEntry(key_of(path), Kind.FILE, len(content), time, time, number)
        self.contents[path] = content
        return self

    def directory(self, path: str) -> Views:
        self.local[path] = LocalEntry(key_of(path), Kind.DIRECTORY, 0, 0, 0, 0)
        return self

    def strange(self, path: str, kind: Kind) -> Views:
        self.local[path] = LocalEntry(key_of(path), kind, 0, 0, 0, 0)
        return self

    def record(
        self,
        path: str,
        content: str | None = "c",
        *,
        id_: str = "",
        status: Status = Status.COMPLETED,
        checksum: bool = True,
    ) -> Views:
        """A remote file, or with content None a directory."""
        kind = Kind.DIRECTORY if content is None else Kind.FILE
        shown = content if checksum and status is Status.COMPLETED else None
        entry = RemoteEntry(key_of(path), kind, len(content or ""), shown, id_ or f"id of {path}", status, "")
        self.remote.append(entry)
        return self

    def row(
        self,
        path: str,
        content: str | None = "c",
        *,
        sync: Sync = Sync.SYNCED,
        claim: str | None = None,
        id_: str | None = None,
        inode: int = 1,
        kind: Kind = Kind.FILE,
    ) -> Views:
        record_id = f"id of {path}" if id_ is None else id_
        size, time = len(content or ""), 10 if kind is Kind.FILE else 0
        checksum = content if kind is Kind.FILE else None
        key = key_of(path)
        self.base[path] = BaselineEntry(key, kind, size, time, time, inode, checksum, record_id, sync, claim)
        return self

    def known_directory(self, path: str, *, local: bool = True, sync: Sync = Sync.SYNCED) -> Views:
        if local:
            self.directory(path)
        return self.record(path, None).row(path, None, kind=Kind.DIRECTORY, sync=sync)

    def known(self, path: str, content: str = "c", *, inode: int = 1) -> Views:
        self.gone(path, content, inode=inode)
        return self.file(path, content, inode=inode)

    def gone(self, path: str, content: str = "c", *, inode: int = 1) -> Views:
        """Synced, and no longer in the source."""
        return self.record(path, content).row(path, content, inode=inode)

    @property
    def policy(self) -> Policy:
        return Policy(
            delete=self.delete,
            max_delete=self.max_delete,
            empty_directories=self.empty_directories,
            capabilities=self.capabilities,
            content_type=content_type,
            filter=self.rules,
            adopt_by_size=self.adopt_by_size,
            on_drift=self.on_drift,
            order=self.order,
        )

    def differences(self) -> tuple[list[Difference], Census]:
        census = Census()
        rows = sorted(self.base.values())
        mine = local_changes(sorted(self.local.values()), rows, census)
        listing = sorted(self.remote, key=lambda entry: (entry.key, entry.id))
        return list(differences(mine, remote_changes(listing, rows, census))), census

    def plan(self) -> Plan:
        found, census = self.differences()
        wanted = to_be_read(found, self.policy)
        self.read = [path_of(entry.key) for entry in wanted]
        checksums = {
            entry.key: Fingerprint(entry, self.contents[path])
            for entry in wanted
            if (path := path_of(entry.key)) not in self.unreadable
        }
        return decide(found, checksums, self.policy, Guard(self.max_delete, census.known), stamp=STAMP)

    def operations(self) -> list[str]:
        return said(self.plan())


def said(plan: Plan) -> list[str]:
    """Each operation in a few words: `create a`, `move b from a`, `mkdir d (on the way)`, `delete a (leftover)`."""
    return [_said(one) for one in plan.operations]


def _said(one: object) -> str:
    words = f"{getattr(one, 'name')} {getattr(one, 'path')}"  # noqa: B009
    if (source := getattr(one, "source", None)) is not None:
        words += f" from {source}"
    for mark in ("on_the_way", "in_the_way", "leftover"):
        if getattr(one, mark, False):
            words += f" ({mark.replace('_', ' ')})"
    return words
