"""The state directory lost, damaged, of another version, read-only, in the source, or used by two at once."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair, ended


@pytest.fixture
def mirrored(pair: Pair) -> Pair:
    for number in range(60):
        pair.write(f"d{number % 3}/{number}.txt", f"content {number}")
    pair.mirrored()
    return pair


def database(pair: Pair) -> Path:
    (found,) = pair.state.rglob("*.db")
    return found


def lost(path: Path) -> None:
    path.unlink()


def all_lost(path: Path) -> None:
    shutil.rmtree(path.parent)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 17])


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def no_database(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\necho hello\n" * 1000)


def a_bit(seed: int) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        chance = random.Random(seed)
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    flip.__name__ = f"bit_{seed}"
    return flip


HARM = [lost, emptied, cut, foreign, no_database, *map(a_bit, range(2))]


@pytest.mark.parametrize("harm", HARM)
def test_damaged_state_is_rebuilt_without_deletions(mirrored: Pair, harm: Callable[[Path], None]) -> None:
    pair = mirrored
    harm(database(pair))
    (pair.source / "d0/0.txt").unlink()
    (pair.source / "d1/1.txt").rename(pair.source / "renamed.txt")
    pair.write("d2/2.txt", "edited")
    pair.write("new.txt", "new")
    with pair.server.counting() as changes:
        run = pair.mirrored()
    assert run.counts()["unchanged"] == 57
    assert changes == {"create": 2, "patch": 1, "form": 3}
    assert {path: pair.remote()[path] for path in ("d0/0.txt", "d1/1.txt")} == {
        "d0/0.txt": b"content 0",
        "d1/1.txt": b"content 1",
    }
    assert "rebuilt" in run.err
    assert {path: content for path, content in pair.remote().items() if path in pair.local()} == pair.local()
    if harm not in (lost, emptied):
        assert [path for path in database(pair).parent.iterdir() if "damaged" in path.name]
    (pair.source / "d0/3.txt").unlink()
    again = pair.mirrored()
    assert again.counts()["deleted"] == 1
    assert "rebuilt" not in again.err


def test_all_state_lost_is_a_first_run(mirrored: Pair) -> None:
    shutil.rmtree(mirrored.state)
    (mirrored.source / "d0/0.txt").unlink()
    with mirrored.server.counting() as changes:
        assert mirrored.mirrored().counts() == {"unchanged": 59, "extra": 1}
    assert changes == {}


def test_2_a_newer_version_is_refused_and_left_as_it_is(mirrored: Pair) -> None:
    path = database(mirrored)
    with sqlite3.connect(path) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    before = path.read_bytes()
    for run in (mirrored.once(), mirrored.plan()):
        assert run.code == 2
        assert "newer" in run.err
    assert path.read_bytes() == before


def test_a_state_directory_that_cannot_be_written(mirrored: Pair, ordinary: tuple[str, ...]) -> None:
    mirrored.write("new", "new")
    jobs = database(mirrored).parent
    for path in jobs.iterdir():
        path.chmod(0o400)
    jobs.chmod(0o500)
    try:
        with mirrored.server.counting() as changes:
            run = mirrored.once(prefix=ordinary)
    finally:
        jobs.chmod(0o700)
        for path in jobs.iterdir():
            path.chmod(0o600)
    assert run.code == 2
    assert "state" in run.err
    assert changes == {}
    assert mirrored.mirrored().job["created"] == 1


def test_a_state_directory_that_is_a_file(pair: Pair) -> None:
    pair.write("a")
    pair.state.write_text("no directory")
    run = pair.once()
    assert run.code == 2
    assert str(pair.state) in run.err


def test_a_full_disk(pair: Pair, tmp_path: Path) -> None:
    """No deletion and no lost file; it recovers when there is space."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "none", small], capture_output=True).returncode:
        pytest.skip("cannot mount")
    try:
        pair.state = small / "state"
        for number in range(1500):
            pair.write(f"{number}", f"content {number}")
        run = pair.once()
        assert run.code == (1 if sum(pair.server.counts().values()) else 2)
        assert "disk is full" in run.err
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        pair.mirrored()
        pair.assert_equal()
        pair.assert_idle()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_state_directory_in_the_source_is_left_out(pair: Pair) -> None:
    pair.state = pair.source / ".state"
    pair.write("a", "a")
    assert pair.mirrored().counts() == {"created": 1}
    assert pair.remote() == {"a": b"a"}
    assert pair.mirrored().counts() == {"unchanged": 1}
    assert pair.program.run("--once", pair.source, "sandbox:/x", "--state-dir", str(pair.state)).code == 0
    assert pair.mirrored().counts() == {"unchanged": 1}


def test_the_state_directory_cannot_be_the_source(pair: Pair) -> None:
    pair.write("a")
    pair.state = pair.source
    run = pair.once()
    assert run.code in (2, 7)
    assert sum(pair.server.counts().values()) == 0


def test_two_jobs_share_a_state_directory(pair: Pair) -> None:
    """At the same time, each with its own lock."""
    pair.write("a", "a")
    pair.server.turn(faults=(Fault("form", "hang", seconds=1, count=1),))
    first = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    pair.directory = "other"
    assert pair.mirrored().counts() == {"created": 1}
    assert ended(first, as_json=True).code == 0


def test_many_at_once_and_one_of_them_wins(pair: Pair) -> None:
    pair.server.turn(latency=0.02)
    for number in range(30):
        pair.write(f"{number}", f"content {number}")
    runs = [ended(process, as_json=True) for process in [pair.start() for _ in range(4)]]
    assert {run.code for run in runs} <= {0, 6}
    assert 0 in {run.code for run in runs}
    pair.assert_equal()
    assert pair.server.counts()["create"] == 30


def test_another_host_with_its_own_state(pair: Pair, tmp_path: Path) -> None:
    """Two hosts on one destination: each says what the other changed, and nothing is lost or doubled."""
    pair.write("a", "one")
    pair.write("b", "b")
    other = Pair(pair.program, pair.server, tmp_path / "source two", tmp_path / "state two")
    shutil.copytree(pair.source, other.source)
    other.write("a", "two")
    pair.mirrored()
    assert other.mirrored().job["drifted"] == [{"path": "a", "kind": "changed"}]
    run = pair.mirrored()
    assert run.job["drifted"] == [{"path": "a", "kind": "changed"}]
    pair.assert_equal()
