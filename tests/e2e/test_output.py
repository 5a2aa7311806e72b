"""What goes to whom: standard output, standard error, a terminal, a log collector, a reader that went away."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import TOKEN, Pair, environment


@pytest.fixture
def eventful(pair: Pair) -> Pair:
    """A run that has something of everything to say."""
    for number in range(30):
        pair.write(f"{number}.txt", f"content {number}")
    pair.mirrored()
    for number in range(25):
        (pair.source / f"{number}.txt").unlink()
    pair.write("29.txt", "edited")
    pair.write("new.txt", "new")
    pair.write(os.fsdecode(b"bad\xff"), "bad")
    (pair.source / "link").symlink_to("new.txt")
    pair.plant("theirs")
    return pair


def test_with_json_standard_output_is_one_object(eventful: Pair) -> None:
    run = eventful.once("-v", "-v")
    assert run.code == 3
    assert len(run.out.splitlines()) == 1
    assert run.counts() == {"created": 1, "replaced": 1, "unchanged": 4, "held": 25, "extra": 1}
    assert set(run.failed()) == {"bad\\xff"}
    assert "create path=new.txt" in run.err


def test_without_json_standard_output_is_empty(eventful: Pair) -> None:
    run = eventful.program.run("--once", eventful.source, eventful.destination, *eventful.where)
    assert run.out == ""
    assert "1 created, 1 replaced, 0 moved, 0 deleted, 4 unchanged" in run.err
    for told in ("25 deletions", "bad\\xff", "skipped (1 symlink)", "not from here"):
        assert told in run.err
    assert "\x1b" not in run.err


def test_quiet(pair: Pair) -> None:
    pair.write("a")
    for words in (["-q", "-q"], ["-qq"]):
        run = pair.program.run("--once", pair.source, pair.destination, *pair.where, *words)
        assert (run.code, run.out, run.err) == (0, "", "")


def test_a_json_log_is_json_to_the_last_line(eventful: Pair) -> None:
    run = eventful.once("--log-format", "json", "-v")
    assert run.code == 3
    events = [json.loads(line) for line in run.err.splitlines()]
    assert all({"timestamp", "level", "event"} <= set(event) for event in events)
    assert events[-1]["event"] == "finished"
    assert events[-1]["held"] == 25


def test_json_by_itself_where_a_collector_reads(pair: Pair) -> None:
    pair.write("a")
    run = pair.once(env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert json.loads(run.err.splitlines()[-1])["event"] == "finished"


@contextmanager
def terminal() -> Iterator[tuple[int, bytearray]]:
    """The end of a terminal to give to a program, and what has been written to it."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        try:
            while block := os.read(ours, 65536):
                seen.extend(block)
        except OSError:
            return

    reader = Thread(target=read)
    reader.start()
    yield theirs, seen
    os.close(theirs)
    reader.join()
    os.close(ours)


@pytest.mark.parametrize("words", [[], ["--no-progress"]])
def test_a_bar_on_a_terminal_only(pair: Pair, words: list[str]) -> None:
    for number in range(200):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(latency=0.02)
    with terminal() as (theirs, seen):
        process = pair.start("--workers", "8", *words, stderr=theirs, env={"TERM": "xterm", "COLUMNS": "100"})
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["ok"] is True
    drawn = b"/200 files" in bytes(seen)
    assert drawn == (not words)
    assert b"200 created" in bytes(seen)


def test_a_reader_that_went_away(eventful: Pair) -> None:
    """`syncd plan | head -1`: no traceback, and a run still does its work."""
    for command in ("plan", "--once", "ls"):
        words = [eventful.source, eventful.destination] if command != "ls" else [eventful.destination]
        reading, writing = os.pipe()
        os.close(reading)
        process = eventful.program.start(command, *words, *eventful.where, "--json", stdout=writing)
        os.close(writing)
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err
        assert b"BrokenPipe" not in err
        assert process.returncode in (0, 3)
    assert eventful.remote()["new.txt"] == b"new"


@pytest.mark.parametrize(
    "closed", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"]
)
def test_streams_closed_or_full_do_not_stop_the_mirror(pair: Pair, closed: str) -> None:
    pair.write("a", "content")
    script = f'exec "$0" -m syncd --once "$@" --json {closed}'
    command = ["sh", "-c", script, sys.executable, *pair.words()]
    run = subprocess.run(
        command, cwd=pair.program.home, env=environment(pair.program.home), capture_output=True, timeout=60
    )
    assert run.returncode in (0, 1)
    assert b"Traceback" not in run.stderr + run.stdout
    pair.assert_equal()


@pytest.mark.parametrize("limit", [32, 40, 64])
def test_few_open_files_allowed(pair: Pair, limit: int) -> None:
    """Too many open files is no absence; fewer transfers at once, and all of it is done."""
    for number in range(150):
        pair.write(f"d{number % 7}/{number}", f"content {number}")
    pair.mirrored("--workers", "4")
    for number in range(150):
        pair.write(f"d{number % 7}/{number}", f"edited {number}")
    run = pair.once("--workers", "64", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    assert run.counts() == {"replaced": 150}
    pair.assert_equal()


def test_the_token_is_in_no_argument_and_no_variable_of_others(pair: Pair) -> None:
    """What `ps` shows to everybody is the command line."""
    pair.write("a")
    pair.server.turn(latency=0.5)
    process = pair.start(cold=True)
    pair.server.until(lambda: pair.server.sandbox.requests.counts["list"])
    assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.kill()
    process.communicate()


def test_a_token_said_back_by_the_remote_is_not_repeated(pair: Pair) -> None:
    pair.write("a")
    body = json.dumps({"type": "Invalid", "message": f"who is {TOKEN}?"})
    pair.server.turn(faults=(Fault("create", "status", status=400, body=body),))
    run = pair.once("-v", "-v")
    assert run.code == 1
    pair.server.turn(faults=(Fault("list", "status", status=401, body=body),))
    assert pair.once("-v", "-v").code == 4


def test_a_token_in_the_wrong_place_is_not_repeated(pair: Pair) -> None:
    file = pair.program.home / "syncd.toml"
    for text in (
        f'token = "{TOKEN}"',
        f'[remotes.prod]\nkind = "losant"\ntokn = "{TOKEN}"',
        f'[remotes]\nprod = "{TOKEN}"',
        f'[remotes.prod]\nkind = "losant"\ntoken = ["{TOKEN}"]',
        f'[remotes.prod]\nkind = "losant"\ntoken = "two {TOKEN} words"\napplication_id = "x"',
        f'[remotes.prod]\nkind = "losant"\napi_url = "https://user:{TOKEN}@example.com"',
    ):
        file.write_text(text)
        pair.program.run("config")
        assert pair.program.run("--once").code == 2


def test_no_more_transfers_at_once_than_workers(pair: Pair) -> None:
    for number in range(60):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(latency=0.02)
    pair.mirrored("--workers", "3")
    most = pair.server.call(lambda: dict(pair.server.sandbox.requests.most_in_flight))
    assert 2 <= most["form"] <= 3
    assert most["create"] <= 3
