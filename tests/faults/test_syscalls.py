"""Death and errors at chosen system calls of the real program, by strace: after each, a run to the end converges.

The short form takes a few points of each call. `SWEEP=1` takes every one, for which it needs some minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

EVERY = bool(os.environ.get("SWEEP"))
MOST = 60
"""No thread of these runs makes any of these calls more often."""

DURABLE = {
    "pwrite64": (1, 2, 5, 12),
    "fdatasync": (1, 3),
    "ftruncate": (1,),
    "unlink": (1,),
    "sendto": (2, 4, 9, 14),
    "sendmsg": (1,),
    "write": (1, 2),
}
"""What makes state last or leaves for the network; which of a thread's calls the short form takes."""

POINTS = [(call, when) for call, few in DURABLE.items() for when in (range(1, MOST) if EVERY else few)]


def strace(call: str, fault: str, when: str, *, only: Path | None = None) -> tuple[str, ...]:
    """What to run a program by. `only`: calls that concern this path."""
    where = ("-P", str(only)) if only is not None else ()
    fault = f"inject={call}:{fault}:when={when}"
    return ("strace", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, *where, "-e", f"trace={call}", "-e", fault)


@pytest.fixture
def traced(pair: Pair) -> Pair:
    """A job, if programs can be traced here."""
    tried = subprocess.run([*strace("write", "error=EIO", "1000"), "true"], capture_output=True)
    if tried.returncode:
        pytest.skip("programs cannot be traced here")
    return pair


def first_tree(pair: Pair) -> None:
    shutil.rmtree(pair.source)
    for number in range(5):
        pair.write(f"d{number % 2}/{number}.txt", f"content {number}")
    pair.write("large", b"x" * 300_000)
    (pair.source / "empty").mkdir()


def second_tree(pair: Pair) -> None:
    (pair.source / "d0").rename(pair.source / "moved")
    (pair.source / "d1/1.txt").rename(pair.source / "1.txt")
    pair.write("large", b"y" * 300_000)
    pair.write("new/file", "new")
    (pair.source / "empty").rmdir()
    (pair.source / "d1/3.txt").unlink()


def killed(pair: Pair, call: str, when: int) -> bool:
    """Whether the run died there rather than come to its end before."""
    code = pair.once(prefix=strace(call, "signal=KILL", str(when))).code
    pair.an_hour_later()
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize(("call", "when"), POINTS)
def test_killed_at_a_system_call(traced: Pair, call: str, when: int) -> None:
    pair = traced
    first_tree(pair)
    died = killed(pair, call, when)
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["form"] <= 6 + died * 6
    second_tree(pair)
    killed(pair, call, when)
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


@pytest.fixture
def mirrored(traced: Pair) -> Pair:
    for number in range(6):
        traced.write(f"d{number % 2}/{number}.txt", f"content {number}")
    traced.mirrored()
    return traced


@pytest.mark.parametrize("directory", ["", "d0"])
def test_a_directory_that_cannot_be_listed_is_not_empty(mirrored: Pair, directory: str) -> None:
    at = mirrored.source / directory
    run = mirrored.once(prefix=strace("getdents64", "error=EIO", "1", only=at))
    assert run.code == (1 if directory else 7)
    assert len([content for content in mirrored.remote().values() if content is not None]) == 6
    mirrored.mirrored()
    mirrored.assert_equal()


@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC")])
@pytest.mark.parametrize("when", ["1", "3", "2+"])
def test_a_disk_that_fails_under_the_state(mirrored: Pair, call: str, error: str, when: str) -> None:
    """Never believed afterwards, nothing lost, and said in words; 2 says that nothing was contacted."""
    mirrored.write("new", "new")
    (mirrored.source / "d0/0.txt").unlink()
    before = mirrored.server.counts()
    run = mirrored.once(prefix=strace(call, f"error={error}", when))
    contacted = mirrored.server.counts() != before
    assert run.code in (0, 1 if contacted else 2)
    assert run.code == 0 or "state" in run.err
    mirrored.mirrored()
    assert {path: mirrored.remote().get(path) for path in mirrored.local()} == mirrored.local()
    mirrored.mirrored()
    mirrored.assert_clean()


def test_a_file_whose_reading_fails_is_named(mirrored: Pair) -> None:
    mirrored.write("d0/0.txt", b"z" * 3_000_000)
    mirrored.write("d0/2.txt", "edited")
    run = mirrored.once(prefix=strace("read", "error=EIO", "1", only=mirrored.source / "d0/0.txt"))
    assert run.code == 1
    assert set(run.failed()) == {"d0/0.txt"}
    assert mirrored.server.sandbox.content(mirrored.record("d0/0.txt")) == b"content 0"
    assert mirrored.remote()["d0/2.txt"] == b"edited"
    mirrored.mirrored()
    mirrored.assert_equal()


def test_a_stopped_run_goes_on(pair: Pair) -> None:
    """SIGSTOP for longer than a keep-alive, as a suspended machine."""
    for number in range(20):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(latency=0.02, faults=(Fault("form", "hang", seconds=0.5, count=3),))
    process = pair.start("--workers", "4")
    pair.server.until(lambda: pair.server.sandbox.requests.counts["form"] >= 3)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(6)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    pair.assert_equal()
