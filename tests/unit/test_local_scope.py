"""What of the source a scan looks at: filters, the ignore file, what is left out, symlinks that are followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.core.model import Kind
from syncd.errors import ConfigurationError, SourceMissing
from syncd.local.tree import Tree
from tests.local_support import as_nobody, directory_for_all, found, paths, plant


@pytest.fixture
def open_root() -> Iterator[Path]:
    with directory_for_all() as root:
        yield root


def test_excluded_directories_are_not_gone_into(open_root: Path) -> None:
    plant(open_root, "keep/a.txt", "keep/b.tmp", "build/x", "c.tmp")
    (open_root / "build").chmod(0)
    assert as_nobody(lambda: paths(Tree(open_root, exclude=["*.tmp", "build/"]))) == ["keep", "keep/a.txt"]
    (open_root / "build").chmod(0o755)


def test_with_includes_every_directory_is_in_the_scan_because_it_may_be_on_the_way(tmp_path: Path) -> None:
    plant(tmp_path, "docs/a.txt", "docs/a.png", "whole/deep/x", "other/")
    directories = ["docs", "other", "whole", "whole/deep"]
    found = paths(Tree(tmp_path, include=["*.txt", "whole/"], exclude=["excluded/"]))
    assert found == sorted([*directories, "docs/a.txt", "whole/deep/x"])


def test_what_could_hold_something_included_is_told_when_it_cannot_be_looked_into(open_root: Path) -> None:
    plant(open_root, "closed/a.txt", "real/b.txt", "c.png")
    (open_root / "closed").chmod(0)
    (open_root / "linked").symlink_to("real")
    (open_root / "picture").symlink_to("c.png")
    expected = [
        ("closed", Kind.UNREADABLE),
        ("linked", Kind.SYMLINK),
        ("real", Kind.DIRECTORY),
        ("real/b.txt", Kind.FILE),
    ]
    assert as_nobody(lambda: found(Tree(open_root, include=["*.txt"]))) == expected
    (open_root / "closed").chmod(0o755)


def test_wants_and_excludes_agree_with_the_scan(tmp_path: Path) -> None:
    plant(tmp_path, "a/x.txt", "a/x.tmp", "b/c/y.txt", "z", "state/db")
    (tmp_path / ".syncdignore").write_text("*.tmp\n")
    tree = Tree(tmp_path, exclude=["/b/"], left_out=[tmp_path / "state"])
    in_scan = set(paths(tree))
    everything = list(tmp_path.rglob("*"))
    relative = {str(path.relative_to(tmp_path)): path.is_dir() for path in everything}
    assert {path for path, is_dir in relative.items() if tree.wants(path, directory=is_dir)} == in_scan
    assert {path for path, is_dir in relative.items() if not tree.excludes(path, directory=is_dir)} == in_scan
    assert in_scan == {"a", "a/x.txt", "z"}


def test_the_ignore_file_is_read_at_every_scan_and_never_synced(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "sub/.syncdignore")
    tree = Tree(tmp_path)
    (tmp_path / ".syncdignore").write_text("# not these\na\n")
    assert paths(tree) == ["b", "sub", "sub/.syncdignore"]
    (tmp_path / ".syncdignore").unlink()
    assert paths(tree) == ["a", "b", "sub", "sub/.syncdignore"]
    assert not tree.wants(".syncdignore", directory=False)


@pytest.mark.parametrize("what", ["directory", "pipe", "closed"])
def test_an_ignore_file_that_cannot_be_read_is_not_an_empty_one(open_root: Path, what: str) -> None:
    plant(open_root, "f")
    ignore = open_root / ".syncdignore"
    if what == "directory":
        ignore.mkdir()
    elif what == "pipe":
        os.mkfifo(ignore)
    else:
        ignore.write_text("f")
        ignore.chmod(0)
    with pytest.raises(SourceMissing, match="syncdignore"):
        as_nobody(lambda: Tree(open_root).scan())


def test_a_bad_pattern_is_an_error_of_configuration_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'\[z-a\]'"):
        Tree(tmp_path, exclude=["[z-a]"])
    (tmp_path / ".syncdignore").write_text("[z-a]\n")
    with pytest.raises(ConfigurationError, match=r"\.syncdignore.*'\[z-a\]'"):
        Tree(tmp_path).scan()


def test_a_state_directory_in_the_source_is_not_part_of_it(tmp_path: Path) -> None:
    plant(tmp_path, "source/f", "source/var/state/db", "source/var/g", "outside/db")
    tree = Tree(tmp_path / "source", left_out=[tmp_path / "source/var/state", tmp_path / "outside"])
    assert paths(tree) == ["f", "var", "var/g"]
    assert not tree.wants("var/state/db", directory=False)
    with pytest.raises(ConfigurationError):
        Tree(tmp_path / "source", left_out=[tmp_path / "source"])


# --- symlinks that are followed


def test_symlinks_are_followed_within_the_source(tmp_path: Path) -> None:
    plant(tmp_path, "source/real/f", "source/g", "secret/s")
    source = tmp_path / "source"
    (source / "a").symlink_to("real")
    (source / "b").symlink_to(tmp_path / "source/g")
    (source / "c").symlink_to("../secret")
    (source / "d").symlink_to("../secret/s")
    (source / "e").symlink_to("nowhere")
    assert found(Tree(source, follow_symlinks=True)) == [
        ("a", Kind.DIRECTORY),
        ("a/f", Kind.FILE),
        ("b", Kind.FILE),
        ("c", Kind.SYMLINK),
        ("d", Kind.SYMLINK),
        ("e", Kind.SYMLINK),
        ("g", Kind.FILE),
        ("real", Kind.DIRECTORY),
        ("real/f", Kind.FILE),
    ]


def test_a_circle_of_symlinks_ends(tmp_path: Path) -> None:
    plant(tmp_path, "a/f", "b/")
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/b").symlink_to("../b")
    (tmp_path / "b/a").symlink_to("../a")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    kinds = dict(found(Tree(tmp_path, follow_symlinks=True)))
    assert {path for path, kind in kinds.items() if kind is Kind.SYMLINK} == {
        "a/self", "a/up", "a/b/a", "b/a/self", "b/a/up", "b/a/b", "x", "y",
    }  # fmt: skip
    assert kinds["b/a/f"] is Kind.FILE


def test_no_symlink_leads_to_what_is_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "var/state/db", "other/f")
    (tmp_path / "one").symlink_to("var/state")
    (tmp_path / "two").symlink_to("var/state/db")
    (tmp_path / "three").symlink_to("var")
    (tmp_path / "four").symlink_to("other")
    tree = Tree(tmp_path, follow_symlinks=True, left_out=[tmp_path / "var/state"])
    kinds = dict(found(tree))
    assert [kinds[name] for name in ("one", "two", "three")] == [Kind.SYMLINK] * 3
    assert kinds["four"] is Kind.DIRECTORY
