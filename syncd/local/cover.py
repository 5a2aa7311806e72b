"""What of a source can be watched how, found by one walk over its directories.

Called by `lookout` in its thread. A recursive watch of watchfiles goes through symlinks (out of the source, to the end
of the disk), breaks off at a directory that may not be read, and dies of a name that is not UTF-8 as soon as somebody
opens it. So only trees without any of them are watched as a whole; what lies above such a thing is watched directory
by directory, and a directory with such a name not at all. Never opens a file, never follows a symlink.
"""

# ruff: noqa: PTH116, PTH118, PTH120
# Strings as the notifier takes and gives them; pathlib would cost a multiple for every entry.

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field


@dataclass(slots=True)
class Look:
    """One directory's content, as far as watching is concerned."""

    directories: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """Symlinks of any kind, by name."""
    leads_out: bool = False
    """A symlink here leads to a directory."""
    bad_name: bool = False


@dataclass(frozen=True, slots=True)
class Blind:
    """A directory that cannot be watched because of a name in it."""

    mtime_ns: int
    directories: frozenset[str]


@dataclass(slots=True)
class Cover:
    """All paths are absolute and resolved."""

    root: str
    recursive: list[str] = field(default_factory=list)
    """Trees that can be watched whole."""
    flat: list[str] = field(default_factory=list)
    """Directories to be watched without what is below them."""
    blind: dict[str, Blind] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    twins: list[tuple[str, str]] = field(default_factory=list)
    """(directory, a symlink through which it is seen too)."""
    single: bool = True
    """The whole source is one tree that can be watched whole."""


@dataclass(slots=True)
class _Node:
    path: str
    parent: int
    clean: bool = True


def look_into(path: str) -> Look:
    """Raises OSError when the directory cannot be listed."""
    look = Look()
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.isascii() and not _is_utf8(entry.name):
                look.bad_name = True
            elif entry.is_dir(follow_symlinks=False):
                look.directories.append(entry.name)
            elif entry.is_symlink():
                look.links.append(entry.name)
                look.leads_out = look.leads_out or _is_directory(entry)
    return look


def survey(root: str, *, follow_symlinks: bool = False) -> Cover:
    """With `follow_symlinks` also through which symlinks what is inside is seen. Raises OSError if the root cannot be
    listed."""
    cover = Cover(root)
    nodes = [_Node(root, -1)]
    pending = [0]
    while pending:
        index = pending.pop()
        below = _survey_one(cover, nodes[index], follow_symlinks)
        if below is None:
            _leave_out(cover, nodes, index)
            continue
        pending.extend(range(len(nodes), len(nodes) + len(below)))
        nodes.extend(_Node(path, index) for path in below)
    for node in reversed(nodes):
        if not node.clean and node.parent >= 0:
            nodes[node.parent].clean = False
    cover.single = nodes[0].clean
    cover.flat = [node.path for node in nodes if not node.clean and not _is_left_out(cover, node)]
    cover.recursive = [node.path for node in nodes if node.clean and (node.parent < 0 or not nodes[node.parent].clean)]
    return cover


def directories_below(path: str, *, limit: int) -> tuple[list[str], bool] | None:
    """The directory and all below it, and whether something in it cannot be watched as part of a whole; None if they
    are more than `limit`. One that is gone, or cannot be listed, is in it without what is below."""
    found, odd = [path], False
    for directory in found:
        if len(found) > limit:
            return None
        try:
            look = look_into(directory)
        except FileNotFoundError:
            continue
        except OSError:
            odd = True
            continue
        odd = odd or look.leads_out or look.bad_name
        found.extend(os.path.join(directory, name) for name in look.directories)
    return found, odd


def blind_now(path: str) -> Blind | None:
    """How the directory is now; None if nothing in it keeps it from being watched any more, or it is gone."""
    try:
        mtime_ns, look = os.stat(path).st_mtime_ns, look_into(path)
    except OSError:
        return None
    return Blind(mtime_ns, frozenset(look.directories)) if look.bad_name else None


def _survey_one(cover: Cover, node: _Node, follow_symlinks: bool) -> list[str] | None:
    """The directories in it, None if it could not be listed."""
    try:
        mtime_ns, look = os.stat(node.path).st_mtime_ns, look_into(node.path)
    except OSError:
        if node.parent < 0:
            raise
        return None
    if look.bad_name:
        # the time was taken first: what changes from here on is seen as a change
        cover.blind[node.path] = Blind(mtime_ns, frozenset(look.directories))
    node.clean = not look.bad_name and not look.leads_out
    if follow_symlinks:
        cover.twins.extend(_twins(cover.root, node.path, look.links))
    return [os.path.join(node.path, name) for name in look.directories]


def _leave_out(cover: Cover, nodes: list[_Node], index: int) -> None:
    """A directory that vanished is nothing; any other that cannot be listed must not be in a tree watched whole."""
    if os.path.lexists(nodes[index].path):
        cover.unreadable.add(nodes[index].path)
    nodes[index].clean = nodes[index].path not in cover.unreadable


def _is_left_out(cover: Cover, node: _Node) -> bool:
    return node.path in cover.blind or node.path in cover.unreadable


def _twins(root: str, directory: str, links: list[str]) -> list[tuple[str, str]]:
    twins = []
    for name in links:
        link = os.path.join(directory, name)
        try:
            target = os.path.realpath(link, strict=True)
            status = os.stat(target)
        except OSError:
            continue
        if not is_inside(target, root):
            continue
        whole = stat.S_ISDIR(status.st_mode)
        twins.append((target, link) if whole else (os.path.dirname(target), directory))
    return twins


def is_inside(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it; both absolute and resolved."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
