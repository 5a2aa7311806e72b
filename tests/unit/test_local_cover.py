"""What can be watched how, and on which filesystems changes go untold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncd.local.cover import directories_below, survey
from syncd.local.mounts import untold_filesystem
from tests.local_support import plant


def test_a_plain_tree_is_one_watch(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c/file", "d/")
    (tmp_path / "d/link").symlink_to("../a/b/c/file")
    cover = survey(str(tmp_path))
    assert (cover.recursive, cover.flat, cover.single) == ([str(tmp_path)], [], True)


def test_what_is_above_a_symlink_is_watched_directory_by_directory(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c/", "a/d/", "e/f/")
    (tmp_path / "a/link").symlink_to("/")
    cover = survey(str(tmp_path))
    assert sorted(cover.recursive) == [str(tmp_path / path) for path in ("a/b", "a/d", "e")]
    assert sorted(cover.flat) == [str(tmp_path), str(tmp_path / "a")]


def test_a_directory_with_a_bad_name_in_it_is_not_watched(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/", "c/")
    (tmp_path / "a" / os.fsdecode(b"\xe9")).mkdir()
    cover = survey(str(tmp_path))
    assert sorted(cover.recursive) == [str(tmp_path / "a/b"), str(tmp_path / "c")]
    assert cover.flat == [str(tmp_path)]
    assert list(cover.blind) == [str(tmp_path / "a")]


def test_a_new_tree_is_counted_to_the_limit(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{number}/" for number in range(9)])
    below = directories_below(str(tmp_path), limit=10)
    assert below is not None
    assert (len(below[0]), below[1]) == (10, False)
    assert directories_below(str(tmp_path), limit=9) is None


def test_a_new_tree_with_a_symlink_in_it_is_odd(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/")
    (tmp_path / "a/b/link").symlink_to("/")
    below = directories_below(str(tmp_path), limit=10)
    assert below is not None
    assert below[1]


@pytest.mark.parametrize(
    ("root", "kind"),
    [
        ("/home/me", None),
        ("/srv/share/deep", "nfs4"),
        ("/srv/shared", None),
        ("/srv", "nfs4"),
        ("/with space/x", "fuse.sshfs"),
        ("/covered", None),
        ("/disk", None),
    ],
)
def test_the_filesystem_that_counts_is_the_nearest_and_what_is_below(tmp_path: Path, root: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "28 27 0:30 / /srv/share rw shared:1 - nfs4 server:/ rw\n"
        "29 27 0:31 / /with\\040space rw - fuse.sshfs server: rw\n"
        "30 27 0:32 / /covered rw - cifs //server/c rw\n"
        "31 30 0:33 / /covered rw - tmpfs none rw\n"
        "32 27 8:1 / /disk rw - fuseblk /dev/sda1 rw\n"
    )
    assert untold_filesystem(root, table) == kind


def test_without_a_mount_table_nothing_is_said(tmp_path: Path) -> None:
    assert untold_filesystem("/", tmp_path / "absent") is None
