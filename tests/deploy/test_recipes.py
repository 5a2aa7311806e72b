"""config/recipes.md: its configurations are valid, its pipeline deploys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.sandbox import APPLICATION_ID, TOKEN
from syncd.settings import Options, load
from syncd.settings.resolve import check
from tests.deploy.support import CONFIG, ROOT, block, remote
from tests.settings_support import bare_environment

RECIPES = CONFIG / "recipes.md"
APPLICATION = "575ec8687ae143cd83dc4a97"


@pytest.mark.parametrize(
    ("name", "jobs"), [("firmware", {"firmware"}), ("applications", {"north", "south"}), ("trash", {"assets"})]
)
def test_a_configuration_is_valid(name: str, jobs: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)
    file = tmp_path / "recipe.toml"
    file.write_text(block(RECIPES, name))
    loaded = load(Options(config=file))
    check(loaded)
    assert set(loaded.settings.jobs) == jobs


def test_the_pipeline_deploys_and_a_fresh_runner_uploads_nothing_again_and_deletes_what_is_gone(tmp_path: Path) -> None:
    """Twice, each with a state of its own, against the sandbox instead of the account that the recipe names."""
    source = tmp_path / "dist"
    source.mkdir()
    (source / "stays").write_text("1")
    (source / "goes").write_text("2")
    with remote(tmp_path / "sandbox") as box:
        first = _pipeline(tmp_path, "one", box.url)
        assert (first["ok"], first["created"]) == (True, 2)
        (source / "goes").unlink()
        second = _pipeline(tmp_path, "two", box.url)
        assert (second["ok"], second["unchanged"], second["created"], second["deleted"]) == (True, 1, 0, 1)
        assert box.files("site") == {"stays"}


def _pipeline(place: Path, state: str, url: str) -> dict[str, object]:
    """The report on the job, which has to succeed."""
    syncd = f'syncd() {{ PYTHONPATH={ROOT} {sys.executable} -m syncd --api-url {url} "$@"; }}\n'
    script = syncd + block(RECIPES, "ci").replace(APPLICATION, APPLICATION_ID)
    environment = {"PATH": "/usr/bin:/bin", "LOSANT_TOKEN": TOKEN, "XDG_STATE_HOME": str(place / state)}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (job,) = json.loads((place / "report.json").read_text())["jobs"]
    assert isinstance(job, dict)
    return job
