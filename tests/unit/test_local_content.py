"""Readings of real files that change, go, or are not what they were: what comes out is what was there at one moment."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.core.model import UNTRUSTED, Kind, LocalEntry
from syncd.core.paths import path_of
from syncd.errors import LocalError, SourceChanged, Unreadable
from syncd.local.content import COARSE_GRAIN_NS, GRAIN_NS, SMALL_BYTES, FileContent, unprovable_for_ns
from syncd.local.tree import Tree
from syncd.ports import Content

BIG = SMALL_BYTES * 5 + 12345


def entry_of(tree: Tree, path: str) -> LocalEntry:
    return next(entry for entry in tree.scan() if path_of(entry.key) == path)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def big(tmp_path: Path) -> tuple[Tree, Path, bytes]:
    data = os.urandom(BIG)
    path = tmp_path / "big"
    path.write_bytes(data)
    return Tree(tmp_path), path, data


async def gathered(content: Content) -> bytes:
    return b"".join([piece async for piece in content.chunks()])


async def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    tree = Tree(tmp_path)
    content: Content = await tree.read(entry_of(tree, "a.txt"))
    assert (content.data, content.checksum, content.content_type) == (b"hello", md5(b"hello"), "text/plain")
    assert content.dimensions is None
    assert await gathered(content) == b"hello"
    assert [content.fingerprint] == await tree.fingerprints([content.entry])


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    tree = Tree(tmp_path)
    content = await tree.read(entry_of(tree, "a"))
    assert (content.data, content.checksum) == (b"", md5(b""))
    assert await gathered(content) == b""


async def test_a_large_file_is_streamed_and_hashed_on_the_way(big: tuple[Tree, Path, bytes]) -> None:
    tree, _, data = big
    content = await tree.read(entry_of(tree, "big"))
    assert content.data is None
    assert content.checksum is None
    with pytest.raises(RuntimeError):
        content.fingerprint  # noqa: B018
    pieces = [piece async for piece in content.chunks()]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= SMALL_BYTES
    assert content.checksum == md5(data)
    assert await gathered(content) == data
    assert await tree.fingerprints([content.entry]) == [content.fingerprint]


async def test_a_file_read_right_after_it_was_written_is_still_to_be_trusted(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tmp_path / "a").write_bytes(b"one")
    [fingerprint] = await tree.fingerprints([entry_of(tree, "a")])
    (tmp_path / "a").write_bytes(b"two")
    after = entry_of(tree, "a")
    assert fingerprint is not None
    assert fingerprint.entry.mtime_ns != UNTRUSTED
    assert after != fingerprint.entry


async def test_what_changed_after_the_scan_is_read_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "a")
    (tmp_path / "a").write_bytes(b"newer")
    content = await tree.read(entry)
    assert content.data == b"newer"
    assert content.entry == entry_of(tree, "a") != entry


async def test_a_file_that_grew_large_after_the_scan_is_streamed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"small")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "a")
    (tmp_path / "a").write_bytes(bytes(BIG))
    content = await tree.read(entry)
    assert content.data is None
    assert await gathered(content) == bytes(BIG)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _rewrite_and_put_the_mtime_back(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(BIG))
    other.rename(path)


CHANGES: list[Callable[[Path], None]] = [
    _append,
    lambda path: os.truncate(path, BIG - 1),
    lambda path: os.truncate(path, 0),
    _rewrite_and_put_the_mtime_back,
    _replace,
    Path.unlink,
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_file_that_changes_while_it_is_streamed_never_comes_to_its_last_piece(
    big: tuple[Tree, Path, bytes], change: Callable[[Path], None]
) -> None:
    tree, path, data = big
    content = await tree.read(entry_of(tree, "big"))
    received = bytearray()

    async def receive() -> None:
        async for piece in content.chunks():
            if not received:
                change(path)
            received.extend(piece)

    with pytest.raises(SourceChanged):
        await receive()
    assert 0 < len(received) < BIG
    assert data.startswith(received)
    assert content.checksum is None


@pytest.mark.parametrize("change", CHANGES)
async def test_a_file_that_changed_before_it_is_streamed_again_is_not(
    big: tuple[Tree, Path, bytes], change: Callable[[Path], None]
) -> None:
    tree, path, _ = big
    content = await tree.read(entry_of(tree, "big"))
    await gathered(content)
    change(path)
    with pytest.raises(SourceChanged):
        await gathered(content)


@pytest.fixture
def written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a file be written to at the very moment that a reading waits for the clock to move on."""

    def write(path: Path) -> None:
        monkeypatch.setattr("syncd.local.content.GRAIN_NS", COARSE_GRAIN_NS)
        monkeypatch.setattr("syncd.local.content.time.sleep", lambda _: os.utime(path))
        os.utime(path)

    return write


async def test_a_large_file_that_is_being_written_is_not_begun(
    big: tuple[Tree, Path, bytes], written_meanwhile: Callable[[Path], None]
) -> None:
    tree, path, _ = big
    entry = entry_of(tree, "big")
    written_meanwhile(path)
    with pytest.raises(SourceChanged):
        await tree.read(entry)


async def test_a_small_file_that_is_being_written_is_published_only_as_something_that_proves_nothing(
    tmp_path: Path, written_meanwhile: Callable[[Path], None]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"same")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "a")
    written_meanwhile(path)
    content = await tree.read(entry)
    assert content.data == b"same"
    assert content.fingerprint.entry.mtime_ns == UNTRUSTED


@pytest.mark.parametrize("size", [0, 5, SMALL_BYTES, BIG])
async def test_a_file_that_grows_is_sent_as_far_as_it_was(tmp_path: Path, size: int) -> None:
    path, data = tmp_path / "log", os.urandom(size)
    path.write_bytes(data)
    tree = Tree(tmp_path)
    content = await tree.read(entry_of(tree, "log"), growing=True)
    assert content.checksum == md5(data)
    for _ in range(2):
        received = b""
        async for piece in content.chunks():
            received += piece
            _append(path)
        assert received == data
        assert (content.checksum, content.entry.size) == (md5(data), size)
    assert content.fingerprint.entry.mtime_ns == UNTRUSTED


@pytest.mark.parametrize("change", [*CHANGES[1:3], CHANGES[3]])
async def test_a_growing_file_in_which_more_changes_than_its_end_is_not_sent(
    big: tuple[Tree, Path, bytes], change: Callable[[Path], None]
) -> None:
    tree, path, _ = big
    content = await tree.read(entry_of(tree, "big"), growing=True)
    change(path)
    with pytest.raises(SourceChanged):
        await gathered(content)


async def test_a_small_growing_file_that_does_not_read_the_same_twice_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"what is there")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "log")
    monkeypatch.setattr("syncd.local.content.os.pread", lambda *_: b"what was here")
    with pytest.raises(SourceChanged):
        await tree.read(entry, growing=True)


async def outcome(tree: Tree, entry: LocalEntry) -> FileContent | LocalError:
    try:
        return await tree.read(entry)
    except LocalError as error:
        return error


@pytest.mark.parametrize("what", ["gone", "directory", "pipe", "symlink", "parent gone", "parent a file"])
async def test_what_is_no_longer_a_file_has_changed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "d" / "f"
    path.parent.mkdir()
    path.write_bytes(b"x")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "d/f")
    path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "symlink":
        path.symlink_to("/etc/hostname")
    elif what.startswith("parent"):
        path.parent.rmdir()
        if what == "parent a file":
            path.parent.touch()
    assert isinstance(await outcome(tree, entry), SourceChanged)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_directory_that_became_a_symlink_leads_nowhere(tmp_path: Path, follow: bool) -> None:
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/f").write_bytes(b"mine")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/f").write_bytes(b"not for publication")
    tree = Tree(tmp_path / "source", follow_symlinks=follow)
    entry = entry_of(tree, "d/f")
    (tmp_path / "source/d").rename(tmp_path / "moved")
    (tmp_path / "source/d").symlink_to("../secret")
    assert isinstance(await outcome(tree, entry), SourceChanged)


async def test_a_symlink_that_is_followed_is_read_unless_it_was_turned_out_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_bytes(b"mine")
    (tmp_path / "secret").write_bytes(b"not for publication")
    (source / "link").symlink_to("f")
    tree = Tree(source, follow_symlinks=True)
    entry = entry_of(tree, "link")
    assert (await tree.read(entry)).data == b"mine"
    (source / "link").unlink()
    (source / "link").symlink_to("../secret")
    assert isinstance(await outcome(tree, entry), SourceChanged)


@pytest.mark.parametrize("follow", [False, True])
async def test_confinement_does_not_need_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, follow: bool) -> None:
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/f").write_bytes(b"mine")
    (tmp_path / "f").write_bytes(b"not for publication")
    tree = Tree(tmp_path / "source", follow_symlinks=follow)
    entry = entry_of(tree, "d/f")
    monkeypatch.setattr("syncd.local.content.DESCRIPTORS", b"/nowhere/%d")
    assert (await tree.read(entry)).data == b"mine"
    (tmp_path / "source/d").rename(tmp_path / "moved")
    (tmp_path / "source/d").symlink_to("..")
    assert isinstance(await outcome(tree, entry), SourceChanged)


async def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await outcome(tree, entry)  # the thread that reads is there from now on
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        error = await outcome(tree, entry)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(error, Unreadable)
    assert "'a'" in str(error)
    assert "open files" in str(error)


async def test_a_reading_waits_for_a_descriptor_to_come_free(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    tree = Tree(tmp_path)
    entry = entry_of(tree, "a")
    await tree.read(entry)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        reading = asyncio.create_task(tree.read(entry))
        await asyncio.wait([reading], timeout=0.1)
        assert not reading.done()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await reading).data == b"x"


async def test_a_stream_that_is_given_up_leaves_nothing_open(big: tuple[Tree, Path, bytes]) -> None:
    tree, path, _ = big
    content = await tree.read(entry_of(tree, "big"))
    for _ in range(20):
        stream = content.chunks()
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    for _ in range(20):
        task = asyncio.create_task(gathered(content))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    deadline = time.monotonic() + 10
    while str(path) in _open_files():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def _open_files() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        except FileNotFoundError:
            continue
    return found


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


async def test_an_image_has_its_dimensions_small_or_large(tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(png(3, 2))
    (tmp_path / "large.png").write_bytes(png(300, 200) + bytes(BIG))
    (tmp_path / "text.txt").write_bytes(png(3, 2))
    tree = Tree(tmp_path)
    found = {path_of(entry.key): (await tree.read(entry)).dimensions for entry in tree.scan()}
    assert found == {"small.png": (3, 2), "large.png": (300, 200), "text.txt": None}


# --- when a stat proves something

NOW = 1_700_000_000_123_456_789


def stat_of(mtime_ns: int, ctime_ns: int) -> LocalEntry:
    return LocalEntry(b"a", Kind.FILE, 1, mtime_ns, ctime_ns, 1)


def test_a_stat_proves_something_once_the_clock_has_moved_on() -> None:
    assert unprovable_for_ns(stat_of(NOW, NOW), NOW) == GRAIN_NS + 1
    assert unprovable_for_ns(stat_of(NOW, NOW), NOW + GRAIN_NS) == 1
    assert unprovable_for_ns(stat_of(NOW, NOW), NOW + GRAIN_NS + 1) == 0
    assert unprovable_for_ns(stat_of(NOW - 10**12, NOW - 10**12), NOW) == 0


def test_a_filesystem_without_fractions_takes_two_seconds() -> None:
    even = NOW - NOW % 10**9
    assert unprovable_for_ns(stat_of(even, even), even + COARSE_GRAIN_NS) == 1
    assert unprovable_for_ns(stat_of(even, even - 1), even + GRAIN_NS + 1) == 0


def test_an_mtime_set_into_the_future_does_not_make_a_file_be_read_for_ever() -> None:
    assert unprovable_for_ns(stat_of(NOW + 10**18, NOW - 10**12), NOW) == 0
    assert unprovable_for_ns(stat_of(NOW, NOW - 10**12), NOW) > 0


def test_a_clock_that_was_set_back_proves_nothing() -> None:
    assert unprovable_for_ns(stat_of(NOW, NOW), NOW - 10**12) > COARSE_GRAIN_NS
