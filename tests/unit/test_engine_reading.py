"""Checksums of many files: which of them are asked for together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from syncd.core.model import Fingerprint, Kind, LocalEntry
from syncd.engine.reading import TOGETHER, TOGETHER_BYTES, fingerprints
from syncd.local.content import SMALL_BYTES
from syncd.local.tree import Tree


class Watched(Tree):
    """A tree that keeps how many files it was asked for at a time, and by how many at once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.groups: list[Sequence[LocalEntry]] = []
        self.most_at_once = self._under_way = 0

    async def fingerprints(self, entries: Sequence[LocalEntry]) -> list[Fingerprint | None]:
        self.groups.append(entries)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return await super().fingerprints(entries)
        finally:
            self._under_way -= 1


def files_of(tree: Tree) -> list[LocalEntry]:
    return [entry for entry in tree.scan() if entry.kind is Kind.FILE]


@pytest.mark.parametrize(("count", "largest"), [(0, 0), (3, 1), (40, 10), (2000, TOGETHER)])
async def test_groups_are_as_large_as_keeps_everybody_busy(tmp_path: Path, count: int, largest: int) -> None:
    for number in range(count):
        (tmp_path / f"{number}").touch()
    tree = Watched(tmp_path)
    found = await fingerprints(tree, files_of(tree), at_once=4)
    assert len(found) == count
    assert [len(group) for group in tree.groups[:1]] == [largest] * bool(count)
    assert tree.most_at_once == min(count, 4)


async def test_large_files_are_no_crowd(tmp_path: Path) -> None:
    """Some are streamed, and the one that goes away while it is read is no one else's misfortune."""
    for number in range(4):
        with (tmp_path / f"{number}").open("wb") as file:
            file.truncate(SMALL_BYTES + number)
    with (tmp_path / "5").open("wb") as file:
        file.truncate(TOGETHER_BYTES)
    tree = Watched(tmp_path)
    files = files_of(tree)
    reading = asyncio.ensure_future(fingerprints(tree, files, at_once=1))
    (tmp_path / "1").unlink()
    found = await reading
    assert sorted(found) == [b"0", b"2", b"3", b"5"]
    assert [len(group) for group in tree.groups] == [4, 1]
