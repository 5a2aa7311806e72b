"""`syncd check` and `syncd ls` through the real program."""

from __future__ import annotations

import os
import subprocess
from functools import partial

import pytest

from syncd.sandbox import APPLICATION_ID, Kind
from tests.e2e.program import CHANGING, Ended, Pair


@pytest.fixture(params=["files", "privateFiles"])
def both(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    kind: Kind = request.param
    pair.kind = kind
    return pair


def checked(pair: Pair, *more: str, code: int, **how: object) -> Ended:
    before, state = pair.server.counts(), sorted(pair.state.rglob("*"))
    run = pair.program.run("check", *pair.words(*more), **how)
    assert run.code == code, run
    asked = pair.server.counts() - before
    assert {name: n for name, n in asked.items() if name in CHANGING} == {}
    assert sorted(pair.state.rglob("*")) == state
    return run


def differences(run: Ended) -> dict[str, str]:
    assert set(run.json) == {"differences"}
    return {one["path"]: one["kind"] for one in run.json["differences"]}


def test_every_kind_of_difference(both: Pair) -> None:
    for number in range(100):
        both.write(f"many/{number}", f"content {number}")
    both.write("big", b"x" * 3_000_000)
    for name in ("missing", "changed", "longer", "hidden.tmp"):
        both.write(name, "content")
    both.mirrored()
    assert differences(checked(both, code=0)) == {}
    both.server.remove(both.record("missing"))
    both.write("changed", "CONTENT")
    both.write("longer", "content and more")
    both.write("new", "new")
    both.plant("extra")
    both.plant("theirs.tmp")
    (both.source / "link").symlink_to("big")
    run = checked(both, "--exclude", "*.tmp", code=1)
    assert differences(run) == {
        "missing": "missing",
        "new": "missing",
        "changed": "different",
        "longer": "different",
        "extra": "extra",
    }
    assert all(set(one) == {"path", "kind"} for one in run.json["differences"])


def test_a_change_that_hides_from_the_baseline_is_seen(pair: Pair) -> None:
    """Every file is read: also one whose stat says that it is what it was."""
    pair.write("a", "content")
    pair.mirrored()
    record = pair.record("a")
    pair.server.call(lambda: pair.server.sandbox.alter(record, etag="0" * 32))
    assert differences(checked(pair, code=1)) == {"a": "different"}


def test_what_has_no_checksum(pair: Pair) -> None:
    for name in ("known", "unknown", "other"):
        pair.write(name, "content")
    pair.mirrored("--exclude", "unknown", "--exclude", "other")
    pair.plant("unknown", b"content")
    pair.plant("other", b"CONTENT")
    for name in ("known", "unknown", "other"):
        pair.server.call(partial(pair.server.sandbox.alter, pair.record(name), etag="0" * 32 + "-2"))
    assert differences(checked(pair, code=1)) == {"unknown": "unknown", "other": "unknown"}
    before = pair.server.counts()
    assert differences(checked(pair, "--download", code=1)) == {"other": "different"}
    assert (pair.server.counts() - before)["content"] == 3


def test_for_people(pair: Pair) -> None:
    pair.write("same", "content")
    pair.plant("same", b"content")
    words = [pair.source, pair.destination, *pair.where]
    assert pair.program.run("check", *words, "--no-progress").out == "source: 1 file compared, no difference\n"
    pair.write("d/new\n", "12345")
    pair.plant("extra")
    pair.write("longer", "12345")
    pair.plant("longer", b"123")
    run = pair.program.run("check", *words)
    assert run.code == 1
    assert run.out == (
        "  missing   d/new\\n\n"
        "  extra     extra\n"
        "  different longer  (5 bytes here, 3 there)\n"
        "source: 3 files compared, 1 missing, 1 extra, 1 different\n"
    )


def test_several_jobs_name_themselves(pair: Pair) -> None:
    pair.write("a")
    other = pair.program.home / "other"
    other.mkdir()
    (other / "b").write_text("b")
    jobs = "".join(
        f'[jobs.{name}]\nsource = "{source}"\ndestination = "prod:/{name}"\n'
        for name, source in (("one", pair.source), ("two", other))
    )
    (pair.program.home / "syncd.toml").write_text(
        f'state_dir = "{pair.state}"\n[remotes.prod]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n'
        f'api_url = "{pair.server.url}"\n{jobs}'
    )
    run = pair.program.run("check", "--json")
    assert run.code == 1
    assert run.json["differences"] == [
        {"job": "one", "path": "a", "kind": "missing"},
        {"job": "two", "path": "b", "kind": "missing"},
    ]


def test_beside_a_daemon(pair: Pair) -> None:
    pair.write("a", "content")
    process = pair.program.start(pair.source, pair.destination, *pair.where, cold=True)
    assert isinstance(process, subprocess.Popen)
    pair.server.until(lambda: any(record.status == "completed" for record in pair.server.sandbox.records()))
    run = pair.program.run("check", *pair.words())
    process.terminate()
    process.communicate(timeout=60)
    assert (run.code, differences(run)) == (0, {})


def test_what_cannot_be_compared(pair: Pair, ordinary: tuple[str, ...]) -> None:
    pair.write("d/a", "content")
    pair.plant("d/a", b"content")
    (pair.source / "d/a").chmod(0)
    run = checked(pair, code=1, prefix=ordinary) if ordinary else checked(pair, code=1)
    assert differences(run) == {"d/a": "unknown"}
    (pair.source / "d").chmod(0)
    run = checked(pair, code=1, prefix=ordinary) if ordinary else checked(pair, code=1)
    assert differences(run) == {"d": "unknown", "d/a": "unknown"}
    (pair.source / "d").chmod(0o755)


def test_exit_codes(pair: Pair) -> None:
    pair.write("a")
    words = [pair.source, pair.destination, *pair.where]
    refused = pair.program.run("check", *words, env={"SYNCD_TOKEN": "wrong"})
    assert (refused.code, refused.out) == (4, "")  # nothing was compared, so nothing is called the same
    assert pair.program.run("check", *pair.words(), env={"SYNCD_TOKEN": None}).code == 2
    os.rename(pair.source, pair.source.with_name("away"))  # noqa: PTH104
    run = pair.program.run("check", *pair.words())
    assert run.code == 7
    assert "cannot be read" in run.err
    os.rename(pair.source.with_name("away"), pair.source)  # noqa: PTH104


def test_ls_ends_with_a_total(both: Pair) -> None:
    both.plant("d/a", b"x" * 2048)
    both.plant("b", b"y" * 1024)
    words = [both.destination, *both.where]
    lines = both.program.run("ls", *words).out.splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == ["b", "d/"]
    assert lines[-1].split() == ["1.0", "KiB", "in", "1", "file"]
    assert both.program.run("ls", "-R", *words).out.splitlines()[-1].split() == ["3.0", "KiB", "in", "2", "files"]
    listed = both.program.run("ls", "-R", "--json", *words).json
    assert [(one["path"], one["size"]) for one in listed if one["type"] == "file"] == [("b", 1024), ("d/a", 2048)]
    empty = both.program.run("ls", f"{both.destination}/nothing", *both.where)
    assert (empty.code, empty.out.split()) == (0, ["0", "B", "in", "0", "files"])
