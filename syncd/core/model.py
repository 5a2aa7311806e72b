"""The words of the program as types: entries of the three views, operations, plan, outcomes, report.

Entries are named tuples because a no-op run makes one for every file on every side; what a decision is made of is a
frozen dataclass. Nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol


class Kind(IntEnum):
    """What is at a path. Beyond FILE, a local path whose remote counterpart must be left as it is."""

    DIRECTORY = 0
    FILE = 1
    UNREADABLE = 2
    SYMLINK = 3
    SPECIAL = 4
    BAD_NAME = 5


class Status(IntEnum):
    """A remote record's state. LEAVING (moving or deleting) lingers in listings and is not there."""

    COMPLETED = 0
    PENDING = 1
    LEAVING = 2


class Sync(IntEnum):
    """What a baseline row knows about its path."""

    SYNCED = 0
    """Both sides were seen to be the same; a directory: syncd made it."""
    UPLOADED = 1
    """Sent and its checksum verified; the record was not seen completed yet."""
    CLAIMED = 2
    """An upload was begun; it may or may not have taken effect."""
    ADOPTED = 3
    """A directory that was there before syncd needed it: never removed as its own. Without an id, one of the source's
    where the remote has no directories."""


UNTRUSTED = -1
"""As `mtime_ns`: the content was read too soon after its last change for size and times to prove anything later."""


class LocalEntry(NamedTuple):
    key: bytes
    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class RemoteEntry(NamedTuple):
    """`checksum` is the content's md5 in hex, None where the remote gives none (pending, multipart, directory)."""

    key: bytes
    kind: Kind
    size: int
    checksum: str | None
    id: str
    status: Status
    modified: str


class BaselineEntry(NamedTuple):
    """What was last known to be the same on both sides.

    `size` to `inode` are the local file's when its content was `checksum`. `id` is the remote record ("" for one that
    is not known, such as a directory made on the way or a child of a moved directory). `claim` is the checksum of an
    upload begun and not known to be ended ("" where it is streamed and not known before), else None; where the remote
    has no checksums, it is what `core.claims` makes of it.
    """

    key: bytes
    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    checksum: str | None
    id: str
    sync: Sync
    claim: str | None


class Fingerprint(NamedTuple):
    """One stable reading of a local file: its stat (`mtime_ns` UNTRUSTED if too fresh) and its md5 in hex."""

    entry: LocalEntry
    checksum: str


class SourceIdentity(NamedTuple):
    """`filesystem`: statvfs f_fsid, 0 where unknown. `inode`: of the source directory itself."""

    filesystem: int
    inode: int


class DeleteMode(Enum):
    NEVER = "never"
    TRACKED = "tracked"
    MIRROR = "mirror"


class OnDrift(Enum):
    """What becomes of a remote file that somebody else changed, deleted or added."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    COPY = "copy"
    """Theirs is moved aside before ours takes its place."""


class Order(Enum):
    """Which of a plan's uploads go first."""

    SMALL_FIRST = "small-first"
    NEWEST_FIRST = "newest-first"


@dataclass(frozen=True, slots=True)
class MaxDelete:
    """How many deletions are done without asking: a count, or a percentage of the files known on the destination."""

    count: int | None = None
    percent: float | None = 25.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a remote can do; the planner asks these, never the remote's kind.

    Without `directories` a file's path is all there is of them. `checksums`: a complete file's md5 is told. Without
    `unique_names` several records may stand at one path, each made by a create of its own.
    """

    directories: bool
    move: bool
    move_directory: bool
    download: bool
    max_name_chars: int
    max_directory_chars: int
    max_size_bytes: int
    replace_in_place: bool = True
    checksums: bool = True
    unique_names: bool = True
    listing_lag_s: float = 0.0
    """How long what was made or moved may be missing from listings."""


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    path: str
    reason: str
    on_the_way: bool
    """A file or directory made below it brings it into being, without a request of its own."""

    name = "mkdir"
    size = 0


@dataclass(frozen=True, slots=True)
class Create:
    """`begun`: an earlier run claimed it and was cut off, so that it may have happened though it is not listed yet.
    `beside`: the ids of other people's records at the path, where names may repeat."""

    path: str
    reason: str
    local: LocalEntry
    begun: bool = False
    beside: tuple[str, ...] = ()

    name = "create"

    @property
    def size(self) -> int:
        return self.local.size


@dataclass(frozen=True, slots=True)
class Replace:
    """`aside`: the path that what is there is moved to before, "" where it is overwritten."""

    path: str
    reason: str
    local: LocalEntry
    remote: RemoteEntry
    base: BaselineEntry | None
    aside: str = ""
    beside: tuple[str, ...] = ()

    name = "replace"

    @property
    def size(self) -> int:
        return self.local.size


@dataclass(frozen=True, slots=True)
class Move:
    """`covers`: for a directory, every remote record known below `source`; a fresh listing must hold nothing else.
    `files`: how many come to their place by it."""

    path: str
    source: str
    reason: str
    local: LocalEntry
    remote: RemoteEntry
    checksum: str | None
    covers: tuple[RemoteEntry, ...] = ()
    files: int = 1

    name = "move"

    @property
    def size(self) -> int:
        return self.local.size if self.local.kind is Kind.FILE else 0


@dataclass(frozen=True, slots=True)
class Delete:
    """`covers` as for Move. `after`: the paths whose uploads replace this; if one of them fails, this is not done.
    `in_the_way`: goes before what takes its place instead of last. `leftover`: a record of syncd's own that stands for
    nothing (an unfinished upload, a repeat), removed whatever the guard says. `superseded`: how many of its files are
    old copies of renamed ones that no move could rename; they count as deleted, but not for the guard."""

    path: str
    reason: str
    remote: RemoteEntry
    covers: tuple[RemoteEntry, ...] = ()
    after: tuple[str, ...] = ()
    in_the_way: bool = False
    leftover: bool = False
    superseded: int = 0

    name = "delete"

    @property
    def files(self) -> int:
        records = (self.remote, *self.covers)
        return 0 if self.leftover else sum(record.kind == Kind.FILE for record in records)

    @property
    def size(self) -> int:
        return self.remote.size


Operation = MakeDirectory | Create | Replace | Move | Delete


class Step(Protocol):
    """What is told of anything that is done at one path, whichever side it changes. `size` in bytes."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def size(self) -> int: ...


class Problem(NamedTuple):
    """One path's failure, as data."""

    path: str
    action: str
    error: str


class Skip(NamedTuple):
    path: str
    reason: str


class Drift(NamedTuple):
    """What somebody else did to a remote path since the baseline: kind is changed, deleted or added."""

    path: str
    kind: str


class Event(NamedTuple):
    """What a job did or could not do at one path, kept for people. `at_s`: Unix time; `source`: where it was moved
    from; `detail` is the reason, or the error where it `failed`."""

    at_s: float
    action: str
    path: str
    source: str | None
    size: int
    detail: str
    failed: bool


@dataclass(slots=True)
class JobReport:
    """What one job's run did, in files unless said otherwise; the fields of the contract's report."""

    job: str
    exit: int = 0
    error: str | None = None
    unchanged: int = 0
    created: int = 0
    replaced: int = 0
    moved: int = 0
    deleted: int = 0
    superseded: int = 0
    """Of the deleted: old copies of renamed files."""
    directories: int = 0
    bytes_uploaded: int = 0
    bytes_downloaded: int = 0
    held: int = 0
    extra: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    skipped: list[Skip] = field(default_factory=list)
    drifted: list[Drift] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """What a person should hear at the end of the run, one sentence each."""


class JobState(Enum):
    """What a daemon's job is doing, for status and metrics."""

    STARTING = "starting"
    SYNCING = "syncing"
    WATCHING = "watching"
    """Nothing to do until something changes."""
    PAUSED = "paused"
    WAITING = "waiting"
    """The remote cannot be reached; tried again."""
    HALTED = "halted"
    """Needs somebody: credentials refused, source missing or foreign; tried again too."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job of a running daemon, as the contract's status shows it. `queued` counts scopes, `failed` parked paths
    with their reasons; `last_reconcile` is the Unix time of the last full one, None before it."""

    job: str
    state: JobState
    queued: int
    in_flight: int
    held: int
    held_paths: tuple[str, ...]
    failed: tuple[Problem, ...]
    oldest_unsynced_s: float
    last_reconcile: float | None
    degraded: str | None = None
    """Why changes may be noticed late (polling, a watch that was deaf); None if they are not."""
    error: str | None = None
    """Why it waits or is halted."""


@dataclass(frozen=True, slots=True)
class PathStatus:
    """What a running daemon has to do with one path of a job. `error`: why it failed `tries` times; `held_because`: why
    its deletion is held. Times are seconds from now, None where nothing waits: `retry_in_s` of a failed path,
    `delete_in_s` of a deletion that is being collected, `look_in_s` of a directory that is looked at again."""

    state: JobState
    trouble: str | None = None
    busy: bool = False
    error: str | None = None
    tries: int = 0
    retry_in_s: float | None = None
    held_because: str | None = None
    delete_in_s: float | None = None
    look_in_s: float | None = None


class Waited(Enum):
    """How `wait` ended."""

    DONE = 0
    HELD = 3
    STUCK = 1
    """Part is parked or the job halted."""
