"""The command line as the contract promises it, on the real program."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from syncd import __version__
from syncd.sandbox import APPLICATION_ID
from tests.e2e.program import TOKEN, Pair, Program, ended, until

REPORT_KEYS = [
    "job",
    "ok",
    "unchanged",
    "created",
    "replaced",
    "moved",
    "deleted",
    "directories",
    "bytes_uploaded",
    "held",
    "extra",
    "requests",
    "retries",
    "seconds",
    "skipped",
    "drifted",
    "failed",
]


def configured(pair: Pair, job: str = "", remote: str = "", top: str = "") -> Path:
    """A configuration of one job in the working directory."""
    file = pair.program.home / "syncd.toml"
    file.write_text(
        f"""
state_dir = "{pair.state}"
{top}
[remotes.prod]
kind = "losant"
application_id = "{APPLICATION_ID}"
api_url = "{pair.server.url}"
{remote}
[jobs.assets]
source = "{pair.source}"
destination = "prod:/{pair.directory}"
{job}
"""
    )
    return file


def test_version_and_help(program: Program) -> None:
    assert program.run("--version", cold=True).out == f"syncd {__version__}\n"
    for command in ((), ("plan",), ("ls",), ("config",), ("init",), ("sandbox",)):
        run = program.run(*command, "--help", cold=True)
        assert run.code == 0
        assert run.out.startswith("Usage: syncd")
        assert run.err == ""


@pytest.mark.parametrize("command", ["apply", "check", "pull", "plan"])
def test_the_help_of_a_command_has_examples(program: Program, command: str) -> None:
    run = program.run(command, "--help")
    assert run.code == 0
    assert f"syncd {command} " in run.out.partition("Examples:\n")[2]


def test_a_daemon_without_a_configuration_is_exit_2(program: Program) -> None:
    assert program.run().code == 2


@pytest.mark.parametrize("words", [("status",), ("wait",), ("rescan",), ("pause",), ("resume",), ("approve", "assets")])
def test_without_a_daemon_its_commands_say_so(program: Program, words: tuple[str, ...]) -> None:
    run = program.run(*words)
    assert run.code == 1
    assert "no syncd is running" in run.err


def test_the_report(pair: Pair) -> None:
    pair.write("same", "same")
    pair.write("edited", "before")
    pair.write("old name.txt", "moved")
    pair.write("gone", "gone")
    pair.mirrored()
    pair.plant("theirs", b"theirs")
    pair.write("edited", "after!")
    pair.write("new/deep/file", "12345")
    (pair.source / "old name.txt").rename(pair.source / "new name.txt")
    (pair.source / "gone").unlink()
    (pair.source / "link").symlink_to("same")
    before = pair.server.counts()
    run = pair.mirrored()
    assert list(run.json) == ["version", "ok", "exit", "jobs"]
    assert run.json["version"] == 1
    job = run.job
    assert list(job) == REPORT_KEYS
    assert job["job"] == "source"
    assert run.counts() == {
        "unchanged": 1,
        "created": 1,
        "replaced": 1,
        "moved": 1,
        "deleted": 1,
        "directories": 2,
        "extra": 1,
    }
    assert job["bytes_uploaded"] == 11
    assert job["requests"] == sum((pair.server.counts() - before).values())
    assert job["skipped"] == [{"path": "link", "reason": "symlink"}]
    assert 0 < job["seconds"] < 60
    assert len(run.out.splitlines()) == 1


def test_a_plan_says_what_once_does_and_does_nothing(pair: Pair) -> None:
    pair.write("a.txt", "abc")
    pair.write("b.txt", "before")
    pair.write("c.txt", "gone")
    pair.mirrored()
    (pair.source / "a.txt").rename(pair.source / "z.txt")
    pair.write("b.txt", "after")
    (pair.source / "c.txt").unlink()
    pair.write("d/e.txt", "new")
    (pair.source / "empty").mkdir()
    with pair.server.counting() as changes:
        plans = [pair.plan(), pair.once("--dry-run"), pair.plan("--no-progress")]
    assert changes == {}
    assert {plan.code for plan in plans} == {0}
    assert len({plan.out for plan in plans}) == 1
    document = plans[0].json
    assert list(document) == ["version", "jobs"]
    (job,) = document["jobs"]
    assert list(job) == ["job", "actions", "held", "extra"]
    actions = {(action["action"], action["path"]): action for action in job["actions"]}
    assert set(actions) == {
        ("move", "z.txt"),
        ("mkdir", "d"),
        ("mkdir", "empty"),
        ("create", "d/e.txt"),
        ("replace", "b.txt"),
        ("delete", "c.txt"),
    }
    move = actions["move", "z.txt"]
    assert move == {
        "action": "move",
        "path": "z.txt",
        "from": "a.txt",
        "size": 3,
        "reason": "same content as a.txt, which is gone",
    }
    assert all(action["reason"] for action in job["actions"])
    assert job["actions"][-1]["action"] == "delete"
    assert pair.mirrored().counts() == {
        "moved": 1,
        "created": 1,
        "replaced": 1,
        "deleted": 1,
        "directories": 2,
    }
    pair.assert_equal()
    assert pair.plan().json["jobs"][0]["actions"] == []


def test_a_plan_for_people(pair: Pair) -> None:
    pair.write("a.txt", "abc")
    run = pair.program.run("plan", pair.source, pair.destination, *pair.where)
    assert run.code == 0
    assert "create" in run.out
    assert "a.txt" in run.out
    assert "new" in run.out


@pytest.mark.parametrize(
    "words",
    [
        ["--once", "assets"],
        ["assets", "--once"],
        ["--once"],
        ["--workers", "3", "--once", "assets", "-v"],
        ["--once", "--config", "syncd.toml", "assets"],
    ],
)
def test_options_stand_before_and_after_words(pair: Pair, words: list[str]) -> None:
    configured(pair)
    pair.write("a")
    assert pair.program.run(*words).code == 0
    pair.assert_equal()


def test_options_before_a_command(pair: Pair) -> None:
    configured(pair)
    pair.write("a")
    run = pair.program.run("--json", "plan", "assets")
    assert [action["path"] for action in run.json["jobs"][0]["actions"]] == ["a"]


def test_a_report_is_of_a_run_that_ends(pair: Pair) -> None:
    run = pair.program.run(*pair.words(), "--json")
    assert run.code == 2
    assert "--once" in run.err


def test_a_pair_may_name_a_configured_remote(pair: Pair) -> None:
    configured(pair)
    pair.write("a")
    assert pair.program.run("--once", pair.source, f"prod:/{pair.directory}").code == 0
    pair.assert_equal()


def test_a_job_without_once_points_to_it(pair: Pair) -> None:
    configured(pair)
    run = pair.program.run("assets")
    assert run.code == 2
    assert "--once assets" in run.err


def test_ls(pair: Pair) -> None:
    pair.write("a.txt", "abc")
    pair.write("d/b.txt", "defg")
    pair.mirrored()
    words = [pair.destination, *pair.where]
    run = pair.program.run("ls", *words, "--json")
    assert run.code == 0
    listed = {item["path"]: item for item in run.json}
    assert set(listed) == {"a.txt", "d"}
    assert list(listed["a.txt"]) == ["path", "type", "size", "modified", "checksum", "id"]
    assert listed["a.txt"]["size"] == 3
    assert listed["a.txt"]["checksum"] == "900150983cd24fb0d6963f7d28e17f72"
    assert listed["a.txt"]["id"] == pair.record("a.txt").id
    assert listed["d"]["type"] == "directory"
    deep = pair.program.run("ls", "-R", *words, "--json").json
    assert [item["path"] for item in deep] == ["a.txt", "d", "d/b.txt"]
    people = pair.program.run("ls", "-R", *words)
    assert "d/b.txt" in people.out
    assert "900150983cd24fb0d6963f7d28e17f72" in people.out


def test_config_masks_and_contacts_nothing(pair: Pair) -> None:
    configured(pair, remote=f'token = "{TOKEN}"', job="workers = 4")
    run = pair.program.run("config", "--delete", "never")
    assert run.code == 0
    assert "workers = 4" in run.out
    assert str(pair.program.home / "syncd.toml") in run.out or "syncd.toml" in run.out
    assert "--delete" in run.out
    assert "********" in run.out
    assert sum(pair.server.counts().values()) == 0
    assert not pair.state.exists()


@pytest.mark.parametrize(
    ("job", "named"),
    [
        ("worker = 3", "worker"),
        ("workers = 0", "workers"),
        ("workers = 'many'", "many"),
        ("delete = 'always'", "always"),
        ("max_delete = '120%'", "120%"),
        ("settle = '5'", "settle"),
        ("include = '*.txt'", "include"),
        ("trash = '/'", "trash"),
        ("on_drift = 'theirs'", "on_drift"),
    ],
)
def test_2_a_bad_configuration_names_the_key(pair: Pair, job: str, named: str) -> None:
    configured(pair, job=job)
    pair.write("a")
    run = pair.program.run("--once")
    assert run.code == 2
    assert named in run.err
    assert "jobs.assets" in run.err
    assert sum(pair.server.counts().values()) == 0
    if job.split()[0] not in ("trash", "on_drift"):
        assert pair.program.run("config").code == 2


def test_two_remotes_without_a_token_are_ambiguous(pair: Pair) -> None:
    file = configured(pair)
    file.write_text(file.read_text() + f'[remotes.other]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n')
    run = pair.program.run("--once")
    assert run.code == 2
    assert "SYNCD_TOKEN" in run.err
    assert pair.program.run("config").code == 2


def test_overlapping_destinations_are_refused(pair: Pair) -> None:
    file = configured(pair)
    file.write_text(file.read_text() + f'[jobs.inner]\nsource = "{pair.source}"\ndestination = "prod:/dir/inner"\n')
    run = pair.program.run("--once")
    assert run.code == 2
    assert "overlap" in run.err


def test_environment_alone_is_enough(pair: Pair) -> None:
    pair.write("a")
    variables = {
        "SYNCD_TOKEN": None,
        "SYNCD_REMOTES__PROD__KIND": "losant",
        "SYNCD_REMOTES__PROD__APPLICATION_ID": APPLICATION_ID,
        "SYNCD_REMOTES__PROD__API_URL": pair.server.url,
        "SYNCD_REMOTES__PROD__TOKEN": TOKEN,
        "SYNCD_JOBS__ASSETS__SOURCE": str(pair.source),
        "SYNCD_JOBS__ASSETS__DESTINATION": "prod:/dir",
        "SYNCD_STATE_DIR": str(pair.state),
        "SYNCD_PORT": "tcp://10.0.0.1:80",
        "SYNCD_SERVICE_HOST": "10.0.0.1",
    }
    run = pair.program.run("--once", "--json", env=variables)
    assert run.code == 0, run
    assert run.job["job"] == "assets"
    pair.assert_equal()
    assert pair.program.run("--once", env={**variables, "SYNCD_JOBS__ASSETS__WORKER": "3"}).code == 2


def test_token_from_files(pair: Pair, tmp_path: Path) -> None:
    pair.write("a")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    nothing = {"SYNCD_TOKEN": None}
    assert pair.once(env=nothing).code == 2
    assert pair.once("--token-file", str(file), env=nothing).code == 0
    configured(pair)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "prod.token").write_text(TOKEN)
    assert pair.program.run("--once", env={**nothing, "CREDENTIALS_DIRECTORY": str(credentials)}).code == 0


def test_init_writes_a_configuration_that_is_valid_and_never_overwrites(program: Program) -> None:
    assert program.run("init").code == 0
    file = program.home / "syncd.toml"
    text = file.read_text()
    assert "[jobs." in text
    assert program.run("config").code == 0
    file.write_text("mine")
    assert program.run("init").code == 2
    assert file.read_text() == "mine"
    assert program.run("init", "other.toml").code == 0
    assert (program.home / "other.toml").read_text() == text


def test_sandbox_serves_until_it_is_told_to_stop(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    process = program.start("sandbox", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), cold=True)
    assert isinstance(process, subprocess.Popen)
    assert process.stdout is not None
    url = process.stdout.readline().decode().split()[-1]
    words: list[str | Path] = [source, f"losant://{APPLICATION_ID}/dir", "--api-url", url, "--json"]
    assert program.run("--once", *words, env={"SYNCD_TOKEN": "sandbox"}).counts() == {"created": 1}
    (source / "large").write_bytes(bytes(2**28))
    client = program.start("--once", *words, env={"SYNCD_TOKEN": "sandbox"})
    until(lambda: any(file.stat().st_size > 2**20 for file in (tmp_path / "data").rglob("*") if file.is_file()))
    client.kill()
    client.communicate()
    (source / "large").unlink()
    assert program.run("--once", *words, env={"SYNCD_TOKEN": "sandbox"}).counts()["unchanged"] == 1
    process.send_signal(signal.SIGTERM)
    run = ended(process, as_json=False)
    assert run.code == 0
    assert run.err == ""


def test_the_embedded_sandbox(program: Program, tmp_path: Path) -> None:
    """The main job on a fresh machine: no account, no configuration, state in the home directory."""
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / "a").write_text("a")
    nothing = {"SYNCD_TOKEN": None}
    words = ("--once", source, "sandbox:/copy", "--json")
    assert program.run(*words, env=nothing, cold=True).counts() == {"created": 1, "directories": 1}
    assert program.run(*words, env=nothing, cold=True).counts() == {"unchanged": 1}
    assert (program.home / ".local" / "state" / "syncd").is_dir()
    listed = program.run("ls", "-R", "sandbox:/copy", "--json", env=nothing)
    assert [item["path"] for item in listed.json] == ["d", "d/a"]
    for name in ("one", "two"):
        assert program.run(*words, "--state-dir", tmp_path / name, env=nothing).counts() == {
            "created": 1,
            "directories": 1,
        }


def test_6_two_at_once_on_the_embedded_sandbox(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(bytes(2**28))
    first = program.start("--once", source, "sandbox:/one")
    data = program.home / ".local" / "state" / "syncd" / "sandbox"
    until(lambda: data.exists() and any(file.is_file() and file.stat().st_size > 2**20 for file in data.rglob("*")))
    (tmp_path / "other").mkdir()
    second = program.run("--once", tmp_path / "other", "sandbox:/two")
    assert second.code == 6
    assert "sandbox" in second.err
    first.kill()
    first.communicate()
    assert program.run("--once", tmp_path / "other", "sandbox:/two").code == 0


def test_what_cannot_be_done_here_is_said(program: Program, tmp_path: Path) -> None:
    run = program.run("--once", tmp_path, "privasfer://x")
    assert run.code == 2
    assert "privasfer:///dir" in run.err
    assert program.run("--once", "--config", "nowhere.toml").code == 2
    assert "nowhere.toml" in program.run("config", env={"SYNCD_CONFIG": "nowhere.toml"}).err
    assert program.run("plan", "one").code == 2
    assert program.run("--once", tmp_path, "sandbox:/a", "sandbox:/b").code == 2
    assert program.run("--once", tmp_path, "sandbox:/../a").code == 2


@pytest.mark.parametrize("words", [("--max-delete", "lots"), ("--workers", "0"), ("--onse",)])
def test_json_of_a_run_that_could_not_begin(pair: Pair, words: tuple[str, ...]) -> None:
    run = pair.once(*words)
    assert run.code == 2
    assert run.json == {"version": 1, "ok": False, "exit": 2, "jobs": []}
