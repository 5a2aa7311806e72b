"""SIGKILL in the middle of a run, then a run to the end: the same result, and nothing twice."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair, ended

FILES = 40


def fill(pair: Pair) -> None:
    for number in range(FILES):
        pair.write(f"d{number % 4}/{number}.txt", f"content {number}" * (1 + number * 100))
    (pair.source / "empty").mkdir()


def change(pair: Pair) -> None:
    """A change of every kind."""
    (pair.source / "d0").rename(pair.source / "moved")
    pair.write("moved/0.txt", "edited in the moved directory")
    for number in (1, 5, 9):
        pair.write(f"d1/{number}.txt", f"edited {number}")
    (pair.source / "d1/13.txt").rename(pair.source / "13.txt")
    shutil.rmtree(pair.source / "d2")
    pair.write("new/file.txt", "new")
    (pair.source / "empty").rmdir()


def killed_when(pair: Pair, condition: Callable[[], object]) -> None:
    """A run that is killed as soon as the condition holds; it may have come to its end before."""
    process = pair.start()
    pair.server.until(lambda: condition() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    ended(process, as_json=True)
    pair.an_hour_later()


def requests_beyond(pair: Pair, count: int) -> Callable[[], bool]:
    log = pair.server.sandbox.requests
    end = len(log) + count
    return lambda: len(log) >= end


def answered_beyond(pair: Pair, operation: str, count: int) -> Callable[[], bool]:
    log = pair.server.sandbox.requests
    before = sum(request.operation == operation for request in log)
    return lambda: sum(request.operation == operation for request in log) >= before + count


def uploads_needed(pair: Pair) -> int:
    """How many files of the source the destination does not hold in full."""
    held = {path: content for path, content in pair.remote().items() if content is not None}
    return sum(held.get(path) != content for path, content in pair.local().items() if content is not None)


def finish(pair: Pair) -> None:
    """A run to the end uploads only what was not complete."""
    pair.server.until(pair.server.sandbox.jobs_done)
    missing = uploads_needed(pair)
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes["form"] <= missing
    pair.assert_equal()


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_of_the_first_run(pair: Pair, seed: int) -> None:
    pair.server.turn(latency=0.005, latency_spread=0.01, completion_delay=0.03, seed=seed)
    fill(pair)
    points = random.Random(seed)
    for _ in range(2):
        killed_when(pair, requests_beyond(pair, points.randrange(1, FILES)))
    finish(pair)
    pair.assert_idle()


@pytest.mark.parametrize("operation", ["create", "form", "list", "get"])
def test_killed_right_after(pair: Pair, operation: str) -> None:
    """The answer was sent; whether it was recorded nobody knows."""
    pair.server.turn(latency=0.01, completion_delay=0.05)
    fill(pair)
    killed_when(pair, answered_beyond(pair, operation, 1))
    killed_when(pair, answered_beyond(pair, operation, 7))
    finish(pair)
    pair.assert_idle()


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_of_a_later_run(pair: Pair, seed: int) -> None:
    """With a directory move, replacements and deletions under way."""
    fill(pair)
    pair.mirrored()
    change(pair)
    pair.server.turn(latency=0.005, latency_spread=0.01, completion_delay=0.03, job_delay=0.1, seed=seed)
    points = random.Random(seed)
    for _ in range(2):
        killed_when(pair, requests_beyond(pair, points.randrange(1, 25)))
    finish(pair)
    pair.assert_idle()


@pytest.mark.parametrize("operation", ["move", "patch", "delete"])
def test_killed_right_after_a_change(pair: Pair, operation: str) -> None:
    fill(pair)
    pair.mirrored()
    change(pair)
    pair.server.turn(latency=0.01, completion_delay=0.05, job_delay=0.1)
    killed_when(pair, answered_beyond(pair, operation, 1))
    finish(pair)
    pair.assert_idle()


def test_run_again_at_once_while_the_listing_lags(pair: Pair) -> None:
    """What was being created when it was killed is looked for before it is created again."""
    pair.write("a", "content")
    pair.server.turn(listing_lag=3.0, faults=(Fault("create", "hang", seconds=60, when="after", count=1),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.records())
    process.kill()
    process.communicate()
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["create"] == 1


def test_killed_while_a_large_file_is_uploaded(pair: Pair) -> None:
    pair.write("large", b"x" * (30 * 2**20))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    process.kill()
    process.communicate()
    pair.an_hour_later()
    assert pair.remote() == {}
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["create"] == 1


def test_the_embedded_sandbox_survives_a_kill(pair: Pair) -> None:
    for number in range(300):
        pair.write(f"{number}.txt", f"content {number}")
    words: list[str | Path] = ["--once", pair.source, "sandbox:/copy", "--state-dir", pair.state, "--json"]
    process = pair.program.start(*words)
    data = pair.state / "sandbox"
    pair.server.until(lambda: process.poll() is not None or len(list(data.rglob("*"))) > 20)
    process.kill()
    process.communicate()
    pair.an_hour_later()
    run = pair.program.run(*words)
    assert run.code == 0, run
    assert pair.program.run(*words).counts() == {"unchanged": 300}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_is_in_flight_finish(pair: Pair, number: signal.Signals) -> None:
    pair.server.turn(latency=0.05, completion_delay=0.05)
    fill(pair)
    process = pair.start("--workers", "2")
    pair.server.until(answered_beyond(pair, "form", 4))
    process.send_signal(number)
    run = ended(process, as_json=True)
    assert run.code == 128 + number
    assert run.json["exit"] == 128 + number
    assert run.json["ok"] is False
    assert number.name in run.err
    done = run.job["created"]
    assert 4 <= done < FILES
    pair.server.until(pair.server.sandbox.jobs_done)
    assert len([path for path, content in pair.remote().items() if content is not None]) == done
    pair.assert_clean()
    finish(pair)
    pair.assert_idle()


def test_a_signal_while_nothing_is_in_flight(pair: Pair) -> None:
    """Looking and planning are abandoned at once."""
    fill(pair)
    pair.server.turn(latency=30.0)
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["list"])
    process.send_signal(signal.SIGTERM)
    run = ended(process, as_json=True)
    assert run.code == 143
    assert run.json["exit"] == 143


def test_a_second_signal_does_not_wait(pair: Pair) -> None:
    pair.write("a", "content")
    pair.server.turn(faults=(Fault("form", "hang", seconds=60),))
    process = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    process.wait(3)
    run = ended(process, as_json=True)
    pair.an_hour_later()
    assert run.code == 130
    assert run.json["exit"] == 130
    pair.server.turn()
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["create"] == 1


def test_a_drain_has_an_end(pair: Pair) -> None:
    """What does not finish within `drain` is abandoned."""
    pair.write("a", "content")
    (pair.program.home / "syncd.toml").write_text(
        f"""
        state_dir = "{pair.state}"
        [remotes.prod]
        kind = "losant"
        application_id = "5a9db0c5e1f4a20007c0ffee"
        api_url = "{pair.server.url}"
        [jobs.assets]
        source = "{pair.source}"
        destination = "prod:/dir"
        drain = "300ms"
        """
    )
    pair.server.turn(faults=(Fault("form", "hang", seconds=60, count=1),))
    process = pair.program.start("--once", "--json")
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    process.send_signal(signal.SIGTERM)
    process.wait(5)
    run = ended(process, as_json=True)
    assert run.code == 143
    pair.an_hour_later()
    assert pair.program.run("--once").code == 0
    pair.assert_equal()
    assert pair.server.counts()["create"] == 1


def test_a_signal_before_it_has_begun(pair: Pair) -> None:
    """While the program is still loading it just ends, as any program does; never with a traceback."""
    pair.write("a", "content")
    for delay_s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3):
        process = pair.start(cold=True)
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
        assert process.returncode in (0, 143, -signal.SIGTERM)
        assert b"Traceback" not in err
