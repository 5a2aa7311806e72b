"""The log and the bar: what is written when, in which form, and that no secret and no control character is."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from syncd.core.model import Create, JobReport, Kind, LocalEntry, Problem
from syncd.ports import Telemetry
from syncd.telemetry.console import Voice
from syncd.telemetry.log import DEBUG, ERROR, INFO, WARNING, is_json, level_of
from syncd.telemetry.streams import say

FILE = Create("d/a", "new", LocalEntry(b"d\x00a", Kind.FILE, 100, 1, 1, 1))
Output = pytest.CaptureFixture[str]


def events(capsys: Output) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for line in lines:
        assert str(line.pop("timestamp")).endswith("Z")
    return lines


def tell_everything(job: Telemetry) -> None:
    job.planned([FILE])
    job.sent(100)
    job.done(FILE)
    job.notice("noticed")
    job.warning("warned")
    job.failed(Problem("x", "create", "403"))


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (DEBUG, ["create", "noticed", "warned", "create failed"]),
        (INFO, ["noticed", "warned", "create failed"]),
        (WARNING, ["warned", "create failed"]),
        (ERROR, ["create failed"]),
    ],
)
def test_what_is_told_at_which_level(capsys: Output, level: int, told: list[str]) -> None:
    with Voice(level=level, as_json=True, progress=True) as voice:
        tell_everything(voice.job("assets"))
    lines = events(capsys)
    assert [line["event"] for line in lines] == told
    assert {line["job"] for line in lines} == {"assets"}


def test_a_line_for_people(capsys: Output) -> None:
    with Voice(level=DEBUG, as_json=False, progress=True) as voice:
        tell_everything(voice.job("assets"))
        voice.job("").notice("alone", path="with space", empty="")
    lines = [line.partition(" ") for line in capsys.readouterr().err.splitlines()]
    assert all(len(time) == len("12:03:04") and time[2] == ":" for time, _, _ in lines)
    assert [line for _, _, line in lines] == [
        "debug assets: create path=d/a size=100 reason=new",
        "assets: noticed",
        "warning assets: warned",
        "error assets: create failed path=x error=403",
        'alone path="with space" empty=""',
    ]


def test_control_characters_are_escaped_in_either_form(capsys: Output) -> None:
    for as_json in (False, True):
        with Voice(level=INFO, as_json=as_json, progress=False) as voice:
            voice.job("a\n").warning("odd\x1b", path="x\ny\u202e\udcff")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isprintable()
        assert line.isascii()
        assert "\\u202e" in line
        assert "\\xff" in line


def test_secrets_are_not_logged(capsys: Output) -> None:
    for as_json in (False, True):
        with Voice(level=DEBUG, as_json=as_json, progress=False) as voice:
            voice.job("a").notice(
                "sent", token="hush", Authorization="hush", api_token="hush", header="Authorization: Bearer hush.hush"
            )
        line = capsys.readouterr().err
        assert "hush" not in line
        assert "Bearer ********" in line


def test_every_failure_is_named_once(capsys: Output) -> None:
    told, untold = Problem("x", "create", "403"), Problem("y", "create", "no such name")
    with Voice(level=ERROR, as_json=True, progress=False) as voice:
        job = voice.job("a")
        job.failed(told)
        job.finished(JobReport("a", failed=[told, untold]))
    assert [line["path"] for line in events(capsys)] == ["x", "y"]


class TestSummary:
    def test_is_an_event_in_a_json_log(self, capsys: Output) -> None:
        with Voice(level=INFO, as_json=True, progress=False) as voice:
            voice.summarize(
                [JobReport("a", created=2), JobReport("b", exit=3, held=1), JobReport("c", exit=4, error="401")]
            )
        good, held, bad = events(capsys)
        assert (good["event"], good["level"], good["job"], good["created"]) == ("finished", "info", "a", 2)
        assert (held["level"], held["held"], held["exit"]) == ("warning", 1, 3)
        assert (bad["level"], bad["error"]) == ("error", "401")

    @pytest.mark.parametrize(("level", "jobs"), [(INFO, "ab"), (WARNING, "ab"), (ERROR, "b")])
    def test_ends_a_run_but_for_the_quietest(self, capsys: Output, level: int, jobs: str) -> None:
        with Voice(level=level, as_json=False, progress=False) as voice:
            voice.summarize([JobReport("a"), JobReport("b", exit=1)])
        assert "".join(line[0] for line in capsys.readouterr().err.splitlines()) == jobs


def test_levels_by_steps() -> None:
    assert [level_of("info", more) for more in (-9, -2, -1, 0, 1, 2)] == [ERROR, ERROR, WARNING, INFO, DEBUG, DEBUG]
    assert level_of("error", 1) == WARNING


def test_the_form_of_the_log_is_json_where_it_is_collected() -> None:
    assert not is_json("auto", {})
    assert is_json("auto", {"JOURNAL_STREAM": "8:1"})
    assert is_json("auto", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert is_json("json", {})
    assert not is_json("console", {"INVOCATION_ID": "x"})


class TestBar:
    @pytest.fixture(autouse=True)
    def plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("NO_COLOR", "1")

    def test_counts_what_is_planned_sent_and_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with terminal(monkeypatch) as shown, Voice(level=INFO, as_json=False, progress=True) as voice:
            job = voice.job("assets")
            job.planned([FILE, FILE])
            job.sent(100)
            job.done(FILE)
            job.failed(Problem("x", "create", "403"))
            job.planned([FILE])
            job.warning("above the bar", path="[red]x[/red]")
            voice.close()
            say("the end")
            text = shown("the end")
        assert "assets" in text
        assert "2/3 files, 1 failed, 100 B/300 B" in text
        assert "warning assets: above the bar path=[red]x[/red]" in text

    def test_ends_with_the_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with terminal(monkeypatch) as shown, Voice(level=INFO, as_json=False, progress=True) as voice:
            job = voice.job("assets")
            job.finished(JobReport("assets"))
            assert "assets" in shown("comparing")
            tell_everything(job)
            voice.close()
            say("the end")
            assert "files" not in shown("the end")

    def test_a_terminal_that_went_away_stops_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = Gone()
        monkeypatch.setattr(sys, "stderr", stream)
        with Voice(level=INFO, as_json=False, progress=True) as voice:
            tell_everything(voice.job("assets"))
        assert stream.asked


class Gone(io.StringIO):
    """A terminal whose other side was closed."""

    asked = False

    def isatty(self) -> bool:
        return True

    def write(self, _text: str, /) -> int:
        self.asked = True
        raise BrokenPipeError


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Make standard error a terminal; what it gives returns what is shown there up to a text, waiting for that."""
    leader, follower = pty.openpty()

    def shown(until: str) -> str:
        text = b""
        while until.encode() not in text:
            assert select.select([leader], [], [], 30)[0], f"{until!r} never came after {text!r}"
            text += os.read(leader, 1 << 16)
        return text.decode()

    with os.fdopen(follower, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield shown
    os.close(leader)
