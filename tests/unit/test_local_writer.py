"""Files that come into a source: whole, in their place, never outside it, never over what was not seen."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from syncd.core.model import UNTRUSTED, Fingerprint, Kind, LocalEntry
from syncd.core.paths import path_of
from syncd.errors import LocalError, SourceChanged, SourceMissing, Unwritable
from syncd.local.content import CHUNK_BYTES
from syncd.local.tree import Tree
from syncd.local.walk import TEMPORARY
from syncd.local.writer import Writer
from tests.local_support import plant

THEN_NS = 1_700_000_000_123_456_000
BIG = b"0123456789abcdef" * (CHUNK_BYTES // 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def writer(root: Path) -> Iterator[Writer]:
    with closing(Writer(root)) as writer:
        yield writer


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def seen(root: Path, path: str) -> LocalEntry:
    return next(entry for entry in Tree(root).scan() if path_of(entry.key) == path)


async def put(writer: Writer, path: str, data: bytes, was: LocalEntry | None = None) -> LocalEntry:
    async with aclosing(writer.incoming(path, was)) as incoming:
        await incoming.begin()
        for start in range(0, len(data), 100_000):
            await incoming.write(data[start : start + 100_000])
        return (await incoming.commit(modified_ns=THEN_NS)).entry


@pytest.mark.parametrize("data", [b"", b"small", BIG])
async def test_a_file_has_its_place_its_time_and_a_stat_that_proves_it(writer: Writer, root: Path, data: bytes) -> None:
    entry = await put(writer, "d/e/file", data)
    assert (root / "d/e/file").read_bytes() == data
    assert entry == seen(root, "d/e/file")
    assert entry.mtime_ns == THEN_NS
    assert names(root / "d/e") == ["file"]
    assert await Tree(root).fingerprints([entry]) == [Fingerprint(entry, hashlib.md5(data).hexdigest())]


async def test_a_fresh_time_proves_nothing(writer: Writer) -> None:
    async with aclosing(writer.incoming("file", None)) as incoming:
        await incoming.begin()
        assert (await incoming.commit(modified_ns=None)).entry.mtime_ns == UNTRUSTED


@pytest.mark.parametrize("data", [b"small", BIG])
async def test_a_transfer_that_begins_again(writer: Writer, root: Path, data: bytes) -> None:
    async with aclosing(writer.incoming("file", None)) as incoming:
        await incoming.begin()
        await incoming.write(BIG)
        await incoming.begin()
        for start in range(0, len(data), 1 << 20):
            await incoming.write(data[start : start + (1 << 20)])
        checksum = incoming.checksum
        assert (await incoming.commit(modified_ns=THEN_NS)).checksum == checksum
    assert (root / "file").read_bytes() == data
    assert await Tree(root).fingerprints([seen(root, "file")]) == [Fingerprint(seen(root, "file"), checksum)]


@pytest.mark.parametrize("data", [b"small", BIG])
async def test_what_is_not_committed_leaves_nothing(writer: Writer, root: Path, data: bytes) -> None:
    async with aclosing(writer.incoming("file", None)) as incoming:
        await incoming.begin()
        await incoming.write(data)
    assert names(root) == []


async def test_what_a_killed_run_left_is_replaced_and_no_scan_shows_it(writer: Writer, root: Path) -> None:
    incoming = writer.incoming("file", None)
    await incoming.begin()
    await incoming.write(BIG)
    left = root / names(root)[0]
    assert left.name.startswith(TEMPORARY.decode())
    plant(root, ".syncd-other", ".syncd-zzz")
    tree = Tree(root)
    assert [path_of(entry.key) for entry in tree.scan()] == [".syncd-other", ".syncd-zzz"]
    assert not tree.wants(left.name, directory=False)
    assert tree.excludes(f"d/{left.name}", directory=False)
    with pytest.raises(Unwritable, match="another pull"):
        await put(writer, "file", b"second")
    assert left.stat().st_size == len(BIG)
    await incoming.aclose()
    left.write_bytes(b"left behind by a killed run, longer than what comes")
    await put(writer, "file", b"second")
    assert (root / "file").read_bytes() == b"second"
    assert not left.exists()


async def test_a_draft_that_is_a_second_name_of_the_file_is_not_written_to(writer: Writer, root: Path) -> None:
    """What is left by a run that was killed right after it put a new file in its place."""
    plant(root, "file")
    incoming = writer.incoming("file", seen(root, "file"))
    await incoming.begin()
    await incoming.write(BIG)
    draft = root / names(root)[0]
    await incoming.aclose()
    os.link(root / "file", draft)
    again = writer.incoming("file", seen(root, "file"))
    await again.begin()
    await again.write(BIG)
    assert (root / "file").read_text() == "file"
    await again.aclose()
    assert (root / "file").read_text() == "file"
    assert names(root) == ["file"]


@pytest.mark.parametrize("was", ["nothing", "file"])
async def test_what_came_meanwhile_is_not_overwritten(writer: Writer, root: Path, was: str) -> None:
    before = None
    if was == "file":
        plant(root, "file")
        before = seen(root, "file")
        (root / "file").write_text("changed meanwhile")
    else:
        plant(root, "file")
    content = (root / "file").read_text()
    with pytest.raises(SourceChanged, match="meanwhile"):
        await put(writer, "file", b"theirs", before)
    assert (root / "file").read_text() == content
    assert names(root) == ["file"]


async def test_what_went_away_meanwhile_stays_away(writer: Writer, root: Path) -> None:
    plant(root, "file")
    before = seen(root, "file")
    (root / "file").unlink()
    with pytest.raises(SourceChanged, match="went away"):
        await put(writer, "file", b"theirs", before)
    assert names(root) == []


async def test_a_replaced_file_keeps_its_mode(writer: Writer, root: Path) -> None:
    plant(root, "file")
    (root / "file").chmod(0o604)
    await put(writer, "file", b"theirs", seen(root, "file"))
    assert (root / "file").read_bytes() == b"theirs"
    assert (root / "file").stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("fails_with", [errno.EPERM, errno.EOPNOTSUPP])
async def test_a_filesystem_without_links(
    writer: Writer, root: Path, fails_with: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(fails_with, os.strerror(fails_with))

    monkeypatch.setattr(os, "link", refuse)
    await put(writer, "file", b"theirs")
    assert (root / "file").read_bytes() == b"theirs"
    with pytest.raises(SourceChanged, match="came into its place"):
        await put(writer, "file", b"again")


@pytest.mark.parametrize("obstacle", ["symlink", "file", "dangling"])
async def test_no_symlink_is_followed_and_no_file_gone_through(
    writer: Writer, root: Path, tmp_path: Path, obstacle: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    plant(outside, "file")
    if obstacle == "file":
        plant(root, "way")
    else:
        (root / "way").symlink_to(outside if obstacle == "symlink" else tmp_path / "missing")
    with pytest.raises(Unwritable, match="where a directory is needed"):
        await put(writer, "way/new", b"theirs")
    with pytest.raises(Unwritable):
        writer.make_directory("way/d")
    with pytest.raises(LocalError):
        writer.remove("way/file", seen(outside, "file")._replace(key=b"way\0file"))
    assert names(outside) == ["file"]
    assert not (tmp_path / "missing").exists()


async def test_a_directory_exchanged_for_a_symlink_while_a_file_comes(
    writer: Writer, root: Path, tmp_path: Path
) -> None:
    """It is put where it was begun, wherever that is called now; the symlink leads nobody out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "d").mkdir()
    async with aclosing(writer.incoming("d/file", None)) as incoming:
        await incoming.begin()
        await incoming.write(BIG)
        (root / "d").rename(root / "moved")
        (root / "d").symlink_to(outside)
        await incoming.commit(modified_ns=None)
    assert names(outside) == []
    assert (root / "moved/file").read_bytes() == BIG


async def test_a_symlink_in_the_place_of_a_file(writer: Writer, root: Path, tmp_path: Path) -> None:
    plant(root, "file")
    plant(tmp_path, "outside")
    before = seen(root, "file")
    (root / "file").unlink()
    (root / "file").symlink_to(tmp_path / "outside")
    for was in (before, None):
        with pytest.raises(SourceChanged):
            await put(writer, "file", b"theirs", was)
    assert (tmp_path / "outside").read_text() == "outside"


async def test_a_symlink_in_the_place_of_the_draft(writer: Writer, root: Path, tmp_path: Path) -> None:
    incoming = writer.incoming("file", None)
    await incoming.begin()
    await incoming.write(BIG)
    draft = root / names(root)[0]
    await incoming.aclose()
    plant(tmp_path, "outside")
    draft.symlink_to(tmp_path / "outside")
    with pytest.raises(Unwritable):
        await put(writer, "file", b"theirs")
    assert (tmp_path / "outside").read_text() == "outside"


async def test_a_full_disk(root: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unwritable, match="No space left"):
        await put(writer, "file", b"theirs")
    assert names(root) == []


async def test_a_write_that_fails_on_the_way(root: Path, writer: Writer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK_BYTES + 5, hard))
    try:
        with pytest.raises(Unwritable, match="File too large"):
            await put(writer, "file", BIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(root) == []


async def test_cancelled_while_it_writes(root: Path, writer: Writer) -> None:
    for delay_s in (0.0, 0.001, 0.003):
        task = asyncio.create_task(put(writer, "file", BIG * 4))
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(root) == []


def test_paths_that_are_too_long(writer: Writer) -> None:
    with pytest.raises(Unwritable, match="longer than"):
        writer.make_directory("/".join(["d" * 200] * 21))
    with pytest.raises(Unwritable, match="name too long"):
        writer.make_directory("d" * 300)


def test_removing(writer: Writer, root: Path) -> None:
    plant(root, "d/a", "d/b", "e/")
    entries = {path_of(entry.key): entry for entry in Tree(root).scan()}
    assert not writer.remove("d", entries["d"])
    assert writer.remove("d/a", entries["d/a"])
    (root / "d/b").write_text("changed meanwhile")
    with pytest.raises(SourceChanged):
        writer.remove("d/b", entries["d/b"])
    with pytest.raises(SourceChanged):
        writer.remove("d/a", entries["d/a"])
    assert writer.remove("e", entries["e"])
    assert entries["e"].kind is Kind.DIRECTORY
    assert sorted(path.name for path in root.rglob("*")) == ["b", "d"]


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="missing"):
        Writer(tmp_path / "missing")
