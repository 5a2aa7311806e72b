"""Files that change while they are looked at, read or sent: never torn, and the last version in the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair, ended

LARGE = 24 * 2**20


def rewritten(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"changed")


def grown(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


def shrunk(file: Path) -> None:
    os.truncate(file, 10)


def exchanged(file: Path) -> None:
    other = file.with_suffix(".other")
    other.write_bytes(b"another file")
    other.rename(file)


def removed(file: Path) -> None:
    file.unlink()


def linked(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


CHANGES = [rewritten, grown, shrunk, exchanged, removed, linked, a_directory]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_while_it_is_uploaded(pair: Pair, change: Callable[[Path], None]) -> None:
    """What is published had the file's bytes at one moment, or nothing is."""
    content = os.urandom(LARGE)
    file = pair.write("large", content)
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    change(file)
    run = ended(process, as_json=True)
    now = file.read_bytes() if file.is_file() and not file.is_symlink() else None
    assert pair.remote().get("large") in (None, content, now)
    assert run.code in (0, 1)
    if run.code == 1:
        assert set(run.failed()) == {"large"}
    assert pair.mirrored().job["held"] == 0
    if now is not None:
        pair.assert_equal()
        pair.assert_idle()


@pytest.mark.parametrize("change", [rewritten, shrunk, exchanged, removed])
def test_a_replacement_changed_while_it_is_uploaded(pair: Pair, change: Callable[[Path], None]) -> None:
    """The old version stays until the new one is whole."""
    before, content = b"before", os.urandom(LARGE)
    file = pair.write("large", before)
    pair.mirrored()
    file.write_bytes(content)
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    change(file)
    ended(process, as_json=True)
    now = file.read_bytes() if file.is_file() and not file.is_symlink() else None
    held = {pair.server.sandbox.content(record) for record in pair.server.records() if record.name == "large"}
    assert held <= {before, content, now, b""}
    pair.mirrored()
    if now is not None:
        pair.assert_equal()
        pair.assert_idle()


def test_changed_between_two_tries(pair: Pair) -> None:
    """The first upload is refused for a moment; the file is another by the second."""
    file = pair.write("a", "before")
    pair.server.turn(faults=(Fault("form", "status", status=503, retry_after=1, count=1),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.counts["form"])
    file.write_text("after")
    ended(process, as_json=True)
    assert pair.remote().get("a") in (None, b"before", b"after")
    pair.mirrored()
    pair.assert_equal()


def test_a_writer_that_never_stops(pair: Pair) -> None:
    """A log that grows all the time harms nothing else, and what is published of it is a beginning of it."""
    pair.write("quiet", "quiet")
    log = pair.write("log", "")
    stop = Event()

    def write() -> None:
        with log.open("ab", buffering=0) as opened:
            number = 0
            while not stop.is_set():
                opened.write(b"line %d\n" % number)
                number += 1
                stop.wait(0.0005)

    writer = Thread(target=write)
    writer.start()
    try:
        run = pair.once()
    finally:
        stop.set()
        writer.join()
    assert run.code in (0, 1)
    assert pair.remote()["quiet"] == b"quiet"
    assert log.read_bytes().startswith(pair.remote().get("log") or b"")
    pair.mirrored()
    pair.assert_equal()


def test_files_come_and_go_during_a_run(pair: Pair) -> None:
    for number in range(200):
        pair.write(f"d{number % 10}/{number}", f"content {number}")
    pair.server.turn(latency=0.01)
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.counts["form"] > 10)
    for number in range(0, 200, 2):
        (pair.source / f"d{number % 10}/{number}").unlink()
    for number in range(200, 250):
        pair.write(f"d{number % 10}/{number}", f"content {number}")
    assert ended(process, as_json=True).code in (0, 1)
    pair.server.turn()
    pair.mirrored("--max-delete", "100%")
    pair.assert_equal()
    pair.assert_idle()


def test_a_file_that_comes_back_before_its_deletion_stays(pair: Pair) -> None:
    """Looked at again right before it is deleted."""
    for name in ("a", "b", "c"):
        pair.write(name, name)
    pair.mirrored()
    (pair.source / "a").unlink()
    pair.write("slow", "new")
    pair.server.turn(faults=(Fault("form", "hang", seconds=1, count=1),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    with pair.server.counting() as changes:
        pair.write("a", "a")
        run = ended(process, as_json=True)
    assert run.code == 0
    assert changes["delete"] == 0
    pair.assert_equal()


def test_the_source_goes_away_during_a_run(pair: Pair) -> None:
    """Nothing is taken for deleted because the whole source was renamed or unmounted meanwhile."""
    for number in range(30):
        pair.write(f"{number}", f"content {number}")
    pair.mirrored()
    for number in range(5):
        (pair.source / f"{number}").unlink()
    pair.write("slow", "new")
    pair.server.turn(faults=(Fault("form", "hang", seconds=1, count=1),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    pair.source.rename(pair.source.with_name("away"))
    ended(process, as_json=True)
    assert {f"{number}" for number in range(5, 30)} <= set(pair.remote())
    pair.source.with_name("away").rename(pair.source)
    pair.mirrored()
    pair.assert_equal()


def test_a_stranger_in_a_directory_that_is_about_to_go(pair: Pair) -> None:
    """It came after the listing that the plan was made from; the call that would take it with it is not made."""
    for number in range(5):
        pair.write(f"old/{number}", f"content {number}")
    pair.write("stays", "stays")
    pair.mirrored()
    for number in range(5):
        (pair.source / f"old/{number}").unlink()
    (pair.source / "old").rmdir()
    pair.write("slow", "new")
    pair.server.turn(faults=(Fault("form", "hang", seconds=1, count=1),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    pair.plant("old/theirs")
    run = ended(process, as_json=True)
    assert run.code == 0
    assert pair.remote()["old/theirs"] == b"theirs"
    assert set(pair.remote()) == {"old", "old/theirs", "stays", "slow"}
