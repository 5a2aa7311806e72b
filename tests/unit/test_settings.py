"""Where the configuration comes from, what overrides what, and what is said when it is wrong."""

from __future__ import annotations

import json
import pwd
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.errors import ConfigurationError
from syncd.settings import Options, load, state_directory
from syncd.settings.schema import JobSettings
from syncd.settings.show import as_data, as_toml
from tests.settings_support import MINIMAL, Write, bare_environment, complaints, writer


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


def test_every_key_of_the_contract_has_its_default(write: Write) -> None:
    job = load(write(MINIMAL)).settings.jobs["assets"]
    assert job == JobSettings(
        source="/srv/assets",
        destination="prod:/assets",
        include=[],
        exclude=[],
        delete="tracked",
        max_delete="25%",
        workers=16,
        settle="500ms",
        settle_max="5m",
        rescan="1h",
        on_drift="overwrite",
        symlinks="skip",
        empty_directories=True,
        trash="",
        trash_keep="30d",
        bandwidth="",
        order="small-first",
        drain="8s",
        on_stop="drain",
    )


class TestWhereItIsFound:
    def test_the_first_of_the_usual_places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
        far = tmp_path / "xdg" / "syncd" / "syncd.toml"
        far.parent.mkdir(parents=True)
        far.write_text('state_dir = "/far"')
        assert load(Options()).file == far
        Path("syncd.toml").write_text('state_dir = "/near"')
        assert load(Options()).settings.state_dir == "/near"
        named = tmp_path / "named.toml"
        named.write_text('state_dir = "/named"')
        monkeypatch.setenv("SYNCD_CONFIG", str(named))
        assert load(Options()).settings.state_dir == "/named"
        chosen = tmp_path / "chosen.toml"
        chosen.write_text('state_dir = "/chosen"')
        assert load(Options(config=chosen)).settings.state_dir == "/chosen"

    def test_no_file_is_needed(self) -> None:
        loaded = load(Options())
        assert (loaded.file, loaded.settings.jobs) == (None, {})

    def test_a_user_without_a_home_needs_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nobody(_uid: int) -> None:
            raise KeyError

        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", nobody)
        assert state_directory(load(Options(state_dir="/state"))) == Path("/state")
        with pytest.raises(ConfigurationError, match="set HOME"):
            state_directory(load(Options()))

    def test_a_file_asked_for_must_be_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        missing = tmp_path / "missing.toml"
        assert complaints(Options(config=missing)) == [f"{missing}: cannot be read: No such file or directory"]
        monkeypatch.setenv("SYNCD_CONFIG", str(tmp_path))
        assert complaints(Options()) == [f"{tmp_path}: cannot be read: Is a directory"]

    def test_a_file_that_is_no_toml_is_named_with_the_line(self, write: Write) -> None:
        options = write("[log]\nlevel = \n")
        (line,) = complaints(options)
        assert line.startswith(f"{options.config}: is not TOML: ")
        assert "line 2" in line

    def test_a_file_may_begin_with_a_byte_order_mark(self, write: Write) -> None:
        assert load(write('\ufeff[log]\nlevel = "debug"\n')).settings.log.level == "debug"

    def test_a_file_that_is_no_utf_8_is_named(self, write: Write) -> None:
        options = write("")
        assert options.config is not None
        options.config.write_bytes(b'state_dir = "\xff"')
        assert complaints(options) == [f"{options.config}: is not UTF-8 (at byte 13)"]


class TestTheEnvironment:
    def test_overrides_single_values_of_the_file(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__WORKERS", "4")
        monkeypatch.setenv("SYNCD_LOG__LEVEL", "debug")
        loaded = load(write(MINIMAL))
        assert loaded.settings.jobs["assets"].workers == 4
        assert loaded.settings.jobs["assets"].source == "/srv/assets"
        assert loaded.settings.log.level == "debug"

    def test_is_enough_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "REMOTES__PROD__KIND": "losant",
            "REMOTES__PROD__APPLICATION_ID": "575",
            "REMOTES__PROD__TOKEN": "12345",
            "JOBS__ASSETS__SOURCE": "/data",
            "JOBS__ASSETS__DESTINATION": "prod:/x",
            "JOBS__ASSETS__EXCLUDE": '["*.tmp", ".git/"]',
            "JOBS__ASSETS__MAX_DELETE": "30",
            "JOBS__ASSETS__EMPTY_DIRECTORIES": "false",
            "STATE_DIR": "/state",
        }.items():
            monkeypatch.setenv(f"SYNCD_{name}", value)
        settings = load(Options()).settings
        job, remote = settings.jobs["assets"], settings.remotes["prod"]
        assert (job.exclude, job.max_delete, job.empty_directories) == (["*.tmp", ".git/"], "30", False)
        assert remote.application_id == "575"
        assert remote.token is not None
        assert remote.token.get_secret_value() == "12345"
        assert settings.state_dir == "/state"

    def test_may_hold_a_whole_table_as_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_JOBS", json.dumps({"a": {"source": "/a", "destination": "sandbox:/a", "workers": 3}}))
        monkeypatch.setenv("SYNCD_JOBS__A__WORKERS", "5")
        loaded = load(Options())
        assert loaded.settings.jobs["a"].workers == 5
        origins = {key: origin.text for key, origin in loaded.origins.items()}
        assert origins["jobs", "a", "workers"] == "$SYNCD_JOBS__A__WORKERS"
        assert origins["jobs", "a", "source"] == "$SYNCD_JOBS"

    def test_json_that_is_none_names_the_variable_and_not_its_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_REMOTES", '{"prod": {"token": "hush"')
        (line,) = complaints(Options())
        assert line.startswith("remotes ($SYNCD_REMOTES): must be a table of settings (as a variable: a JSON object")
        assert "hush" not in line

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("JOBS__ASSETS__EXCLUDE", "*.tmp", "jobs.assets.exclude = '*.tmp' ($SYNCD_JOBS__ASSETS__EXCLUDE): must be"),
            ("JOBS__ASSETS__INCLUDE", "[a", "jobs.assets.include = '[a' ($SYNCD_JOBS__ASSETS__INCLUDE): must be"),
            ("JOBS__JOBS", "x", "jobs.jobs ($SYNCD_JOBS__JOBS): must be a table"),
            ("JOBS__ASSETS__WORKERS__X", "1", "jobs.assets.workers = {'x': 1} ($SYNCD_JOBS__ASSETS__WORKERS__X): must"),
        ],
    )
    def test_one_that_is_bad_is_named_and_never_hides_the_others(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
    ) -> None:
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__DELETE", "never")
        monkeypatch.setenv(f"SYNCD_{name}", value)
        (line,) = complaints(write(MINIMAL))
        assert line.startswith(expected)

    def test_unknown_variables_are_errors_with_what_was_perhaps_meant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_TOKN", "hush")
        monkeypatch.setenv("SYNCD_JOBS_ASSETS__SOURCE", "/data")
        monkeypatch.setenv("SYNCD_STATE_DIR__X", "1")
        assert complaints(Options()) == [
            "$SYNCD_JOBS_ASSETS__SOURCE: unknown variable (did you mean SYNCD_JOBS__ASSETS__SOURCE?)",
            "$SYNCD_STATE_DIR__X: unknown variable (did you mean SYNCD_STATE_DIR?)",
            "$SYNCD_TOKN: unknown variable (did you mean SYNCD_TOKEN?)",
        ]

    def test_what_kubernetes_sets_beside_services_is_let_be(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PORT", "PORT_9393_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP"):
            monkeypatch.setenv(f"SYNCD_{name}", "10.0.0.1")
        for name in ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_80_TCP"):
            monkeypatch.setenv(f"SYNCD_METRICS_{name}", "10.0.0.1")
        assert load(Options()).settings.jobs == {}


class TestWhatIsWrong:
    def test_every_problem_is_said_with_key_value_place_and_what_is_allowed(self, write: Write) -> None:
        options = write(
            """
            [log]
            level = "loud"
            [remotes.p]
            kind = "losent"
            requests_per_second = -1
            [remotes.Q]
            kind = "sandbox"
            [jobs.a]
            destination = "p"
            exclude = "*.tmp"
            max_delete = true
            workers = "many"
            settle = 5
            drain = "soon"
            """
        )
        at = f"({options.config})"
        assert complaints(options) == [
            f"log.level = 'loud' {at}: must be 'debug', 'info', 'warning' or 'error'",
            f"remotes.p.kind = 'losent' {at}: must be 'losant', 'losant-private', 'privasfer' or 'sandbox'",
            f"remotes.p.requests_per_second = -1 {at}: must be greater than or equal to 0",
            f"remotes.Q {at}: must be made of a-z, 0-9 and _",
            f"jobs.a.source {at}: is required and missing",
            f"jobs.a.destination = 'p' {at}: "
            "must be REMOTE:/directory, losant://APPLICATION_ID/dir, privasfer:///dir or sandbox:/dir",
            f'jobs.a.exclude = \'*.tmp\' {at}: must be a list, such as ["*.tmp", ".git/"] (as a variable: in JSON)',
            f"jobs.a.max_delete = True {at}: must be a valid string",
            f"jobs.a.workers = 'many' {at}: must be a valid integer, unable to parse string as an integer",
            f"jobs.a.settle = 5 {at}: must be a valid string",
            f"jobs.a.drain = 'soon' {at}: must be a number with its unit (ms, s, m, h, d), "
            'such as "500ms" or "1h30m"',
        ]

    def test_a_variable_is_named_as_the_place(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__WORKERS", "0")
        assert complaints(write(MINIMAL)) == [
            "jobs.assets.workers = '0' ($SYNCD_JOBS__ASSETS__WORKERS): must be greater than or equal to 1"
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('staet_dir = "x"', "staet_dir (AT): unknown key (did you mean state_dir?)"),
            ("[jobs.a]\nexlude = []", "jobs.a.exlude (AT): unknown key (did you mean exclude?)"),
            ("[remotes.p]\nzzz = 1", "remotes.p.zzz (AT): unknown key (known here: api_url, application_id, kind, "),
            ('[log]\nfromat = "json"', "log.fromat (AT): unknown key (did you mean format?)"),
            (
                "[jobs.a]\nexclude = ['*.o', '[a']",
                "jobs.a.exclude.1 = '[a' (AT): must be a gitignore pattern that can ",
            ),
            ('[jobs.a]\ninclude = ["# all"]', "jobs.a.include.0 = '# all' (AT): must be a gitignore pattern that can "),
        ],
    )
    def test_what_was_perhaps_meant_or_what_is_allowed_is_said(self, write: Write, text: str, expected: str) -> None:
        options = write(text)
        assert any(line.startswith(expected.replace("AT", str(options.config))) for line in complaints(options))

    @pytest.mark.parametrize(
        "text",
        [
            '[remotes.p]\nkind = "losant"\napplication_id = "1"\ntoken = ["hush"]',
            '[remotes.p]\nkind = "losant"\napplication_id = "1"\ntokn = "hush"',
            '[remotes]\nprod_token = "hush"',
            'remotes = "hush"',
            'jobs = ["hush"]',
            'log = "hush"',
            '[remotes.p]\nkind = "losant"\napplication_id = "1"\napi_url = "https://me:hush@host"',
        ],
    )
    def test_a_secret_in_the_wrong_place_is_not_repeated(self, write: Write, text: str) -> None:
        lines = complaints(write(text))
        assert lines
        assert not any("hush" in line for line in lines)


class TestOptions:
    def test_are_over_all_else_for_every_job(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__DELETE", "never")
        options = write(MINIMAL + 'exclude = ["*.tmp"]\n', delete="mirror", max_delete="7", workers=3, exclude=("*.o",))
        loaded = load(options)
        job = loaded.settings.jobs["assets"]
        assert (job.delete, job.max_delete, job.workers, job.exclude) == ("mirror", "7", 3, ["*.tmp", "*.o"])

    def test_are_named_where_they_are_wrong(self, write: Write) -> None:
        assert complaints(write(MINIMAL, max_delete="x")) == [
            "jobs.assets.max_delete = 'x' (--max-delete): must be a number of files, or a percentage "
            'from "0%" to "100%" ("100%": no guard)'
        ]

    def test_of_a_pair_leave_the_configured_jobs_alone(self, write: Write) -> None:
        assert load(write(MINIMAL, workers=3), pair=True).settings.jobs["assets"].workers == 16


class TestStateDirectory:
    def test_is_the_one_configured_relative_to_its_file(self, write: Write, tmp_path: Path) -> None:
        options = write('state_dir = "state"')
        assert state_directory(load(options)) == tmp_path / "conf" / "state"
        assert state_directory(load(Options(config=options.config, state_dir="here"))) == Path.cwd() / "here"

    def test_is_else_of_systemd_of_xdg_or_of_the_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        assert state_directory(load(Options())) == Path("/home/me/.local/state/syncd")
        monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
        assert state_directory(load(Options())) == Path("/xdg/syncd")
        monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/syncd:/var/lib/other")
        assert state_directory(load(Options())) == Path("/var/lib/syncd")


class TestShow:
    def test_every_value_has_its_origin_and_secrets_are_masked(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_REMOTES__PROD__TOKEN", "hush")
        monkeypatch.setenv("SYNCD_LOG__LEVEL", "debug")
        options = write(MINIMAL, workers=3)
        data = as_data(load(options))
        assert "hush" not in json.dumps(data)
        settings = data["settings"]
        assert isinstance(settings, dict)
        assert settings["remotes.prod.token"] == {"value": "********", "origin": "$SYNCD_REMOTES__PROD__TOKEN"}
        assert settings["log.level"] == {"value": "debug", "origin": "$SYNCD_LOG__LEVEL"}
        assert settings["jobs.assets.workers"] == {"value": 3, "origin": "--workers"}
        assert settings["jobs.assets.source"] == {"value": "/srv/assets", "origin": str(options.config)}
        assert settings["jobs.assets.drain"] == {"value": "8s", "origin": "default"}

    def test_the_only_remote_without_a_token_has_the_one_of_the_environment(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "hush")
        text = as_toml(load(write(MINIMAL)))
        assert "hush" not in text
        assert 'token = "********"' in text
        assert "$SYNCD_TOKEN" in text

    def test_the_text_is_a_configuration_file_of_the_same_values(self, write: Write) -> None:
        loaded = load(write(MINIMAL + 'exclude = ["a \\"b\\"", "ü"]\n'))
        shown = tomllib.loads(as_toml(loaded))
        assert shown["jobs"]["assets"] == loaded.settings.jobs["assets"].model_dump()
        assert shown["remotes"]["prod"]["application_id"] == "575ec8687ae143cd83dc4a97"

    @pytest.mark.parametrize("show", [as_toml, as_data])
    def test_what_contradicts_itself_is_not_shown(self, write: Write, show: Callable[[object], object]) -> None:
        loaded = load(write(MINIMAL.replace("prod:/", "pord:/")))
        with pytest.raises(ConfigurationError, match=r"jobs\.assets\.destination.*did you mean prod"):
            show(loaded)
