"""A listing on disk: sorted, each record once, and nothing left behind."""

# ruff: noqa: ASYNC240
# Nothing else waits for these event loops.

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.errors import StateError
from syncd.ports import Spool
from syncd.store.spool import HELD_BYTES, ListingSpool
from syncd.store.sqlite import open_store


@pytest.fixture(params=[0, 200_000, HELD_BYTES], ids=["on disk", "on disk at some time", "in memory"])
async def spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    spool = ListingSpool(tmp_path / "job.db.spool-0", held_bytes=request.param)
    yield spool
    await spool.aclose()


def record(key: bytes, record_id: str = "id", **fields: object) -> RemoteEntry:
    entry = RemoteEntry(key, Kind.FILE, 1, "c" * 32, record_id, Status.COMPLETED, "2024-01-01T00:00:00.000Z")
    return entry._replace(**fields)  # type: ignore[arg-type]


async def rows_of(spool: Spool) -> list[RemoteEntry]:
    def read() -> list[RemoteEntry]:
        with spool.rows() as rows:
            return list(rows)

    return await asyncio.to_thread(read)


async def test_comes_back_sorted_by_key_and_id(spool: Spool) -> None:
    records = [record(b"d\0%04d" % number, f"{copy}") for number in range(2000) for copy in range(2)]
    records.append(record(b"d", kind=Kind.DIRECTORY, checksum=None, status=Status.PENDING, modified=""))
    shuffled = random.Random(1).sample(records, len(records))
    for start in range(0, len(shuffled), 700):
        await spool.add(shuffled[start : start + 700])
    found = await rows_of(spool)
    assert found == sorted(records)
    assert all(type(one.kind) is Kind and type(one.status) is Status for one in found)
    assert await rows_of(spool) == found


async def test_a_record_seen_again_is_the_one_seen_last(spool: Spool) -> None:
    await spool.add([record(b"a", size=1), record(b"b")])
    await spool.add([record(b"a", size=2), record(b"a", "other")])
    assert await rows_of(spool) == [record(b"a", size=2), record(b"a", "other"), record(b"b")]


async def test_begins_again_when_cleared(spool: Spool) -> None:
    assert await rows_of(spool) == []
    await spool.add([record(b"a%05d" % number) for number in range(1000)])
    await spool.clear()
    await spool.add([record(b"b")])
    assert await rows_of(spool) == [record(b"b")]


async def test_is_larger_than_its_memory_and_has_no_name(tmp_path: Path) -> None:
    spool = ListingSpool(tmp_path / "job.db.spool-0", held_bytes=5 * 2**20)
    names = {part.name for part in tmp_path.iterdir()}
    for page in range(60):
        await spool.add([record(b"%08d" % (page * 1000 + number), "x" * 400) for number in range(1000)])
    assert {part.name for part in tmp_path.iterdir()} == names
    assert any(size > 2**20 for size in _sizes_of_nameless_files())
    assert sum(1 for _ in await rows_of(spool)) == 60_000
    await spool.aclose()
    assert not any(size > 2**20 for size in _sizes_of_nameless_files())


def _sizes_of_nameless_files() -> list[int]:
    sizes = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            target, status = Path(f"/proc/self/fd/{name}").readlink(), Path(f"/proc/self/fd/{name}").stat()
        except FileNotFoundError:
            continue
        if ".spool-" in target.name:
            sizes.append(status.st_size)
    return sizes


async def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "job.db")
    one, two = store.spool(), store.spool()
    await asyncio.gather(one.add([record(b"a")]), two.add([record(b"b")]))
    assert await rows_of(one) == [record(b"a")]
    assert await rows_of(two) == [record(b"b")]
    await asyncio.gather(one.aclose(), two.aclose())
    await store.aclose()


async def test_what_a_killed_run_may_have_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "job.db.spool-0").write_bytes(b"left")
    store = await open_store(tmp_path / "job.db")
    assert not (tmp_path / "job.db.spool-0").exists()
    await store.aclose()


async def test_needs_no_place_for_temporary_files(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(variable, "/nowhere")
    await spool.add([record(b"%05d" % number, "x" * 300) for number in range(30_000, 0, -1)])
    assert (await rows_of(spool))[0].key == b"00001"


async def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    spool = ListingSpool(tmp_path / "nowhere" / "job.db.spool-0", held_bytes=0)
    with pytest.raises(StateError, match="spool"):
        await spool.add([record(b"a")])
    await spool.aclose()


async def test_a_size_beyond_reason_is_kept_as_the_largest(spool: Spool) -> None:
    await spool.add([record(b"a", size=10**30)])
    assert [entry.size for entry in await rows_of(spool)] == [2**63 - 1]
