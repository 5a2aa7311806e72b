"""The state database with real files, real locks and other processes."""

# ruff: noqa: ASYNC240
# Nothing else waits for these event loops.

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.model import UNTRUSTED, BaselineEntry, Kind, SourceIdentity, Sync
from syncd.errors import JobLocked, StateError
from syncd.store.rows import row_of
from syncd.store.sqlite import open_store
from tests.store_support import CHECKSUM, ROOT, command, fill, opened, row, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs" / "job.db"


# --- rows


async def test_what_is_written_is_read_in_key_order(path: Path) -> None:
    rows = [row("b"), row("a-b"), row("a"), row("a\0b", claim=""), row("a\0c", checksum=None, claim=CHECKSUM)]
    async with opened(path) as store:
        await store.write(rows)
        assert await rows_of(store) == sorted(rows)
    async with opened(path) as store:
        assert await rows_of(store) == sorted(rows)


async def test_it_is_known_for_how_long_nothing_was_under_way(path: Path) -> None:
    async with opened(path) as store:
        assert store.memory.idle_s == math.inf
        await store.write([row("a")])
    os.utime(path, (0, 0))
    async with opened(path) as store:
        assert store.memory.idle_s > 1e9
        await store.write([row("b")])
    async with opened(path) as store:
        assert store.memory.idle_s < 1e9
        os.utime(path, (0, 0))
        store.beat()
    async with opened(path) as store:
        assert store.memory.idle_s < 1e9


numbers = st.integers(-(2**63), 2**63 - 1)
entries = st.builds(
    BaselineEntry,
    st.binary(max_size=8),
    st.sampled_from(Kind),
    st.integers(0, 2**63 - 1),
    numbers,
    numbers,
    st.integers(0, 2**64 - 1),
    st.none() | st.just(CHECKSUM),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.sampled_from(Sync),
    st.none() | st.sampled_from(["", CHECKSUM]),
)


@settings(max_examples=40, deadline=None)
@given(written=st.lists(entries, max_size=5, unique_by=lambda entry: entry.key))
def test_a_row_comes_back_as_it_was(written: list[BaselineEntry], tmp_path_factory: pytest.TempPathFactory) -> None:
    async def run() -> list[BaselineEntry]:
        async with opened(tmp_path_factory.mktemp("state") / "job.db") as store:
            await store.write(written)
            return await rows_of(store)

    found = asyncio.run(run())
    assert found == sorted(written)
    assert all(type(one.kind) is Kind and type(one.sync) is Sync for one in found)


async def test_a_time_beyond_the_column_is_kept_as_one_that_proves_nothing(path: Path) -> None:
    async with opened(path) as store:
        await store.write([row("a", mtime_ns=2**63), row("b", ctime_ns=2**70)])
        assert [entry.mtime_ns for entry in await rows_of(store)] == [UNTRUSTED, UNTRUSTED]


async def test_rows_are_put_in_place_of_others_and_forgotten_first(path: Path) -> None:
    async with opened(path) as store:
        await store.write([row("a"), row("b"), row("c", kind=Kind.DIRECTORY)])
        await store.write([row("a", size=4), row("b", size=5)], [b"b", b"c", b"never"])
        assert await rows_of(store) == [row("a", size=4), row("b", size=5)]


async def test_directories_are_counted(path: Path) -> None:
    async with opened(path) as store:
        await store.write([row("a", kind=Kind.DIRECTORY), row("b"), row("c", kind=Kind.DIRECTORY)])
        assert await store.count_directories() == 2


async def test_rows_are_a_snapshot(path: Path) -> None:
    await fill(path)
    async with opened(path) as store:
        with store.rows() as rows:
            await store.write([row("new")], [b"file-00001", b"file-00499"])
            keys = [entry.key for entry in rows]
        assert len(keys) == 500
        assert len(await rows_of(store)) == 499


async def test_writes_at_once_are_all_kept_in_their_order(path: Path) -> None:
    async with opened(path) as store:

        async def write(name: str) -> None:
            for size in range(50):
                await store.write([row(name, size=size)])
                await store.write([], [name.encode()])
            await store.write([row(name, size=99)])

        await asyncio.gather(*(write(f"{number}") for number in range(16)))
        together = [store.write([row("x", size=size)]) for size in range(10)]
        await asyncio.gather(*together, store.write([row("x", size=10)]))
        found = await rows_of(store)
    assert [entry.size for entry in found] == [99] * 16 + [10]


async def test_a_write_that_is_no_longer_waited_for_is_made_all_the_same(path: Path) -> None:
    async with opened(path) as store:
        writing = asyncio.create_task(store.write([row("a")]))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        await store.write([row("b")])
        assert await rows_of(store) == [row("a"), row("b")]


async def test_what_was_asked_for_before_the_close_is_kept(path: Path) -> None:
    store = await open_store(path)
    writing = [asyncio.create_task(store.write([row(f"{number}")])) for number in range(10)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*writing)
    with pytest.raises(StateError):
        await store.write([row("late")])
    await store.aclose()
    async with opened(path) as store:
        assert len(await rows_of(store)) == 10


async def test_the_source_is_remembered(path: Path) -> None:
    identity = SourceIdentity(2**64 - 1, 2**63)
    async with opened(path) as store:
        assert store.memory.source is None
        await store.remember_source(SourceIdentity(1, 2))
        await store.remember_source(identity)
        assert store.memory.source == identity
    async with opened(path) as store:
        assert store.memory.source == identity


async def test_state_is_for_its_owner_only(path: Path) -> None:
    await fill(path)
    modes = [stat.S_IMODE(part.stat().st_mode) for part in (path.parent.parent, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


async def test_a_database_that_was_closed_is_one_file_with_its_seal_and_its_lock(path: Path) -> None:
    await fill(path)
    assert {part.name for part in path.parent.iterdir()} == {"job.db", "job.db.lock", "job.db.seal"}


# --- one holder


async def test_a_job_has_one_holder_who_is_named(path: Path) -> None:
    async with opened(path):
        with pytest.raises(JobLocked) as caught:
            await open_store(path)
    assert str(path) in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    async with opened(path) as store:
        assert store.notices == []


async def test_another_process_is_kept_out(path: Path) -> None:
    async with opened(path):
        code = f"await open_store(Path({str(path)!r}))"
        other = await asyncio.to_thread(
            subprocess.run, command(code), cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert "JobLocked" in other.stderr


async def test_a_lock_file_that_is_renamed_before_it_is_locked_lets_nobody_in_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, away, flock = path.with_name("job.db.lock"), path.with_name("away"), fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if not away.exists():
            lock.rename(away)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    async with opened(path):
        with pytest.raises(JobLocked):
            await open_store(path)


async def test_a_failure_to_open_lets_go_of_the_lock(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.mkdir()
    for _ in range(2):
        with pytest.raises(StateError):
            await open_store(path)
    path.rmdir()
    async with opened(path):
        pass


# --- errors while it runs


async def test_a_database_locked_by_another_program_is_an_error_for_every_write_that_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.store.opening.BUSY_TIMEOUT_S", 0.05)
    async with opened(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes = [store.write([row(f"{number}")]) for number in range(5)]
            errors = await asyncio.gather(*writes, return_exceptions=True)
        assert {type(error) for error in errors} == {StateError}
        assert "another process" in str(errors[0])
        await store.write([row("a")])
        assert await rows_of(store) == [row("a")]


async def test_a_full_disk_is_said_and_what_was_there_stays(path: Path) -> None:
    rows = await fill(path, 10)
    store = await open_store(path)
    store._connection.execute("PRAGMA max_page_count = 1")  # the smallest disk there is
    with pytest.raises(StateError, match="disk is full"):
        await store.write([row(f"more-{number}" + "x" * 500) for number in range(2000)])
    assert await rows_of(store) == rows
    await store.aclose()
    async with opened(path) as store:
        assert store.notices == []
        assert await rows_of(store) == rows


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file"):
        await open_store(tmp_path / "file" / "job.db")


async def test_a_reader_left_open_does_not_make_the_seal_a_lie(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.store.opening.BUSY_TIMEOUT_S", 0.05)
    await fill(path)
    store = await open_store(path)
    with store.rows() as rows:
        next(rows)
        await store.write([row("late")])
        await store.aclose()
    async with opened(path) as store:
        assert store.notices == []
        assert len(await rows_of(store)) == 501


async def test_rows_may_be_read_in_a_thread_of_their_own_while_others_write(path: Path) -> None:
    await fill(path)
    async with opened(path) as store:
        found: list[int] = []

        def read() -> None:
            for _ in range(20):
                with store.rows() as rows:
                    found.append(sum(1 for _ in rows))

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(100):
            await store.write([row(f"x{number}")])
        await asyncio.to_thread(thread.join)
    assert found == sorted(found)
    assert len(found) == 20


def test_a_row_holds_plain_values_only() -> None:
    values: Iterable[object] = row_of(row("a", inode=2**64 - 1))
    assert {type(value) for value in values} == {bytes, int, str, type(None)}


async def test_a_copied_state_directory_is_a_state_directory(path: Path, tmp_path: Path) -> None:
    rows = await fill(path)
    shutil.copytree(path.parent, tmp_path / "copy")
    async with opened(tmp_path / "copy" / path.name) as store:
        assert store.notices == []
        assert await rows_of(store) == rows
