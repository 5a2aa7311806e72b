"""A local tree in memory: what a scan of it yields, and what people do to files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from syncd.core.filters import Filter
from syncd.core.model import Kind, LocalEntry
from syncd.core.paths import key_of


@dataclass(slots=True)
class Node:
    kind: Kind
    inode: int
    content: str = ""
    mtime_ns: int = 0
    ctime_ns: int = 0


@dataclass(slots=True)
class Disk:
    """Paths to nodes; every directory on the way to a node is a node. An UNREADABLE one still has what is in it."""

    nodes: dict[str, Node] = field(default_factory=dict)
    clock: int = 100
    inodes: int = 1000

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def fresh_inode(self) -> int:
        self.inodes += 1
        return self.inodes

    def scan(self, rules: Filter) -> Iterator[LocalEntry]:
        for path in sorted(self.nodes, key=key_of):
            node = self.nodes[path]
            leads_down = node.kind in (Kind.DIRECTORY, Kind.UNREADABLE, Kind.SYMLINK)
            if self.is_hidden(path) or rules.excludes(path, directory=leads_down):
                continue
            if (leads_down and node.kind != Kind.DIRECTORY) or rules.wants(path, directory=leads_down):
                yield self.entry(path)

    def entry(self, path: str) -> LocalEntry:
        node = self.nodes[path]
        return LocalEntry(key_of(path), node.kind, len(node.content), node.mtime_ns, node.ctime_ns, node.inode)

    def is_hidden(self, path: str) -> bool:
        """Whether it is inside a directory that cannot be read."""
        return any(self.nodes[above].kind == Kind.UNREADABLE for above in parents(path) if above in self.nodes)

    def files(self) -> list[str]:
        return sorted(path for path, node in self.nodes.items() if node.kind == Kind.FILE)

    def mkdir(self, path: str) -> None:
        """With its parents; what is in the way of them goes."""
        for directory in (*parents(path), path):
            node = self.nodes.get(directory)
            if node is not None and node.kind == Kind.DIRECTORY:
                continue
            self.remove(directory)
            self.nodes[directory] = Node(Kind.DIRECTORY, self.fresh_inode())

    def _make_room(self, path: str) -> None:
        if "/" in path:
            self.mkdir(path.rpartition("/")[0])

    def write(self, path: str, content: str) -> None:
        """In place where a file is there already."""
        node = self.nodes.get(path)
        now = self.tick()
        if node is not None and node.kind == Kind.FILE:
            node.content, node.mtime_ns, node.ctime_ns = content, now, now
        else:
            self.put(path, Node(Kind.FILE, self.fresh_inode(), content, now, now))

    def save(self, path: str, content: str) -> None:
        """The way editors do: a new file renamed over the old one."""
        now = self.tick()
        self.put(path, Node(Kind.FILE, self.fresh_inode(), content, now, now))

    def put(self, path: str, node: Node) -> None:
        self.remove(path)
        self._make_room(path)
        self.nodes[path] = node

    def touch(self, path: str) -> None:
        node = self.nodes[path]
        node.mtime_ns = node.ctime_ns = self.tick()

    def remove(self, path: str) -> None:
        for inside in self.tree(path):
            del self.nodes[inside]

    def tree(self, path: str) -> list[str]:
        return sorted(one for one in self.nodes if one == path or one.startswith(path + "/"))

    def rename(self, old: str, new: str) -> None:
        """A rename changes the ctime of what is renamed, not of what is in it."""
        if new == old or new.startswith(old + "/") or old.startswith(new + "/") or old not in self.nodes:
            return
        moved = {new + path[len(old) :]: self.nodes[path] for path in self.tree(old)}
        self.remove(old)
        self.remove(new)
        self._make_room(new)
        moved[new].ctime_ns = self.tick()
        self.nodes |= moved

    def copy(self, old: str, new: str) -> None:
        if new == old or new.startswith(old + "/") or old.startswith(new + "/"):
            return
        copied = {}
        for path in self.tree(old):
            node, now = self.nodes[path], self.tick()
            copied[new + path[len(old) :]] = Node(node.kind, self.fresh_inode(), node.content, now, now)
        self.remove(new)
        self._make_room(new)
        self.nodes |= copied

    def swap(self, one: str, other: str) -> None:
        if one == other or one.startswith(other + "/") or other.startswith(one + "/"):
            return
        self.rename(one, "swapping")
        self.rename(other, one)
        self.rename("swapping", other)

    def strange(self, path: str, kind: Kind) -> None:
        """Put a link, a device or a name that the remote cannot have there; a directory stops being readable."""
        node = self.nodes.get(path)
        if kind == Kind.UNREADABLE:
            if node is not None and node.kind == Kind.DIRECTORY:
                node.kind = kind
        else:
            self.put(path, Node(kind, self.fresh_inode()))


def parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
