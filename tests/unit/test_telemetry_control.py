"""The control socket from both ends: what the commands ask, get and end with; who may connect; what is bounded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.cli import control as client_end
from syncd.cli import run
from syncd.core.model import Waited
from syncd.errors import JobLocked
from syncd.telemetry import control, wire
from syncd.telemetry.control import ControlServer
from syncd.telemetry.overview import status_data
from tests.daemon_support import FakeDaemon, until
from tests.settings_support import bare_environment

Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bare_environment(tmp_path, monkeypatch)
    monkeypatch.setenv("SYNCD_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def server(state_dir: Path, daemon: FakeDaemon) -> AsyncIterator[ControlServer]:
    async with ControlServer(state_dir, daemon) as server:
        yield server


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@contextmanager
def another_process(state_dir: Path) -> Iterator[None]:
    """A daemon's end in a process of its own that is killed in the end."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from syncd.telemetry.control import ControlServer\n"
        "from tests.daemon_support import FakeDaemon\n"
        "async def main():\n"
        "    async with ControlServer(pathlib.Path(sys.argv[1]), FakeDaemon()):\n"
        "        print('serving', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "serving\n"
            yield
        finally:
            other.send_signal(signal.SIGKILL)


async def syncd(line: str) -> int:
    """The command line, in a thread beside the daemon."""
    return await asyncio.to_thread(run, line.split())


async def spoken(state_dir: Path, request: bytes) -> bytes:
    """What the daemon's end answers to these bytes, to its end."""
    reader, writer = await asyncio.open_unix_connection(state_dir / wire.SOCKET_NAME)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.usefixtures("server")
class TestCommands:
    async def test_status(self, daemon: FakeDaemon, capsys: Output) -> None:
        assert await syncd("status --json") == 0
        assert json.loads(capsys.readouterr().out) == status_data(daemon.statuses)
        assert await syncd("status") == 0
        output = capsys.readouterr()
        assert output.out.splitlines()[0].startswith("JOB     STATE     QUEUED")
        assert "    gone/\\xff\\x1b[31m<b>\n" in output.out
        assert "\x1b" not in output.out
        assert output.err == ""

    @pytest.mark.parametrize(
        ("line", "asked", "said"),
        [
            ("rescan", ("rescan", None), "all jobs: full reconcile begun"),
            ("rescan assets", ("rescan", "assets"), "assets: full reconcile begun"),
            ("pause", ("pause", None), "all jobs: paused until `syncd resume` or a restart"),
            ("pause assets", ("pause", "assets"), "assets: paused until `syncd resume` or a restart"),
            ("resume", ("resume", None), "all jobs: resumed"),
            ("resume assets", ("resume", "assets"), "assets: resumed"),
            ("approve backup", ("approve", "backup"), "backup: 2 held deletions released"),
            ("approve assets", ("approve", "assets"), "assets: approved; no deletions were held"),
        ],
    )
    async def test_those_that_tell_the_daemon_something(
        self, daemon: FakeDaemon, capsys: Output, line: str, asked: tuple[str, ...], said: str
    ) -> None:
        assert await syncd(line) == 0
        assert await syncd(f"{line} -q") == 0
        assert daemon.asked == [asked, asked]
        output = capsys.readouterr()
        assert (output.out, output.err) == ("", said + "\n")

    @pytest.mark.parametrize(
        "line", ["approve asset", "rescan asset", "pause asset", "resume asset", "wait assets asset"]
    )
    async def test_a_job_that_is_not_there(self, daemon: FakeDaemon, capsys: Output, line: str) -> None:
        assert await syncd(line) == 2
        said = "syncd: asset: the running daemon has no such job (it has: assets, backup)\n"
        assert (daemon.asked, capsys.readouterr().err) == ([], said)

    @pytest.mark.parametrize(
        "line", ["approve", "pause a b", "wait --timeout -1", "wait --timeout nan", "wait --timeout x"]
    )
    async def test_what_is_not_understood(self, daemon: FakeDaemon, line: str) -> None:
        assert await syncd(line) == 2
        assert daemon.asked == []


@pytest.mark.usefixtures("server")
class TestWait:
    @pytest.mark.parametrize(
        ("waited", "code", "said"),
        [
            ((Waited.DONE, ""), 0, "everything changed until now is on the destination\n"),
            ((Waited.HELD, "backup: 2 deletions held"), 3, "syncd: backup: 2 deletions held\n"),
            ((Waited.STUCK, "assets is halted\x1b[31m"), 1, "syncd: assets is halted\\x1b[31m\n"),
        ],
    )
    async def test_ends_as_the_daemon_says(
        self, daemon: FakeDaemon, capsys: Output, waited: tuple[Waited, str], code: int, said: str
    ) -> None:
        daemon.waited = waited
        waiting = asyncio.create_task(syncd("wait assets backup"))
        await until(lambda: daemon.asked == [("wait", "assets", "backup")])
        assert not waiting.done()
        daemon.done.set()
        assert await waiting == code
        assert capsys.readouterr().err == said

    async def test_has_no_limit_of_its_own(self, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_end, "_ANSWER_TIMEOUT_S", 0.05)
        waiting = asyncio.create_task(syncd("wait"))
        await until(lambda: daemon.asked == [("wait",)])
        await asyncio.sleep(0.2)
        daemon.done.set()
        assert await waiting == 0

    async def test_gives_up_in_time_and_says_what_is_left(self, daemon: FakeDaemon, capsys: Output) -> None:
        assert await syncd("wait backup --timeout 0.2") == 1
        said = "syncd: not done after 0.2 s: backup is syncing with 3 queued and 2 in flight\n"
        assert capsys.readouterr().err == said
        await until(lambda: daemon.abandoned == 1)

    async def test_many_wait_and_others_are_answered_meanwhile(self, daemon: FakeDaemon) -> None:
        waiting = [asyncio.create_task(syncd("wait")) for _ in range(5)]
        await until(lambda: len(daemon.asked) == 5)
        assert await syncd("status --json") == 0
        daemon.done.set()
        assert await asyncio.gather(*waiting) == [0] * 5


class TestServer:
    @pytest.mark.usefixtures("server")
    @pytest.mark.parametrize(
        "request_",
        [
            b"\n",
            b"{}\n",
            b"[]\n",
            b"not json\n",
            b"\xff\n",
            b'{"command": "quit"}\n',
            b'{"command": ["status"]}\n',
            b'{"command": "pause", "job": 7}\n',
            b'{"command": "approve"}\n',
            b'{"command": "wait", "jobs": "assets"}\n',
            b'{"command": "wait", "jobs": [7]}\n',
            b'{"command": "status", "padding": "' + b"x" * wire.REQUEST_LIMIT_BYTES + b'"}\n',
            b"[" * 20_000 + b"\n",
        ],
    )
    async def test_refuses_what_is_no_request(self, state_dir: Path, daemon: FakeDaemon, request_: bytes) -> None:
        answer = wire.decode(await spoken(state_dir, request_))
        assert (answer["exit"], bool(answer["text"]), daemon.asked) == (2, True, [])
        assert wire.decode(await spoken(state_dir, b'{"command": "status"}\n'))["exit"] == 0

    @pytest.mark.usefixtures("server")
    def test_is_for_its_owner_only(self, state_dir: Path) -> None:
        mode = (state_dir / wire.SOCKET_NAME).stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700

    @pytest.mark.usefixtures("server")
    async def test_hangs_up_on_who_says_nothing(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control, "_PATIENCE_S", 0.05)
        assert await spoken(state_dir, b'{"command":') == b""

    @pytest.mark.usefixtures("server")
    async def test_takes_so_many_and_no_more(
        self, state_dir: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setattr(control, "_CLIENTS_AT_MOST", 2)
        waiting = [asyncio.create_task(spoken(state_dir, b'{"command": "wait"}\n')) for _ in range(2)]
        await until(lambda: len(daemon.asked) == 2)
        for line in ("status", "wait", "pause"):
            assert await syncd(line) == 1
        assert capsys.readouterr().err == "syncd: 2 others are connected already: try again later\n" * 3
        daemon.done.set()
        assert [wire.decode(line)["exit"] for line in await asyncio.gather(*waiting)] == [0, 0]
        assert wire.decode(await spoken(state_dir, b'{"command": "status"}\n'))["exit"] == 0

    async def test_ending_ends_those_that_wait(
        self, state_dir: Path, daemon: FakeDaemon, capsys: Output, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ControlServer(state_dir, daemon):
            waiting = asyncio.create_task(syncd("wait"))
            await until(lambda: daemon.asked == [("wait",)])
        assert await waiting == 1
        assert capsys.readouterr().err == "syncd: the running syncd ended before it answered\n"
        assert (daemon.abandoned, caplog.records) == (1, [])
        assert names_in(state_dir) == []

    async def test_a_second_one_is_refused_and_the_first_goes_on(self, state_dir: Path, daemon: FakeDaemon) -> None:
        async with ControlServer(state_dir, daemon):
            with pytest.raises(JobLocked, match="another syncd is already running with the state directory"):
                async with ControlServer(state_dir, daemon):
                    pass
            assert await syncd("status --json") == 0
        async with ControlServer(state_dir, daemon):
            assert await syncd("status --json") == 0

    async def test_the_socket_of_one_that_was_killed_is_replaced(self, state_dir: Path, daemon: FakeDaemon) -> None:
        with another_process(state_dir), pytest.raises(JobLocked):
            await ControlServer(state_dir, daemon).__aenter__()
        assert (state_dir / wire.SOCKET_NAME).exists()
        assert await syncd("status") == 1
        async with ControlServer(state_dir, daemon):
            assert await syncd("status --json") == 0

    async def test_a_path_longer_than_an_address_can_be(self, tmp_path: Path, daemon: FakeDaemon) -> None:
        deep = tmp_path / ("d" * 200) / ("e" * 200)
        async with ControlServer(deep, daemon):
            assert (deep / wire.SOCKET_NAME).is_socket()
            assert await syncd(f"pause --state-dir {deep}") == 0
        assert daemon.asked == [("pause", None)]
        assert names_in(deep) == []

    async def test_what_is_in_the_way_of_the_socket_is_told(self, state_dir: Path, daemon: FakeDaemon) -> None:
        (state_dir / wire.SOCKET_NAME).mkdir(parents=True)
        with pytest.raises(OSError, match=wire.SOCKET_NAME):
            await ControlServer(state_dir, daemon).__aenter__()
        (state_dir / wire.SOCKET_NAME).rmdir()
        async with ControlServer(state_dir, daemon):
            assert await syncd("status --json") == 0


class TestWithoutADaemon:
    @pytest.mark.parametrize("line", ["status", "status --json", "wait", "approve assets", "rescan", "pause", "resume"])
    def test_it_is_said_with_the_place(self, state_dir: Path, capsys: Output, line: str) -> None:
        for _ in range(2):
            assert run(line.split()) == 1
            output = capsys.readouterr()
            assert output.err.startswith(f"syncd: no syncd is running with the state directory '{state_dir}' ")
            assert output.out == ""
            state_dir.mkdir(exist_ok=True)

    def test_one_that_does_not_answer(self, state_dir: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_end, "_ANSWER_TIMEOUT_S", 0.1)
        state_dir.mkdir()
        with socket.socket(socket.AF_UNIX) as stopped:
            stopped.bind(str(state_dir / wire.SOCKET_NAME))
            stopped.listen()
            assert run(["status"]) == 1
            assert run(["wait", "--timeout", "0.1"]) == 1
        said = "syncd: the running syncd does not answer within 0.1 s\n"
        assert capsys.readouterr().err == said * 2

    def test_a_configuration_that_is_broken_is_not_needed(self, tmp_path: Path, capsys: Output) -> None:
        Path("syncd.toml").write_text("nonsense =")
        assert run(["status"]) == 2
        assert run(["status", "--state-dir", str(tmp_path)]) == 1
        assert "no syncd is running" in capsys.readouterr().err

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may connect to everything")
    def test_one_of_somebody_else(self, state_dir: Path, capsys: Output) -> None:
        state_dir.mkdir()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(state_dir / wire.SOCKET_NAME))
            other.listen()
            (state_dir / wire.SOCKET_NAME).chmod(0)
            assert run(["status"]) == 1
        assert "Permission denied" in capsys.readouterr().err
