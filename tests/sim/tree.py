"""A source directory in memory as `ports.LocalTree`: inodes that are reused, timestamps with a grain, versions kept.

The port's methods come first; the edits that a test or a script makes are below. `versions` holds every content that
a path ever had: nothing else may be published there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from syncd.core.filters import Filter
from syncd.core.model import UNTRUSTED, Fingerprint, Kind, LocalEntry, SourceIdentity
from syncd.core.paths import ancestors_of, key_of, path_of
from syncd.errors import LocalError, SourceChanged, SourceMissing, Unreadable
from tests.sim.chaos import Chaos

GRAIN_NS = 20_000_000
SMALL_BYTES = 40
"""A longer content is streamed."""


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Node:
    kind: Kind
    data: bytes
    inode: int
    mtime_ns: int
    ctime_ns: int
    born: int
    """The step at which it came to its path."""
    locked: bool = False
    """A file that cannot be read."""


class MemoryContent:
    def __init__(
        self, tree: MemoryTree, entry: LocalEntry, path: str, data: bytes, *, trusted: bool, growing: bool
    ) -> None:
        self._tree = tree
        self._path = path
        self._trusted = trusted
        self._prefix = data if growing else None
        self.entry = entry
        self.content_type = content_type(path)
        self.dimensions: tuple[int, int] | None = None
        self.data: bytes | None = data if len(data) <= SMALL_BYTES else None
        self.checksum: str | None = md5(data) if self.data is not None else None

    @property
    def fingerprint(self) -> Fingerprint:
        assert self.checksum is not None
        return Fingerprint(self.entry if self._trusted else self.entry._replace(mtime_ns=UNTRUSTED), self.checksum)

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.data is not None:
            yield self.data
            return
        sent, half = b"", self.entry.size // 2
        for start, end in ((0, half), (half, self.entry.size)):
            await asyncio.sleep(0.005)
            self._tree.chaos.point(f"chunk {self._path}")
            node = self._tree.nodes.get(self._path)
            if node is None or not self._is_as_read(node):
                raise SourceChanged("it changed while it was read")
            sent += node.data[start:end]
            if end == self.entry.size:
                self.checksum = md5(sent)
            yield node.data[start:end]

    def _is_as_read(self, node: Node) -> bool:
        if self._prefix is not None:
            return node.inode == self.entry.inode and node.data.startswith(self._prefix)
        return self._tree.entry(self._path, node) == self.entry


def content_type(path: str) -> str:
    return "text/plain" if path.endswith(".txt") else "application/octet-stream"


class MemoryTree:
    def __init__(self, chaos: Chaos, filters: Filter) -> None:
        self.chaos = chaos
        self.filters = filters
        self.nodes: dict[str, Node] = {}
        self.source = SourceIdentity(7, 1)
        self.missing = False
        self.versions: dict[str, set[bytes]] = defaultdict(set)
        self.scanned = 0
        """The step at which the last scan began."""
        self.frozen: set[str] = set()
        """What that scan said must not be decided on."""
        self.asked: dict[str, int] = {}
        """At which step `exists` was last asked for a path."""

    def identity(self) -> SourceIdentity:
        self.chaos.point("identity")
        if self.missing:
            raise SourceMissing("the source is missing")
        return self.source

    def scan(self) -> Iterator[LocalEntry]:
        if self.missing:
            raise SourceMissing("the source is missing")
        self.chaos.point("scan")
        self.scanned, self.frozen, self.asked = self.chaos.step, set(), {}
        return self._walk("")

    def _walk(self, directory: str) -> Iterator[LocalEntry]:
        for name in sorted(self.names_in(directory), key=key_of):
            path = f"{directory}/{name}" if directory else name
            node = self.nodes.get(path)
            if node is None or self.filters.excludes(path, directory=node.kind == Kind.DIRECTORY):
                continue
            self.chaos.point(f"scan {path}")
            node = self.nodes.get(path)
            if node is None:
                continue
            if node.kind > Kind.FILE:
                self.frozen.add(path)
            if node.kind > Kind.FILE or self.filters.wants(path, directory=node.kind == Kind.DIRECTORY):
                yield self.entry(path, node)
            if node.kind == Kind.DIRECTORY:
                yield from self._walk(path)

    def anchor(self, directory: str) -> str | None:
        if self.missing:
            raise SourceMissing("the source is missing")
        path = ""
        for name in directory.split("/") if directory else ():
            below = f"{path}/{name}" if path else name
            if self.filters.excludes(below, directory=True):
                return None
            if below not in self.nodes or self.nodes[below].kind != Kind.DIRECTORY:
                break
            path = below
        return path

    def children(self, directory: str, *, goes_into: Callable[[bytes], bool]) -> list[LocalEntry]:
        if self.missing or (directory and directory not in self.nodes):
            raise SourceMissing("the source is missing")
        self.chaos.point(f"look {directory}")
        self.scanned = self.chaos.step
        depth = len(directory.split("/")) if directory else 0
        return [
            entry
            for entry in self._walk(directory)
            if entry.key.count(b"\0") == depth or goes_into(b"\0".join(entry.key.split(b"\0")[: depth + 1]))
        ]

    def rules_changed(self) -> bool:
        return False

    def exists(self, path: str, *, as_directory: bool = True) -> bool:
        self.chaos.point(f"exists {path}")
        self.asked[path] = self.chaos.step
        above = (self.nodes.get(path_of(key)) for key in ancestors_of(key_of(path)))
        if any(node is not None and node.kind > Kind.FILE for node in above):
            return True
        node = self.nodes.get(path)
        return node is not None and (as_directory or node.kind != Kind.DIRECTORY)

    def is_file(self, path: str) -> bool:
        node = self.nodes.get(path)
        return node is not None and node.kind == Kind.FILE

    async def fingerprints(self, entries: Sequence[LocalEntry]) -> list[Fingerprint | None]:
        return [await self._fingerprint(entry) for entry in entries]

    async def _fingerprint(self, entry: LocalEntry) -> Fingerprint | None:
        try:
            content = await self.read(entry)
            if content.data is None:
                async for _ in content.chunks():
                    pass
        except LocalError:
            return None
        return content.fingerprint

    async def read(self, entry: LocalEntry, *, growing: bool = False) -> MemoryContent:
        path = entry.key.replace(b"\0", b"/").decode()
        await asyncio.sleep(0.001)
        self.chaos.point(f"read {path}")
        node = self.nodes.get(path)
        if node is None or node.kind != Kind.FILE or self.chaos.happens(self.chaos.rates.unreadable):
            raise SourceChanged("it is gone or changed while it was read")
        if node.locked:
            raise Unreadable(f"cannot read {path!r}")
        trusted = node.ctime_ns + GRAIN_NS < self.chaos.clock.now_ns
        trusted = trusted and not growing
        return MemoryContent(self, self.entry(path, node), path, node.data, trusted=trusted, growing=growing)

    def entry(self, path: str, node: Node) -> LocalEntry:
        return LocalEntry(key_of(path), node.kind, len(node.data), node.mtime_ns, node.ctime_ns, node.inode)

    def names_in(self, directory: str) -> list[str]:
        prefix = f"{directory}/" if directory else ""
        names = [path[len(prefix) :] for path in self.nodes if path.startswith(prefix)]
        return [name for name in names if "/" not in name]

    def below(self, directory: str) -> list[str]:
        return [path for path in self.nodes if path.startswith(f"{directory}/")]

    # What a user does.

    def write(self, path: str, data: bytes | str) -> None:
        """Make the file with its directories, or rewrite it in place."""
        content = data if isinstance(data, bytes) else data.encode()
        node = self.nodes.get(path)
        if node is not None and node.kind == Kind.FILE:
            node.data, node.mtime_ns, node.ctime_ns = content, self._stamp(), self._stamp()
        else:
            self.remove(path)
            self._put(path, Kind.FILE, content)
        self.versions[path].add(content)

    def mkdir(self, path: str) -> None:
        node = self.nodes.get(path)
        if node is None or node.kind != Kind.DIRECTORY:
            self.remove(path)
            self._put(path, Kind.DIRECTORY, b"")

    def put_special(self, path: str, kind: Kind) -> None:
        self.remove(path)
        self._put(path, kind, b"")

    def touch(self, path: str) -> None:
        node = self.nodes[path]
        node.mtime_ns = node.ctime_ns = self._stamp()

    def remove(self, path: str) -> None:
        for one in [path, *self.below(path)]:
            self.nodes.pop(one, None)

    def rename(self, old: str, new: str) -> None:
        """Like rename(2), but it also takes what is in its way and makes the directories on its way."""
        if new == old or new.startswith(f"{old}/"):
            return
        moved = {path: self.nodes[path] for path in [old, *self.below(old)]}
        for path in moved:
            del self.nodes[path]
        self.remove(new)
        self._make_parents(new)
        moved[old].ctime_ns = self._stamp()
        for path, node in moved.items():
            target = new + path[len(old) :]
            self.nodes[target] = node
            node.born = self.chaos.step
            if node.kind == Kind.FILE:
                self.versions[target].add(node.data)

    def swap(self, one: str, other: str) -> None:
        self.nodes[one], self.nodes[other] = self.nodes[other], self.nodes[one]
        for path in (one, other):
            self.nodes[path].ctime_ns = self._stamp()
            self.versions[path].add(self.nodes[path].data)

    def files(self) -> dict[str, bytes]:
        return {path: node.data for path, node in self.nodes.items() if node.kind == Kind.FILE}

    def directories(self) -> list[str]:
        return [path for path, node in self.nodes.items() if node.kind == Kind.DIRECTORY]

    def _put(self, path: str, kind: Kind, data: bytes) -> None:
        self._make_parents(path)
        used = {node.inode for node in self.nodes.values()}
        inode = next(number for number in range(10, 10 + len(used) + 1) if number not in used)
        self.nodes[path] = Node(kind, data, inode, self._stamp(), self._stamp(), self.chaos.step)

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent:
            self.mkdir(parent)

    def _stamp(self) -> int:
        """As a kernel stamps: with the last tick, not with the clock."""
        return self.chaos.clock.now_ns // (GRAIN_NS // 2) * (GRAIN_NS // 2)
