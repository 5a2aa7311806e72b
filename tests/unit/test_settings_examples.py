"""The example configurations and the starter are valid, and say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncd.cli import run
from syncd.settings import Options, job_specs, load
from syncd.settings.resolve import check
from syncd.settings.schema import JobSettings, RemoteSettings
from syncd.settings.show import as_toml
from tests.settings_support import bare_environment

EXAMPLES = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: str(path.name))
def test_an_example_is_valid_and_asks_for_nothing_that_is_not_built(path: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    options = Options(config=path, token_file=str(token))
    loaded = load(options)
    check(load(Options(config=path)))
    for name in loaded.settings.jobs:
        assert job_specs([name], loaded, options)
    assert as_toml(loaded)


def test_the_container_example_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (EXAMPLES / "container.env").read_text().splitlines()
    for name, _, value in (line.partition("=") for line in lines if not line.startswith("#")):
        monkeypatch.setenv(name, value)
    loaded = load(Options())
    check(loaded)
    assert loaded.settings.jobs["assets"].exclude == ["*.tmp", ".git/"]


def test_the_starter_is_valid_as_it_is_and_with_every_comment_taken_out() -> None:
    assert run(["init"]) == 0
    text = Path("syncd.toml").read_text()
    plain = load(Options())
    check(plain)
    setting = re.compile(r"^# (?=\w+ = |\[\w+\])", re.MULTILINE)
    Path("all.toml").write_text(setting.sub("", text))
    every = load(Options(config=Path("all.toml")))
    check(every)
    assert every.settings.remotes["prod"].token_file == "/etc/syncd/token"
    for job in (plain.settings.jobs["assets"], every.settings.jobs["assets"]):
        assert job.model_copy(update={"exclude": []}) == JobSettings(source="/srv/assets", destination="prod:/assets")
    shown = every.settings.remotes["prod"].model_copy(update={"token_file": None})
    assert shown == RemoteSettings(kind="losant", application_id=shown.application_id, api_url="https://api.losant.com")


def test_init_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("# mine")
    assert run(["init", str(path)]) == 2
    assert path.read_text() == "# mine"
    assert "left as it is" in capsys.readouterr().err
    assert run(["init", str(tmp_path / "missing" / "x.toml")]) == 2
