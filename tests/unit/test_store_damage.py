"""What becomes of a state database that was cut off, damaged, lost, or written by somebody else."""

# ruff: noqa: ASYNC220, ASYNC240
# Nothing else waits for these event loops.

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from syncd.errors import StateError
from syncd.store.schema import APPLICATION_ID, STEPS
from syncd.store.sqlite import open_store
from tests.store_support import ROOT, command, fill, opened, row, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs" / "job.db"


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
        command(WRITER.format(path=str(path))), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
