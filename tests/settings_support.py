"""A working directory and an environment without any configuration, and a configuration file in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import ConfigurationError
from syncd.settings import Options, load

MINIMAL = """
[remotes.prod]
kind = "losant"
application_id = "575ec8687ae143cd83dc4a97"

[jobs.assets]
source = "/srv/assets"
destination = "prod:/assets"
"""

Write = Callable[..., Options]
"""Takes the text of a configuration file and other options; returns options with the file's path."""


def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and home, and nothing in the environment that syncd reads."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    given = ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "NO_COLOR")
    collected = ("JOURNAL_STREAM", "INVOCATION_ID", "KUBERNETES_SERVICE_HOST")
    for name in [*given, *collected, *(name for name in os.environ if name.startswith("SYNCD_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def writer(tmp_path: Path) -> Write:
    def write(text: str, **options: Any) -> Options:
        file = tmp_path / "conf" / "some.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return Options(config=file, **options)

    return write


def complaints(options: Options) -> list[str]:
    """The lines that say why the configuration cannot be loaded."""
    with pytest.raises(ConfigurationError) as caught:
        load(options)
    return str(caught.value).splitlines()
