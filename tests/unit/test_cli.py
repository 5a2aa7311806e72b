"""Arguments to specs and exit codes: what the command line understands, refuses, and hands on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncd import __version__
from syncd.app import daemon, once, visits
from syncd.cli import COMMANDS, run
from syncd.core.model import DeleteMode, JobReport, Kind, Problem, RemoteEntry, Status
from syncd.core.plan import Plan
from syncd.errors import (
    ConfigurationError,
    JobLocked,
    RemoteDead,
    SourceForeign,
    SourceMissing,
    StateError,
    SyncdError,
    Unauthorized,
)
from syncd.ports import Telemetry
from syncd.settings import JobSpec, RemoteSpec
from tests.settings_support import MINIMAL, bare_environment

Output = pytest.CaptureFixture[str]


@dataclass
class Seen:
    """What the command line handed to the application, and what that answers."""

    specs: list[JobSpec] = field(default_factory=list)
    state_dir: Path | None = None
    call: str = ""
    listed: tuple[RemoteSpec, str, bool] | None = None
    reports: list[JobReport] = field(default_factory=lambda: [JobReport("assets")])
    error: BaseException | None = None


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The application replaced by one that only remembers what it was asked."""
    seen = Seen()

    def remember(call: str, specs: Sequence[JobSpec], state_dir: Path, telemetry: Callable[[str], Telemetry]) -> None:
        seen.call, seen.specs, seen.state_dir = call, list(specs), state_dir
        for spec in specs:
            telemetry(spec.name).notice("begun")
        if seen.error is not None:
            raise seen.error

    def synchronize(specs: Sequence[JobSpec], **given: Any) -> list[JobReport]:
        remember("synchronize", specs, **given)
        return seen.reports

    def run_daemon(
        load: Callable[[], list[JobSpec]],
        *,
        state_dir: Path,
        telemetry: Callable[[str], Telemetry],
        said: Callable[[str], None],
        listen: str,
    ) -> int:
        remember("run_daemon", load(), state_dir, telemetry)
        said(f"listening on {listen}")
        return 0

    def preview(specs: Sequence[JobSpec], **given: Any) -> list[tuple[JobReport, Plan]]:
        remember("preview", specs, **given)
        return [(report, Plan()) for report in seen.reports]

    def list_destination(remote: RemoteSpec, directory: str, *, recursive: bool, state_dir: Path) -> list[RemoteEntry]:
        seen.listed, seen.state_dir = (remote, directory, recursive), state_dir
        entry = RemoteEntry(b"d\x00\xff\x1b", Kind.FILE, 3, "0" * 32, "id1", Status.COMPLETED, "2026-01-01T00:00:00Z")
        gone = entry._replace(key=b"gone", status=Status.LEAVING)
        return [entry._replace(key=b"d", kind=Kind.DIRECTORY, size=0, checksum=None), entry, gone]

    monkeypatch.setattr(once, "synchronize", synchronize)
    monkeypatch.setattr(once, "preview", preview)
    monkeypatch.setattr(daemon, "run_daemon", run_daemon)
    monkeypatch.setattr(visits, "list_destination", list_destination)
    return seen


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)
    monkeypatch.setenv("SYNCD_TOKEN", "t")
    Path("syncd.toml").write_text(MINIMAL)


class TestWords:
    @pytest.mark.parametrize(
        ("line", "call"),
        [
            ("", "run_daemon"),
            ("--delete mirror", "run_daemon"),
            ("--once", "synchronize"),
            ("--once assets", "synchronize"),
            ("assets --once", "synchronize"),
            ("plan", "preview"),
            ("plan assets", "preview"),
            ("--dry-run", "preview"),
            ("--once --dry-run assets", "preview"),
            ("assets --dry-run", "preview"),
        ],
    )
    def test_jobs(self, seen: Seen, line: str, call: str) -> None:
        assert run(line.split()) == 0
        assert (seen.call, [spec.name for spec in seen.specs]) == (call, ["assets"])

    @pytest.mark.parametrize(
        ("line", "call"),
        [
            ("src sandbox:/x", "run_daemon"),
            ("--once src sandbox:/x", "synchronize"),
            ("--once src prod:/x", "synchronize"),
            ("src --once prod:/x", "synchronize"),
            ("plan src prod:/x", "preview"),
            ("src prod:/x --dry-run", "preview"),
        ],
    )
    def test_a_pair(self, seen: Seen, line: str, call: str) -> None:
        assert run(line.split()) == 0
        assert (seen.call, [(spec.name, spec.directory) for spec in seen.specs]) == (call, [("src", "x")])

    def test_a_source_that_is_called_as_a_command_or_an_option(self, seen: Seen) -> None:
        assert run(["./plan", "prod:/x"]) == 0
        assert seen.specs[0].source == Path.cwd() / "plan"
        assert run(["--once", "--", "-src", "prod:/x"]) == 0
        assert seen.specs[0].source == Path.cwd() / "-src"
        assert run(["--", "plan", "prod:/x"]) == 0
        assert (seen.call, seen.specs[0].name) == ("run_daemon", "plan")

    @pytest.mark.parametrize(
        "line",
        [
            "--delete mirror --workers 2 --state-dir here plan assets",
            "plan --delete mirror --workers 2 --state-dir here assets",
            "plan assets --delete mirror --workers 2 --state-dir here",
            "--delete=mirror plan --workers=2 assets --state-dir=here",
        ],
    )
    def test_options_stand_anywhere(self, seen: Seen, line: str) -> None:
        assert run(line.split()) == 0
        (spec,) = seen.specs
        assert (spec.delete, spec.workers, seen.state_dir) == (DeleteMode.MIRROR, 2, Path.cwd() / "here")

    def test_every_option_of_a_run_arrives(self, seen: Seen, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("t-file")
        line = "--once --max-delete 7 --include a --include b --exclude c --checksum --accept-source --no-progress -q"
        more = ["--token-file", str(token), "--api-url", "http://127.0.0.1:1", "--log-format", "json"]
        assert run([*line.split(), *more]) == 0
        (spec,) = seen.specs
        assert (spec.max_delete.count, spec.include, spec.exclude) == (7, ("a", "b"), ("c",))
        assert (spec.verify_checksums, spec.accept_source) == (True, True)
        assert spec.remote.api_url == "http://127.0.0.1:1"
        assert spec.remote.token is not None
        assert spec.remote.token() == "t-file"

    def test_a_configuration_elsewhere(self, seen: Seen, tmp_path: Path) -> None:
        other = tmp_path / "other.toml"
        other.write_text(MINIMAL.replace("assets", "others"))
        assert run(["--config", str(other), "--once"]) == 0
        assert seen.specs[0].name == "others"

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("--json", "say --once"),
            ("assets", "say `syncd --once assets`"),
            ("asset", "asset: neither a command nor a job (did you mean assets?)"),
            ("--once nothing", "nothing: neither a command nor a job (known: assets)"),
            ("--once a b c:/d", "SOURCE DESTINATION"),
            ("plan --onse", "No such option '--onse'"),
            ("--workers 0 --once", "--workers"),
            ("--workers many --once", "--workers"),
            ("--delete all --once", "--delete"),
            ("--max-delete 1x --once", "jobs.assets.max_delete = '1x' (--max-delete)"),
            ("--config missing.toml --once", "missing.toml: cannot be read"),
            ("ls", "Missing argument"),
            ("ls prod", "a destination must be"),
            ("ls prod:/a prod:/b", "unexpected extra argument"),
        ],
    )
    def test_what_is_not_understood_is_exit_2_and_does_nothing(
        self, seen: Seen, capsys: Output, line: str, said: str
    ) -> None:
        assert run(line.split()) == 2
        assert said in capsys.readouterr().err.replace("No such option:", "No such option")
        assert (seen.call, seen.listed) == ("", None)


class TestExits:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ConfigurationError("x"), 2),
            (StateError("x"), 2),
            (Unauthorized("x"), 4),
            (RemoteDead("x"), 5),
            (JobLocked("x"), 6),
            (SourceMissing("x"), 7),
            (SourceForeign("x"), 7),
        ],
    )
    def test_of_an_error(self, seen: Seen, capsys: Output, error: SyncdError, code: int) -> None:
        seen.error = error
        assert run(["--once"]) == code
        assert capsys.readouterr().err.endswith("syncd: x\n")

    def test_of_several_jobs(self, seen: Seen) -> None:
        seen.reports = [JobReport("a", exit=3), JobReport("b", exit=4), JobReport("c")]
        assert run(["--once"]) == 4
        assert run(["plan"]) == 4

    def test_with_json_there_is_always_an_object(self, seen: Seen, capsys: Output) -> None:
        seen.error = Unauthorized("refused")
        assert run(["--once", "--json"]) == 4
        assert json.loads(capsys.readouterr().out) == {"version": 1, "ok": False, "exit": 4, "jobs": []}

    def test_of_an_interruption(self, seen: Seen, capsys: Output) -> None:
        seen.error = KeyboardInterrupt()
        assert run(["--once"]) == 130
        assert "Traceback" not in capsys.readouterr().err

    def test_of_what_nobody_foresaw(self, seen: Seen, capsys: Output) -> None:
        seen.error = RuntimeError("odd\x1b[31m")
        assert run(["--once"]) == 1
        said = capsys.readouterr().err
        assert said.endswith("syncd: internal error: RuntimeError: odd\\x1b[31m (-v -v shows where)\n")
        assert "Traceback" not in said
        for more in (["-vv"], ["-v", "-v"], ["--verbose", "-v"]):
            assert run([*more, "--once"]) == 1
            assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("seen")
class TestOutput:
    def test_the_report_goes_to_standard_output_and_the_rest_does_not(self, capsys: Output) -> None:
        assert run(["--once", "--json"]) == 0
        output = capsys.readouterr()
        assert json.loads(output.out)["jobs"][0]["job"] == "assets"
        assert "assets: begun" in output.err
        assert "assets: 0 created" in output.err
        assert run(["--once"]) == 0
        assert capsys.readouterr().out == ""

    def test_a_plan_as_json_says_the_rest_on_standard_error(self, seen: Seen, capsys: Output) -> None:
        seen.reports = [JobReport("assets", exit=1, failed=[Problem("x\n", "create", "no such name")])]
        assert run(["plan", "--json"]) == 1
        output = capsys.readouterr()
        assert json.loads(output.out) == {
            "version": 1,
            "jobs": [{"job": "assets", "actions": [], "held": 0, "extra": 0}],
        }
        assert "assets: 1 failed: x\\n (no such name)\n" in output.err

    def test_the_log_follows_its_settings(self, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_LOG__FORMAT", "json")
        assert run(["--once"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["event"] for line in lines] == ["begun", "finished"]
        assert run(["--once", "--log-format", "console", "-q"]) == 0
        assert capsys.readouterr().err.startswith("assets: 0 created")

    def test_a_listing(self, seen: Seen, capsys: Output) -> None:
        assert run(["ls", "prod:/x/", "-R", "--json"]) == 0
        assert seen.listed is not None
        assert (seen.listed[0].name, *seen.listed[1:]) == ("prod", "x", True)
        directory, file = json.loads(capsys.readouterr().out)
        assert (directory["path"], directory["type"], directory["checksum"]) == ("d", "directory", None)
        assert file == {
            "path": "d/\\xff\x1b",
            "type": "file",
            "size": 3,
            "modified": "2026-01-01T00:00:00Z",
            "checksum": "0" * 32,
            "id": "id1",
        }
        assert run(["--json", "ls", "prod:/x"]) == 0
        assert seen.listed[2] is False
        capsys.readouterr()
        assert run(["ls", "losant://575/x"]) == 0
        assert (
            capsys.readouterr()
            .out.splitlines()[1]
            .endswith("3 B  2026-01-01T00:00:00Z      " + "0" * 32 + "  d/\\xff\\x1b")
        )

    def test_the_configuration(self, capsys: Output) -> None:
        assert run(["config"]) == 0
        output = capsys.readouterr().out
        assert 'source = "/srv/assets"' in output
        assert run(["config", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["settings"]["remotes.prod.kind"]["value"] == "losant"
        Path("syncd.toml").write_text("[jobs.a]\nsuorce = 1")
        assert run(["config"]) == 2
        output = capsys.readouterr().err
        assert "syncd: jobs.a.suorce (syncd.toml): unknown key (did you mean source?)\n" in output


class TestHelp:
    @pytest.mark.parametrize("words", [["--help"], ["-h"], ["plan", "--help"], ["--help", "plan"], ["ls", "-h"]])
    def test_is_there_for_every_command(self, capsys: Output, words: list[str]) -> None:
        assert run(words) == 0
        assert capsys.readouterr().out.startswith("Usage: syncd")

    def test_the_version(self, capsys: Output) -> None:
        assert run(["--version"]) == 0
        assert capsys.readouterr().out == f"syncd {__version__}\n"

    @pytest.mark.parametrize("command", [None, *COMMANDS])
    def test_every_command_shows_how_it_is_used(self, command: str | None, capsys: Output) -> None:
        assert run([*([command] if command else []), "--help"]) == 0
        assert "Examples:" in capsys.readouterr().out

    @pytest.mark.parametrize("word", ["--help", "--version"])
    def test_is_quick(self, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        heavy = {"pydantic", "structlog", "rich", "aiohttp", "asyncio", "sqlite3", "syncd.app", "syncd.settings"}
        script = f"import sys; from syncd.cli import run; run(['{word}']); print({heavy!r} & set(sys.modules))"
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert answer.stdout.endswith("set()\n")
