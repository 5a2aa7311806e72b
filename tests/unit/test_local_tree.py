"""Scanning real directories: order, kinds, filters, and what must never be taken for an absence."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.model import Kind, LocalEntry
from syncd.core.paths import key_of, path_of
from syncd.errors import SourceMissing
from syncd.local.tree import Tree
from syncd.ports import LocalTree
from tests.local_support import as_nobody, directory_for_all, found, no_descriptors_left, paths, plant


@pytest.fixture
def open_root() -> Iterator[Path]:
    with directory_for_all() as root:
        yield root


def test_is_a_local_tree(tmp_path: Path) -> None:
    tree: LocalTree = Tree(tmp_path)
    assert list(tree.scan()) == []


def test_a_directory_comes_right_before_what_is_in_it(tmp_path: Path) -> None:
    plant(tmp_path, "a-b", "a.txt", "a/b", "a/", "a b", "a\x01", "empty/")
    assert paths(Tree(tmp_path)) == ["a", "a/b", "a\x01", "a b", "a-b", "a.txt", "empty"]


names = st.binary(min_size=1, max_size=4).filter(lambda name: b"/" not in name and b"\0" not in name)
trees = st.recursive(
    st.none(), lambda below: st.dictionaries(names.filter(lambda n: n not in (b".", b"..")), below, max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_scan_is_sorted_by_key_and_whole(tree: dict[bytes, object] | None) -> None:
    with tempfile.TemporaryDirectory() as root:
        expected = dict(_made(Path(root), b"", tree or {}))
        entries = list(Tree(Path(root)).scan())
    assert [entry.key for entry in entries] == sorted(expected)
    assert {entry.key: entry.kind for entry in entries} == expected


def _made(directory: Path, prefix: bytes, tree: dict[bytes, object]) -> Iterator[tuple[bytes, Kind]]:
    """Make the tree on disk; what a scan should say of it."""
    for name, below in tree.items():
        path, key = directory / os.fsdecode(name), prefix + name
        readable = name.decode("utf-8", "replace").encode() == name
        if isinstance(below, dict):
            path.mkdir()
            yield key, Kind.DIRECTORY if readable else Kind.BAD_NAME
            if readable:
                yield from _made(path, key + b"\0", below)
        else:
            path.touch()
            yield key, Kind.FILE if readable else Kind.BAD_NAME


def test_an_entry_is_the_file_s_stat(tmp_path: Path) -> None:
    plant(tmp_path, "d/f")
    status = (tmp_path / "d/f").stat()
    [_, entry] = Tree(tmp_path).scan()
    times = status.st_mtime_ns, status.st_ctime_ns
    assert entry == LocalEntry(b"d\0f", Kind.FILE, 3, *times, status.st_ino)


def test_deep_directories_need_no_recursion(tmp_path: Path) -> None:
    plant(tmp_path, "d/" * 300 + "f")
    entries = list(Tree(tmp_path).scan())
    assert len(entries) == 301
    assert entries[-1].kind is Kind.FILE


def test_what_lies_deeper_than_the_kernel_can_name_is_unreadable_and_no_end_of_the_scan(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=descriptor)
        deeper = os.open("x" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    plant(tmp_path, "z")
    kinds = [kind for _, kind in found(Tree(tmp_path))]
    assert kinds[-2:] == [Kind.UNREADABLE, Kind.FILE]
    assert set(kinds[:-2]) == {Kind.DIRECTORY}


def test_what_is_no_file_is_named_and_not_touched(tmp_path: Path) -> None:
    plant(tmp_path, "target")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert found(Tree(tmp_path)) == [
            ("link", Kind.SYMLINK),
            ("pipe", Kind.SPECIAL),
            ("socket", Kind.SPECIAL),
            ("target", Kind.FILE),
        ]


# --- what cannot be looked at


def test_an_unreadable_directory_freezes_itself_only(open_root: Path) -> None:
    plant(open_root, "a/f", "closed/f", "z")
    (open_root / "closed").chmod(0)
    expected = [("a", Kind.DIRECTORY), ("a/f", Kind.FILE), ("closed", Kind.UNREADABLE), ("z", Kind.FILE)]
    assert as_nobody(lambda: found(Tree(open_root))) == expected
    (open_root / "closed").chmod(0o755)


def test_a_directory_that_lists_names_but_lets_nobody_look_at_them_is_unreadable(open_root: Path) -> None:
    plant(open_root, "listed/f", "listed/g", "z")
    (open_root / "listed").chmod(0o444)
    assert as_nobody(lambda: found(Tree(open_root))) == [("listed", Kind.UNREADABLE), ("z", Kind.FILE)]
    (open_root / "listed").chmod(0o755)


def test_without_descriptors_nothing_looks_absent(tmp_path: Path) -> None:
    plant(tmp_path, "a/f", "b/f", "z")
    scan = Tree(tmp_path).scan()
    first = next(scan)
    with no_descriptors_left():
        rest = [(path_of(entry.key), entry.kind) for entry in scan]
    assert first.key == b"a"
    assert rest == [("a/f", Kind.FILE), ("b", Kind.UNREADABLE), ("z", Kind.FILE)]


def test_without_descriptors_there_is_no_source(tmp_path: Path) -> None:
    plant(tmp_path, "f")
    tree = Tree(tmp_path)
    with no_descriptors_left(), pytest.raises(SourceMissing, match="open files"):
        list(tree.scan())


def test_what_goes_while_it_is_scanned_is_gone(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "c/f", "d/f", "e")
    scan = Tree(tmp_path).scan()
    assert next(scan).key == b"a"
    (tmp_path / "b").unlink()
    shutil.rmtree(tmp_path / "d")
    assert [path_of(entry.key) for entry in scan] == ["c", "c/f", "e"]


@pytest.mark.parametrize("what", ["missing", "file", "dangling"])
def test_a_source_that_is_no_directory_is_missing(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    tree = Tree(tmp_path / what)
    with pytest.raises(SourceMissing, match=what):
        list(tree.scan())
    with pytest.raises(SourceMissing, match=what):
        tree.identity()


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_source_without_permission_is_missing(open_root: Path, mode: int) -> None:
    plant(open_root, "source/f")
    (open_root / "source").chmod(mode)
    with pytest.raises(SourceMissing, match="Permission denied"):
        as_nobody(lambda: list(Tree(open_root / "source").scan()))
    (open_root / "source").chmod(0o755)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_source_that_goes_away_during_the_scan_is_missing_and_its_files_are_not_absent(
    tmp_path: Path, replaced: bool
) -> None:
    plant(tmp_path, "source/a", "source/d/f")
    tree = Tree(tmp_path / "source")
    scan = tree.scan()
    next(scan)
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    if replaced:
        plant(tmp_path, "source/")
    with pytest.raises(SourceMissing, match="went away"):
        list(scan)
    assert tree.exists("a")
    assert tree.exists("never/there")


def test_existence_is_asked_of_the_disk(open_root: Path) -> None:
    plant(open_root, "f", "d/g", "closed/h", "linked/i", "piped/j")
    (open_root / "broken").symlink_to("nowhere")
    (open_root / "closed").chmod(0)
    tree = Tree(open_root)
    list(tree.scan())
    asked = ["f", "d", "d/g", "broken", "closed/h", "gone", "gone/x", "f/x", "linked/i", "piped/j"]
    (open_root / "d/g").unlink()
    for name in ("linked", "piped"):
        shutil.rmtree(open_root / name)
    (open_root / "linked").symlink_to("d")
    os.mkfifo(open_root / "piped")
    answers = as_nobody(lambda: [path for path in asked if tree.exists(path)])
    assert answers == ["f", "d", "broken", "closed/h", "linked/i", "piped/j"]
    (open_root / "closed").chmod(0o755)


def test_identity_tells_directories_and_filesystems_apart(tmp_path: Path) -> None:
    plant(tmp_path, "a/", "b/")
    here, there = Tree(tmp_path / "a").identity(), Tree(tmp_path / "b").identity()
    assert here == Tree(tmp_path / "a").identity()
    assert here.filesystem == there.filesystem
    assert here.inode != there.inode
    assert Tree(Path("/proc")).identity().filesystem != here.filesystem


def test_a_source_given_as_a_symlink_is_what_it_leads_to(tmp_path: Path) -> None:
    plant(tmp_path, "one/f", "two/g")
    (tmp_path / "current").symlink_to("one")
    tree = Tree(tmp_path / "current")
    assert paths(tree) == ["f"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("two")
    assert paths(tree) == ["g"]
    assert tree.identity() == Tree(tmp_path / "two").identity()


def test_a_path_s_bytes_survive(tmp_path: Path) -> None:
    plant(tmp_path, "new\nline", "esc\x1b[31m", "‮rtl")
    assert {entry.key for entry in Tree(tmp_path).scan()} == {
        key_of(name) for name in ("new\nline", "esc\x1b[31m", "‮rtl")
    }


def test_a_directory_is_nothing_where_only_files_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    tree = Tree(tmp_path, include=(), exclude=(), follow_symlinks=False, left_out=())
    assert [tree.exists(path) for path in ("d", "f")] == [True, True]
    assert [tree.exists(path, as_directory=False) for path in ("d", "f")] == [False, True]


def test_a_link_is_a_file_only_where_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "link").symlink_to("f")
    asked = ("f", "link", "gone")
    for follow_symlinks in (False, True):
        tree = Tree(tmp_path, include=(), exclude=(), follow_symlinks=follow_symlinks, left_out=())
        assert [tree.is_file(path) for path in asked] == [True, follow_symlinks, False]


def test_rules_in_the_source_that_are_other_ones_than_at_the_last_scan_are_told(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert not tree.rules_changed()
    list(tree.scan())
    assert not tree.rules_changed()
    (tmp_path / ".syncdignore").write_text("*.tmp")
    assert tree.rules_changed()
    list(tree.scan())
    assert not tree.rules_changed()
    (tmp_path / ".syncdignore").unlink()
    assert tree.rules_changed()


def test_an_ignore_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".syncdignore").write_text("\ufeff*.tmp\n")
    (tmp_path / "x.tmp").touch()
    (tmp_path / "y").touch()
    tree = Tree(tmp_path)
    assert [path_of(entry.key) for entry in tree.scan() if tree.wants(path_of(entry.key), directory=False)] == ["y"]
