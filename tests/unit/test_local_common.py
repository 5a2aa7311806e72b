"""Several jobs with one source: one walk for all of them, each file hashed once, and nobody is told what is stale."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.core.model import Kind, LocalEntry
from syncd.errors import SourceMissing
from syncd.local import common as module
from syncd.local.common import Common, TreeInCommon


def entry(number: int) -> LocalEntry:
    return LocalEntry(b"%06d" % number, Kind.FILE, number, 1, 2, number)


def md5_of(file: LocalEntry) -> str:
    return hashlib.md5(file.key.rpartition(b"\0")[2]).hexdigest()


class Counting:
    """A walk that counts what was read of it."""

    def __init__(self, size: int, *, ends_with: Exception | None = None) -> None:
        self.size = size
        self.read = 0
        self._ends_with = ends_with

    def __iter__(self) -> Iterator[LocalEntry]:
        for number in range(self.size):
            self.read += 1
            yield entry(number)
        if self._ends_with is not None:
            raise self._ends_with


@pytest.fixture
def trees(tmp_path: Path) -> tuple[TreeInCommon, TreeInCommon]:
    for number in range(50):
        path = tmp_path / "source" / f"d{number % 5}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
        os.utime(path, (1, 1))
    common = Common()
    return TreeInCommon(tmp_path / "source", common=common), TreeInCommon(tmp_path / "source", common=common)


def test_readers_at_their_own_speed_see_the_whole_of_one_walk() -> None:
    common, walk, other = Common(), Counting(5000), Counting(5000)
    first = common.walk("rules", iter(walk), "a")
    head = [next(first) for _ in range(1000)]
    second = list(common.walk("rules", iter(other), "b"))
    assert head + list(first) == second == [entry(number) for number in range(5000)]
    assert (walk.read, other.read) == (5000, 0)


def test_threads_that_read_at_once_see_the_same() -> None:
    common, walk = Common(), Counting(20_000)
    seen: dict[int, list[LocalEntry]] = {}
    readers = [common.walk("rules", iter(walk), number) for number in range(4)]
    threads = [
        threading.Thread(target=lambda number=number: seen.update({number: list(readers[number])}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen[number] == [entry(n) for n in range(20_000)] for number in range(4))
    assert walk.read == 20_000


@pytest.mark.parametrize("why", ["another rule", "the same reader", "too late", "too far"])
def test_a_walk_that_does_not_fit_is_not_joined(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOINABLE", 10)
    now_s = 0.0
    common = Common(clock=lambda: now_s)
    first = common.walk("rules", iter(Counting(300)), "a")
    if why == "too far":
        next(first)
    if why == "too late":
        now_s = module.TOGETHER_S
    own = Counting(300)
    reader = "a" if why == "the same reader" else "b"
    assert len(list(common.walk("other" if why == "another rule" else "rules", iter(own), reader))) == 300
    assert own.read == 300


def test_a_walk_that_fails_fails_for_all_and_the_next_begins_anew() -> None:
    common = Common()
    first = common.walk("rules", iter(Counting(3, ends_with=SourceMissing("gone"))), "a")
    second = common.walk("rules", iter(Counting(0)), "b")
    for reader in (first, second):
        with pytest.raises(SourceMissing, match="gone"):
            list(reader)
    assert len(list(common.walk("rules", iter(Counting(2)), "a"))) == 2


def test_who_stops_reading_costs_the_others_nothing() -> None:
    common, walk = Common(), Counting(3000)
    first, second = common.walk("rules", iter(walk), "a"), common.walk("rules", iter(walk), "b")
    next(first)
    first.close()  # type: ignore[attr-defined]
    assert len(list(second)) == 3000


def test_trees_of_one_source_walk_it_once(
    trees: tuple[TreeInCommon, TreeInCommon], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[object] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))  # type: ignore[func-returns-value]
    one, other = (list(tree.scan()) for tree in trees)
    assert one == other
    assert len(one) == 55
    assert len(listed) == 6


async def test_a_file_is_hashed_once(trees: tuple[TreeInCommon, TreeInCommon], monkeypatch: pytest.MonkeyPatch) -> None:
    files = [one for one in trees[0].scan() if one.kind is Kind.FILE]
    opened: list[object] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *how, **more: opened.append(path) or real(path, *how, **more))  # type: ignore[func-returns-value]
    parts = [files[:30], files[20:]]
    first, *others = await asyncio.gather(*(tree.fingerprints(part) for part in (files, *parts) for tree in trees))
    assert {one and one.entry: one and one.checksum for one in first} == {one: md5_of(one) for one in files}
    assert others == [first, first[:30], first[:30], first[20:], first[20:]]
    assert await trees[1].fingerprints(files) == first
    assert len(opened) == 50


async def test_what_was_read_too_soon_and_what_failed_is_read_again(
    trees: tuple[TreeInCommon, TreeInCommon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, gone = tmp_path / "source" / "fresh", tmp_path / "source" / "gone"
    fresh.write_text("one")
    monkeypatch.setattr("syncd.local.content.unprovable_for_ns", lambda *_: 10**12)
    gone.write_text("soon")
    files = {one.key: one for one in trees[0].scan()}
    gone.unlink()
    asked = [files[b"gone"], files[b"fresh"]]
    assert await trees[1].fingerprints(asked[:1]) == [None]
    [none, before] = await trees[0].fingerprints(asked)
    gone.write_text("again")
    fresh.write_text("two")
    [again, now] = await trees[1].fingerprints(asked)
    assert none is None
    assert again is not None
    assert before is not None
    assert now is not None
    assert now.checksum != before.checksum
