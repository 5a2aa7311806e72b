"""Death and errors at the system calls of a pull: the source never has a half of a file, the destination loses none."""

from __future__ import annotations

import os

import pytest

from tests.e2e.program import Pair
from tests.faults.test_syscalls import strace, traced

__all__ = ["traced"]

CONTENTS = {"d/a": b"a" * 100, "d/b": b"b" * 2_500_000, "replaced": b"new content", "c": b""}
EVERY = bool(os.environ.get("SWEEP"))
POINTS = [
    (call, when)
    for call, few in {
        "fsync": (1, 2, 3),
        "linkat": (1, 2),
        "renameat": (1,),
        "unlinkat": (1, 2),
        "mkdirat": (1,),
        "write": (2, 4),
        "pwrite64": (2, 5),
    }.items()
    for when in (range(1, 20) if EVERY else few)
]


def prepared(pair: Pair) -> None:
    pair.write("replaced", "old content")
    pair.mirrored()
    pair.server.turn(clock_offset=-3600.0)
    pair.server.remove(pair.record("replaced"))
    for path, content in CONTENTS.items():
        pair.plant(path, content)


def files(pair: Pair) -> dict[str, bytes]:
    """Those of the source that a scan shows."""
    shown = {
        path: data for path, data in pair.local().items() if not path.rpartition("/")[2].startswith(".syncd-part-")
    }
    return {path: data for path, data in shown.items() if data is not None}


def assert_whole(pair: Pair) -> None:
    """Every file that is there is one that was wanted, or the one that was there before."""
    for path, content in files(pair).items():
        assert content in (CONTENTS[path], b"old content" if path == "replaced" else CONTENTS[path])


@pytest.mark.parametrize(("call", "when"), POINTS)
def test_killed_at_a_call(traced: Pair, call: str, when: int) -> None:
    prepared(traced)
    traced.program.start("pull", *traced.words(), prefix=strace(call, "signal=KILL", str(when))).communicate(timeout=60)
    assert_whole(traced)
    assert set(CONTENTS) <= set(traced.remote())
    run = traced.program.run("pull", *traced.words())
    assert run.code == 0, run
    assert files(traced) == CONTENTS
    traced.assert_idle()


@pytest.mark.parametrize(("call", "error"), [("fsync", "EIO"), ("linkat", "ENOSPC"), ("renameat", "EACCES")])
def test_an_error_of_a_call_is_a_failed_path(traced: Pair, call: str, error: str) -> None:
    prepared(traced)
    run = traced.program.run("pull", *traced.words(), prefix=strace(call, f"error={error}", "1"))
    assert run.code == 1, run
    assert len(run.failed()) >= 1
    assert_whole(traced)
    assert traced.program.run("pull", *traced.words()).code == 0
    traced.assert_equal()
