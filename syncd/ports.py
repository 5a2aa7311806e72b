"""What the engine asks of the world, as protocols with their contracts.

Implemented in `remotes`, `local`, `store` and `telemetry`, put together in `app`; `engine` knows only these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from syncd.core.model import (
    BaselineEntry,
    Capabilities,
    Drift,
    Event,
    Fingerprint,
    JobReport,
    JobStatus,
    LocalEntry,
    PathStatus,
    Problem,
    RemoteEntry,
    SourceIdentity,
    Step,
    Waited,
)

Before = Callable[[], Awaitable[None]]
"""A last look, at the moment before something is asked for."""


class Content(Protocol):
    """One stable reading of one local file, to be sent once or, after a failure, again.

    A small file was read whole when this was made and `data` holds it; a large one has `data` None and is streamed.
    """

    entry: LocalEntry
    content_type: str
    dimensions: tuple[int, int] | None
    data: bytes | None

    @property
    def checksum(self) -> str | None:
        """md5 in hex; for a streamed file None until it was read to its end."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """What was sent; for a streamed file only after it was read to its end."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes from the start, exactly `entry.size` of them, in pieces of about 1 MiB.

        Each call reads anew. Raises SourceChanged before the last piece if the file is not what it was when this was
        made, Unreadable if it cannot be read: a request whose length was announced is then never complete.
        """
        ...


class LocalTree(Protocol):
    """The source directory. Methods that are not coroutines block and are run in a thread."""

    def identity(self) -> SourceIdentity:
        """Raises SourceMissing."""
        ...

    def scan(self) -> Iterator[LocalEntry]:
        """Every wanted entry below the source, sorted by key, directories before what is in them, the root left out.

        An entry that is there but must not be decided on comes with a kind beyond FILE: UNREADABLE (a directory that
        could not be listed, wholly or in part: nothing below it is known), SYMLINK, SPECIAL, BAD_NAME. What the
        filters leave out is not in it. Raises SourceMissing if the source itself cannot be listed.
        """
        ...

    def anchor(self, directory: str) -> str | None:
        """The nearest directory at or above `directory` that is there now and can be listed; None where the filters
        leave `directory` out. Raises SourceMissing."""
        ...

    def children(self, directory: str, *, goes_into: Callable[[bytes], bool]) -> list[LocalEntry]:
        """What `scan` would say of one directory that `anchor` named: what is directly in it, and all that is below
        each child directory whose key `goes_into` accepts. Raises SourceMissing, and Unreadable
        where `directory` went away meanwhile."""
        ...

    def rules_changed(self) -> bool:
        """Whether the filters that the source itself holds are other ones than those of the last scan. Raises
        SourceMissing where they cannot be read."""
        ...

    def exists(self, path: str, *, as_directory: bool = True) -> bool:
        """Whether anything is at the path now, also if it cannot be read: asked right before its deletion. Without
        `as_directory`, a directory is nothing."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether a file is at the path now, and no link or the like."""
        ...

    async def fingerprints(self, entries: Sequence[LocalEntry]) -> list[Fingerprint | None]:
        """Read these files, one after the other, and return the stat and checksum of each; None for one that could not
        be read, or not at rest."""
        ...

    async def read(self, entry: LocalEntry, *, growing: bool = False) -> Content:
        """Raises SourceChanged, Unreadable.

        `growing`: the file may become longer meanwhile. What comes back is what was there when this began, if that
        reads the same twice: now, and (a large one) when it is streamed. Its fingerprint proves nothing later.
        """
        ...


class Receiver(Protocol):
    """Where a download goes, piece by piece. Both raise LocalError where they cannot take it."""

    async def begin(self) -> None:
        """The first piece comes next; what came before is void, because the transfer was cut off."""
        ...

    async def write(self, piece: bytes) -> None: ...


class Incoming(Receiver, Protocol):
    """One file on its way into the source: it has its place when it is committed, and never a half of it."""

    @property
    def checksum(self) -> str:
        """Of what has come: md5 in hex."""
        ...

    async def commit(self, *, modified_ns: int | None) -> Fingerprint:
        """Put it in its place, durably and with its modification time. Returns what proves its content from now on.

        Raises SourceChanged if what is there is not what was seen, which then stays; Unwritable.
        """
        ...

    async def aclose(self) -> None:
        """Whatever was not committed is gone."""
        ...


class LocalWriter(Protocol):
    """Changes the source directory and nothing outside it: no symlink is followed. But for `incoming` its methods block
    and are run in a thread."""

    def incoming(self, path: str, seen: LocalEntry | None) -> Incoming:
        """A file that is to take the place of the one that was seen, or of nothing; its parents are made."""
        ...

    def make_directory(self, path: str) -> None:
        """With its parents; one that is there is success. Raises Unwritable."""
        ...

    def remove(self, path: str, seen: LocalEntry) -> bool:
        """Remove a file that is still what was seen, or a directory if it is empty; whether it went.

        Raises SourceChanged, Unwritable.
        """
        ...


class Sink(Protocol):
    """Where a listing goes, page by page."""

    async def add(self, entries: Sequence[RemoteEntry]) -> None: ...

    async def clear(self) -> None:
        """Forget what was added: the listing begins again."""
        ...


class Spool(Sink, Protocol):
    """A listing on disk: bounded memory whatever its length. Repeats (same key and id) are kept once."""

    def rows(self) -> AbstractContextManager[Iterator[RemoteEntry]]:
        """Sorted by key, then id; blocks, and may be used in any one thread."""
        ...

    async def aclose(self) -> None: ...


class Remote(Protocol):
    """One destination directory of one account. Paths are relative to it.

    Every method retries what is transient within the rules of the contract and raises `Unauthorized` (halt),
    `RemoteDead` (nothing succeeded for two minutes), `Transient` (this kept failing; it may have taken effect) or
    what it says below. All may run concurrently on different paths.
    """

    capabilities: Capabilities

    async def entries(
        self,
        directory: str,
        sink: Sink,
        *,
        recursive: bool,
        directories_known: int | None = None,
        steady: bool = True,
    ) -> None:
        """Put all records below `directory` into `sink`: its direct children, or with `recursive` its whole tree.

        Complete or raised: a view that cannot be had whole is an exception. Records of every status are included; the
        directory's own record is not. An absent directory is empty. `directories_known` (how many the caller expects
        below) lets it choose between paging through everything and asking directory by directory.

        Not `steady`: records may be missing where others are made or removed meanwhile. What is put into `sink` is
        there all the same, and it costs fewer requests.
        """
        ...

    async def get(self, record_id: str) -> RemoteEntry | None:
        """The record, None if it is gone or is no longer below the destination."""
        ...

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        """Make a record with the content, its parents too. Returns it with the checksum that the upload was answered
        with, which is the content's; the record may still be PENDING for a moment. Where the remote has no checksums,
        it is COMPLETED, of the content's size, and comes with the content's checksum.

        A lost answer is looked up before the request is made again, so this never makes two records; the same for a
        create that an earlier run began `begun_s_ago` and did not see the end of. `beside`: the ids of the records
        that are at the path already, where names may repeat. Raises
        AlreadyExists, NotMade, Rejected, RenamedByRemote, SourceChanged, Unreadable.
        """
        ...

    async def replace(self, record: RemoteEntry, path: str, content: Content) -> RemoteEntry:
        """New content under the same id, where the remote can. Idempotent.

        Raises NotFound, Rejected, SourceChanged, Unreadable.
        """
        ...

    async def move(self, record: RemoteEntry, path: str, *, before: Before | None = None) -> RemoteEntry:
        """Where the remote can. Returns the new record (its id may be new), for a directory once the remote has moved
        everything in it. `before`: see `delete`.

        Raises NotFound (the old one), AlreadyExists (the target), NotMade.
        """
        ...

    async def delete(self, record: RemoteEntry, *, before: Before | None = None) -> None:
        """Idempotent: a record that is gone is success. A directory goes with everything in it; returns when it has.

        `before` is awaited right before each try, after whatever that had to wait for; what it raises is raised, and
        nothing is asked for any more.
        """
        ...

    async def download(self, record: RemoteEntry, into: Receiver) -> None:
        """Give the content of a completed file to `into`; `record.size` bytes of it when this returns.

        A transfer that is cut off begins again. Whether it is the content that `record.checksum` tells is for the
        caller to see. Only where the capabilities have it. Raises NotFound (there is no such content any more),
        Rejected, and what `into` raises.
        """
        ...

    async def make_directory(self, path: str) -> RemoteEntry:
        """Where the remote has directories. Its parents too. Raises AlreadyExists, NotMade, RenamedByRemote."""
        ...

    async def aclose(self) -> None: ...


class Memory(Protocol):
    """What a job remembers beside its rows."""

    @property
    def source(self) -> SourceIdentity | None: ...

    @property
    def rebuilt(self) -> bool:
        """The state was damaged or foreign and was set aside when this was opened: no deletions in this run."""
        ...

    @property
    def idle_s(self) -> float:
        """For how long the run before this one has neither written nor beaten, by the wall clock; infinite for a new
        database."""
        ...


class Store(Protocol):
    """A job's baseline. Writes return when they are committed; concurrent ones are committed in groups."""

    @property
    def memory(self) -> Memory: ...

    def rows(self) -> AbstractContextManager[Iterator[BaselineEntry]]:
        """Sorted by key, a snapshot; blocks, and may be used in any one thread."""
        ...

    def ranges(self) -> AbstractContextManager[Callable[[bytes, bytes], Iterator[BaselineEntry]]]:
        """A snapshot of which parts are read: those from one key up to another, which is not included, sorted. One
        part is read to its end or left before the next is begun; blocks, and may be used in any one thread."""
        ...

    async def count_directories(self) -> int:
        """How many rows are directories."""
        ...

    async def write(self, rows: Sequence[BaselineEntry], forgotten: Sequence[bytes] = ()) -> None:
        """Forget the keys of `forgotten`, then put `rows` in place of what their keys had, in one transaction."""
        ...

    async def remember_source(self, identity: SourceIdentity) -> None: ...

    def beat(self) -> None:
        """Something is under way now, also if it was claimed long ago: see `Memory.idle_s`."""
        ...

    def note(self, event: Event) -> None:
        """Add to the job's history, of which the latest are kept. Written a moment later: a crash may lose the last."""
        ...

    def spool(self) -> Spool: ...

    async def aclose(self) -> None: ...


class Telemetry(Protocol):
    """What happens, told as it happens: to the progress bar, the log and the report."""

    def planned(self, operations: Sequence[Step]) -> None: ...

    def sent(self, size_bytes: int) -> None:
        """Bytes of file content given to the network, or come from it (negative when a transfer begins again)."""
        ...

    def done(self, operation: Step) -> None: ...

    def failed(self, problem: Problem) -> None: ...

    def drifted(self, drift: Drift) -> None: ...

    def notice(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...

    def noticed(self, age_s: float, *, announced: bool) -> None:
        """A change came to be known when it was so old: told by the watch, or found by a look that nothing asked for.
        (Negative where a clock was put back.)"""
        ...

    def finished(self, report: JobReport) -> None: ...


class Hint(NamedTuple):
    """Where to look: the directories in which something may have changed, or None for everywhere.

    `oldest_ns` is when the oldest change of which that can be told was made, by the clock that stamps files."""

    directories: frozenset[str] | None
    reason: str
    oldest_ns: int | None = None


class Watch(Protocol):
    """Notices changes of one source directory, as hints: it may say too much, and whoever relies on it looks
    everywhere from time to time because it may miss some."""

    @property
    def degraded(self) -> str | None:
        """Why changes are noticed late or not at all (no inotify, limits, a network filesystem); None: all is well."""
        ...

    def hints(self) -> AsyncIterator[Hint]:
        """Ends only when the watch is closed. Never raises for what happens to the tree: that is a hint too."""
        ...

    async def renew(self, reason: str) -> None:
        """Watch anew, because a change was found that was not announced; `degraded` tells the reason until the next
        hour without one."""
        ...

    async def aclose(self) -> None: ...


class ServiceManager(Protocol):
    """Who started this process and wants to hear how it is. Never raises, never waits long."""

    watchdog_interval_s: float | None

    def ready(self, status: str) -> None: ...

    def status(self, status: str) -> None: ...

    def reloading(self) -> None: ...

    def stopping(self, status: str) -> None: ...

    def watchdog(self) -> None: ...


class Daemon(Protocol):
    """What the control socket and the status server ask of the running daemon. `job` None: all of them.

    Methods raise KeyError for a job that is not there.
    """

    def status(self) -> Sequence[JobStatus]: ...

    def why(self, job: str, path: str) -> PathStatus:
        """What it has to do with one path at this moment."""
        ...

    def is_alive(self) -> bool:
        """Whether the loops make progress (also what feeds the watchdog)."""
        ...

    def is_ready(self) -> bool:
        """Whether every wanted path was done, skipped, held or parked once."""
        ...

    def rescan(self, job: str | None) -> None: ...

    def pause(self, job: str | None) -> None: ...

    def resume(self, job: str | None) -> None: ...

    def approve(self, job: str) -> int:
        """Release what is held; how many deletions that were."""
        ...

    async def wait(self, jobs: Sequence[str]) -> tuple[Waited, str]:
        """When everything changed until now is on the destination; and a sentence that names what is in the way."""
        ...
