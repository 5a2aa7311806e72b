"""The program as it is run: real processes against the embedded sandbox, with streams closed, full and gone."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from syncd.sandbox import APPLICATION_ID, TOKEN
from tests.settings_support import bare_environment

SYNCD = [sys.executable, "-m", "syncd"]
ROOT = Path(__file__).parents[2]
COLOUR = re.compile(rb"\x1b\[\d+(;\d+)*m")


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    source = Path("src")
    source.mkdir()
    (source / "a.txt").write_text("a")
    (source / "b\x1b[31m").write_text("b")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    script = line.replace("syncd ", f"{shlex.join(SYNCD)} ")
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)


def on_terminal(*arguments: str) -> tuple[int, bytes]:
    """Run with all three streams on a terminal; returns the exit code and what the terminal showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([*SYNCD, *arguments], stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while block := os.read(leader, 65536):
            shown += block
    except OSError:  # Linux says EIO when the other side is closed
        pass
    os.close(leader)
    return process.wait(timeout=60), shown


def listed() -> list[str]:
    answer = shell("syncd ls sandbox:/x --json")
    return [entry["path"] for entry in json.loads(answer.stdout)]


def test_a_run_a_second_run_and_a_listing() -> None:
    first = shell("syncd --once src sandbox:/x --json")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert (report["ok"], report["jobs"][0]["created"], report["jobs"][0]["job"]) == (True, 2, "src")
    assert "src: 2 created" in first.stderr
    assert json.loads(shell("syncd --once src sandbox:/x --json").stdout)["jobs"][0]["unchanged"] == 2
    assert listed() == ["a.txt", "b\x1b[31m"]


@pytest.mark.parametrize(
    ("words", "loading", "number", "code"),
    [
        ("--once src sandbox:/x --json", "click", signal.SIGINT, -signal.SIGINT),
        ("--once src sandbox:/x --json", "pydantic", signal.SIGINT, 130),
        ("--once src sandbox:/x --json", "pydantic", signal.SIGTERM, 143),
        ("--once src sandbox:/x --json", "aiohttp", signal.SIGTERM, 143),
        ("src sandbox:/x", "pydantic", signal.SIGTERM, 0),
    ],
)
def test_a_signal_while_it_is_still_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, loading: str, number: signal.Signals, code: int
) -> None:
    """Never a traceback, and the report that was asked for as soon as there can be one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job begins with it ignored
        "class Signal:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {loading!r}:\n"
        f"            signal.raise_signal({int(number)})\n"
        "sys.meta_path.insert(0, Signal())\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    answer = subprocess.run([*SYNCD, *words.split()], capture_output=True, text=True, timeout=60)
    assert answer.returncode == code
    assert "Traceback" not in answer.stderr
    if code > 0:
        assert json.loads(answer.stdout)["exit"] == code


def test_a_current_directory_that_was_removed_is_said() -> None:
    answer = shell("mkdir gone && cd gone && rmdir ../gone && syncd --once src sandbox:/x")
    assert answer.returncode == 2
    assert "the current directory was removed" in answer.stderr


def test_a_source_may_be_called_like_a_command() -> None:
    shell("cp -r src config")
    answer = shell("syncd --once config sandbox:/x --json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["jobs"][0]["created"] == 2
    planned = shell("syncd config sandbox:/y --dry-run --json")
    assert [action["path"] for action in json.loads(planned.stdout)["jobs"][0]["actions"]] == ["a.txt", "b\x1b[31m"]


@pytest.mark.parametrize(
    "line",
    [
        "syncd --once src sandbox:/x -v --json >&-",
        "syncd --once src sandbox:/x -v --json 2>&-",
        "syncd --once src sandbox:/x -v --json 0<&- >&- 2>&-",
        "syncd --once src sandbox:/x -v 2>/dev/full",
        "syncd --once src sandbox:/x -v --log-format json 2>/dev/full",
        "set -o pipefail; syncd --once src sandbox:/x -v --json | true",
        "set -o pipefail; syncd --once src sandbox:/x -v 2>&1 >/dev/null | true",
    ],
)
def test_streams_that_are_closed_full_or_gone_stop_nothing(line: str) -> None:
    answer = shell(line)
    assert answer.returncode == 0
    assert "Traceback" not in answer.stderr
    assert "Exception" not in answer.stderr
    assert len(listed()) == 2


def test_a_result_that_cannot_be_written_is_a_failure_of_the_command_not_of_the_sync() -> None:
    answer = shell("syncd --once src sandbox:/x --json >/dev/full")
    assert (answer.returncode, "cannot write the result: No space left" in answer.stderr) == (1, True)
    assert len(listed()) == 2


def test_output_survives_an_encoding_that_cannot_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (Path("src") / "ü").write_text("u")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    answer = shell("syncd plan src sandbox:/x")
    assert answer.returncode == 0
    assert "\\xfc" in answer.stdout


class TestTerminal:
    def test_shows_a_bar_then_the_summary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm-256color")
        code, shown = on_terminal("--once", "src", "sandbox:/x")
        assert code == 0
        assert b"comparing" in shown or b"files" in shown
        assert b"src: 2 created" in shown.splitlines()[-1]

    @pytest.mark.parametrize(
        ("term", "option"),
        [("xterm", "--no-progress"), ("dumb", "-v"), ("xterm", "-q"), ("xterm", "--log-format=json")],
    )
    def test_shows_none_where_it_is_not_wanted(self, monkeypatch: pytest.MonkeyPatch, term: str, option: str) -> None:
        monkeypatch.setenv("TERM", term)
        code, shown = on_terminal("--once", "src", "sandbox:/x", option)
        assert (code, b"comparing" in shown, b"\x1b[?25l" in shown) == (0, False, False)

    def test_has_colours_unless_there_are_to_be_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        assert COLOUR.search(on_terminal("plan", "src", "sandbox:/x", "--no-progress")[1])
        monkeypatch.setenv("NO_COLOR", "1")
        assert not COLOUR.search(on_terminal("plan", "src", "sandbox:/x")[1])

    def test_is_not_steered_by_a_file_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        shown = on_terminal("--once", "src", "sandbox:/x", "-v")[1] + on_terminal("ls", "sandbox:/x")[1]
        assert b"b\\x1b[31m" in shown
        assert b"b\x1b[31m" not in shown


@pytest.mark.parametrize("in_background", [False, True], ids=["foreground", "background"])
def test_the_sandbox_says_how_it_is_used_and_ends_when_told(in_background: bool) -> None:
    """A shell's background job begins with SIGINT ignored."""
    command = [*SYNCD, "sandbox", "--listen", "127.0.0.1:0", "--data", "data"]
    begun = partial(signal.signal, signal.SIGINT, signal.SIG_IGN) if in_background else None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=begun) as sandbox:
        try:
            assert sandbox.stdout is not None
            told = dict(sandbox.stdout.readline().rstrip("\n").split(": ", 1) for _ in range(5))
            assert (told["application id"], told["token"], told["data"]) == (APPLICATION_ID, TOKEN, "data")
            line = told["try"].replace("SOURCE", "src").removeprefix(f"SYNCD_TOKEN={TOKEN} ")
            answer = shell(f"SYNCD_TOKEN={TOKEN} {line} --json")
            assert json.loads(answer.stdout)["jobs"][0]["created"] == 2
            wrong = shell(f"SYNCD_TOKEN=wrong {line}")
            assert wrong.returncode == 4
        finally:
            sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(timeout=30) == 0


@pytest.mark.parametrize("words", [["--listen", "nowhere"], ["--knob", "nonsense=1"], ["--knob", "latency_s"]])
def test_a_sandbox_that_cannot_be_is_exit_2(words: list[str]) -> None:
    answer = shell(f"syncd sandbox --data data {shlex.join(words)}")
    assert answer.returncode == 2
    assert answer.stderr.startswith("syncd: ")
