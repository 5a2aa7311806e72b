"""The state database with real files, real locks and real processes that are killed."""

# ruff: noqa: ASYNC220, ASYNC240
# Nothing else waits for these event loops.

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.model import UNTRUSTED, BaselineEntry, Kind, SourceIdentity, Sync
from syncd.errors import JobLocked, StateError
from syncd.ports import Store
from syncd.store.rows import row_of
from syncd.store.schema import APPLICATION_ID, STEPS
from syncd.store.sqlite import Database, open_store

ROOT = Path(__file__).parents[2]
CHECKSUM = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs" / "job.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    store = await open_store(path)
    try:
        yield store
    finally:
        await store.aclose()


def row(name: str, **fields: object) -> BaselineEntry:
    entry = BaselineEntry(name.encode(), Kind.FILE, 3, 10, 11, 12, CHECKSUM, "id", Sync.SYNCED, None)
    return entry._replace(**fields)  # type: ignore[arg-type]


async def rows_of(store: Store) -> list[BaselineEntry]:
    def read() -> list[BaselineEntry]:
        with store.rows() as rows:
            return list(rows)

    return await asyncio.to_thread(read)


async def fill(path: Path, count: int = 500) -> list[BaselineEntry]:
    rows = [row(f"file-{number:05d}", id=f"{number:024x}", inode=number) for number in range(count)]
    async with opened(path) as store:
        await store.write(rows)
    return rows


# --- rows


async def test_what_is_written_is_read_in_key_order(path: Path) -> None:
    rows = [row("b"), row("a-b"), row("a"), row("a\0b", claim=""), row("a\0c", checksum=None, claim=CHECKSUM)]
    async with opened(path) as store:
        await store.write(rows)
        assert await rows_of(store) == sorted(rows)
    async with opened(path) as store:
        assert await rows_of(store) == sorted(rows)


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
        other = await asyncio.to_thread(_run, f"await open_store(Path({str(path)!r}))")
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


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(code), cwd=ROOT, capture_output=True, text=True, check=False)


def _command(code: str) -> list[str]:
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    head = (
        "import asyncio\nfrom pathlib import Path\nfrom syncd.core.model import *\n"
        "from syncd.store.sqlite import open_store\nasync def main():\n"
    )
    return [sys.executable, "-c", f"{head}{lines}\nasyncio.run(main())\n"]


# --- crashes


WRITER = """
store = await open_store(Path({path!r}))
number = 0
async def write(lane):
    global number
    while True:
        mine = number; number += 1
        key = b"%08d" % mine
        entry = BaselineEntry(key, Kind.FILE, mine, 1, 1, 1, None, "id", Sync.CLAIMED, "")
        await store.write([entry, entry._replace(key=key + b"\\0twin")])
        print(mine, flush=True)
globals()["number"] = 0
await asyncio.gather(*(write(lane) for lane in range(8)))
"""


@pytest.mark.parametrize("acknowledged", [1, 50, 400])
async def test_a_killed_process_loses_nothing_that_was_acknowledged_and_leaves_nothing_half(
    path: Path, acknowledged: int
) -> None:
    process = subprocess.Popen(
        _command(WRITER.format(path=str(path))), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        said = [await asyncio.to_thread(process.stdout.readline) for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        said += await asyncio.to_thread(process.stdout.readlines)
    written = {int(line) for line in said if line.endswith(b"\n")}
    async with opened(path) as store:
        assert store.notices == []
        keys = {entry.key for entry in await rows_of(store)}
    assert {b"%08d" % number for number in written} <= keys
    assert all((key + b"\0twin" in keys) for key in keys if b"\0" not in key)
    assert all((key.removesuffix(b"\0twin") in keys) for key in keys)


# --- what is damaged, foreign, older or newer


async def assert_begun_again(path: Path, *, kept: bool = True) -> None:
    async with opened(path) as store:
        assert store.memory.rebuilt
        assert await rows_of(store) == []
        [notice] = store.notices
        assert str(path) in notice
        assert ("job.db.damaged-" in notice) is kept
        await store.write([row("a")])
    async with opened(path) as store:
        assert not store.memory.rebuilt
        assert await rows_of(store) == [row("a")]
    assert bool(list(path.parent.glob("*.damaged-*"))) is kept


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("damage", ["no database", "header", "page", "truncated", "longer"])
async def test_a_damaged_database_is_set_aside(path: Path, damage: str, sealed: bool) -> None:
    await fill(path)
    size = path.stat().st_size
    if not sealed:
        path.with_name("job.db.seal").unlink()
    if damage == "no database":
        path.write_bytes(b"no database" * 1000)
    elif damage == "header":
        overwrite(path, 0, bytes(100))
    elif damage == "page":
        overwrite(path, size // 2 // 4096 * 4096, os.urandom(4096))
    elif damage == "truncated":
        os.truncate(path, size // 2)
    elif sealed:
        os.truncate(path, size + 4096)
    else:
        return
    await assert_begun_again(path)


async def test_a_single_flipped_bit_is_noticed_wherever_it_is(path: Path) -> None:
    await fill(path)
    whole = path.read_bytes()
    seal = path.with_name("job.db.seal").read_bytes()
    chance = random.Random(1)
    for _ in range(25):
        place = chance.randrange(len(whole))
        if 60 <= place < 72:
            continue  # version and application id: what they mean comes first
        path.write_bytes(whole)
        path.with_name("job.db.seal").write_bytes(seal)
        overwrite(path, place, bytes([whole[place] ^ 1 << chance.randrange(8)]))
        async with opened(path) as store:
            assert store.memory.rebuilt


@pytest.mark.parametrize("loss", ["empty", "gone"])
async def test_a_database_that_was_lost_is_not_a_new_one(path: Path, loss: str) -> None:
    await fill(path)
    if loss == "empty":
        os.truncate(path, 0)
    else:
        path.unlink()
    await assert_begun_again(path, kept=False)


async def test_a_first_start_that_was_cut_short_is_a_first_start(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    path.with_name("job.db.lock").touch()
    async with opened(path) as store:
        assert not store.memory.rebuilt


async def test_a_foreign_database_is_set_aside_unharmed(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    foreign = path.read_bytes()
    await assert_begun_again(path)
    assert path.with_name("job.db.damaged-1").read_bytes() == foreign


async def test_what_was_set_aside_before_is_kept_too(path: Path) -> None:
    for _ in range(2):
        await fill(path)
        overwrite(path, 0, bytes(100))
        async with opened(path) as store:
            assert store.memory.rebuilt
    assert {part.name for part in path.parent.glob("*damaged*")} == {"job.db.damaged-1", "job.db.damaged-2"}


async def test_damage_met_while_reading_is_remembered_for_the_next_start(path: Path) -> None:
    await fill(path, 5000)
    async with opened(path) as store:
        size = path.stat().st_size
        overwrite(path, 8192, os.urandom(size - 8192))
        with pytest.raises(StateError, match="damaged"):
            await rows_of(store)
    await assert_begun_again(path)


async def test_a_newer_database_is_refused_and_not_touched(path: Path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StateError, match="newer syncd"):
            await open_store(path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*damaged*"))


STEP = ("ALTER TABLE baseline ADD COLUMN extra INTEGER", "UPDATE baseline SET extra = size + 1")


async def test_an_older_database_is_migrated(path: Path) -> None:
    rows = await fill(path)
    store = await open_store(path, steps=(*STEPS, STEP))
    assert await rows_of(store) == rows
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT count(*) FROM baseline WHERE extra = size + 1").fetchone() == (len(rows),)
    with pytest.raises(StateError, match="newer syncd"):
        await open_store(path)


async def test_a_migration_that_fails_leaves_the_older_database(path: Path) -> None:
    rows = await fill(path)
    with pytest.raises(StateError):
        await open_store(path, steps=(*STEPS, STEP, ("SELECT * FROM nowhere",)))
    async with opened(path) as store:
        assert not store.memory.rebuilt
        assert await rows_of(store) == rows


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
