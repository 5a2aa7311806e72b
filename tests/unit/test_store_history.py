"""A job's history: kept with the commits, bounded, read by anybody at any time."""

# ruff: noqa: ASYNC240
# Nothing else waits for these event loops.

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncd.core.model import Event
from syncd.errors import StateError
from syncd.store import history
from syncd.store.history import Past
from syncd.store.schema import STEPS
from syncd.store.sqlite import open_store
from tests.store_support import opened, row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / "job.db"


def event(number: int, name: str = "a", *, source: str | None = None, failed: bool = False) -> Event:
    return Event(float(number), "create", name, source, number, f"reason {number}", failed)


async def test_what_is_noted_is_read_oldest_first_by_another_process_while_the_job_is_held(path: Path) -> None:
    async with opened(path) as store:
        for number in range(5):
            store.note(event(number))
        await store.write([row("a")])
        assert Past(path).events(most=3) == [event(2), event(3), event(4)]
        assert Past(path).baseline("a") == row("a")
        assert Past(path).baseline("b") is None


async def test_it_is_written_at_the_end_also_where_nothing_else_is(path: Path) -> None:
    async with opened(path) as store:
        store.note(event(1))
    assert Past(path).events(most=9) == [event(1)]
    assert [file.name for file in path.parent.iterdir() if file.suffix in (".db-wal", ".db-shm")] == []
    async with opened(path) as store:
        assert store.notices == []


async def test_it_is_written_soon_without_a_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.store.sqlite.NOTED_WITHIN_S", 0.0)
    async with opened(path) as store:
        store.note(event(1))
        await store.count_directories()
        while not Past(path).events(most=1):
            await store.count_directories()


async def test_only_the_latest_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    monkeypatch.setattr(history, "_PRUNE", history._PRUNE.replace("10000", "3"))
    async with opened(path) as store:
        for number in range(10):
            store.note(event(number))
            await store.write([row("a")])
    assert Past(path).events(most=99) == [event(7), event(8), event(9)]


async def test_of_one_path_and_what_is_below_it(path: Path) -> None:
    names = ["a", "a/b", "a-b", "ab", "a/b/c"]
    async with opened(path) as store:
        for number, name in enumerate(names):
            store.note(event(number, name))
        store.note(event(9, "new", source="a/b"))
    assert [one.path for one in Past(path).events(most=9, at="a")] == ["a", "a/b", "a/b/c"]
    assert [one.path for one in Past(path).events(most=9, at="a/b")] == ["a/b", "a/b/c", "new"]


async def test_names_and_words_that_are_no_utf8(path: Path) -> None:
    odd = event(1, "b\udcff")._replace(detail="b\udcff cannot be read")
    async with opened(path) as store:
        store.note(odd)
    assert Past(path).events(most=1) == [odd._replace(detail="b\\udcff cannot be read")]


async def test_where_there_is_none(path: Path) -> None:
    assert Past(path).events(most=9) == []
    assert Past(path).baseline("a") is None
    store = await open_store(path, steps=STEPS[:1])
    await store.aclose()
    assert Past(path).events(most=9) == []


async def test_a_damaged_database_is_said(path: Path) -> None:
    async with opened(path) as store:
        store.note(event(1))
    path.write_bytes(b"no database at all" * 400)
    with pytest.raises(StateError, match="damaged"):
        Past(path).events(most=9)


async def test_an_older_database_gets_one(path: Path) -> None:
    store = await open_store(path, steps=STEPS[:1])
    await store.write([row("a")])
    await store.aclose()
    async with opened(path) as newer:
        newer.note(event(1))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    assert (Past(path).events(most=9), Past(path).baseline("a")) == ([event(1)], row("a"))
