"""What is given to others: the sdist, the wheel, the lock files."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import syncd
from tests.deploy.support import CONFIG, ROOT, UNITS, run

ASKED = [Requirement(text) for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]]
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.2"}
"""What requirements.lock is for: the Python of the Dockerfile's Debian."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that was made of it."""
    place = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target=sdist", f"--directory={place}", timeout_s=120)
    with tarfile.open(place / f"syncd-{syncd.__version__}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    source = place / f"syncd-{syncd.__version__}"
    build = ["-m", "hatchling", "build", "--target=wheel", f"--directory={place}"]
    run(sys.executable, *build, cwd=source, timeout_s=120)
    return place


def test_the_sdist_has_all_that_units_and_image_are_made_of(built: Path) -> None:
    source = built / f"syncd-{syncd.__version__}"
    names = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "Dockerfile", ".dockerignore"}
    names |= {"requirements.lock", "requirements-build.lock", "tests/conftest.py"}
    names |= {str(path.relative_to(ROOT)) for path in [*UNITS.iterdir(), *CONFIG.iterdir()]}
    assert sorted(name for name in names if not (source / name).is_file()) == []
    tracked = subprocess.run(["git", "ls-files", "syncd"], capture_output=True, text=True, cwd=ROOT, check=False).stdout
    assert sorted(name for name in tracked.split() if not (source / name).is_file()) == []


def test_the_wheel_has_the_program_its_license_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.partition("/")[0] for name in names} == {"syncd", f"syncd-{syncd.__version__}.dist-info"}
    assert f"syncd-{syncd.__version__}.dist-info/licenses/LICENSE" in names
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "syncd").rglob("*.py")}
    assert here <= names


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_a_lock_has_hashes_for_all_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|file:|--index|--find-links|\bvia -r|/(?:tmp|home|work)\b", text)
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
    assert pins
    for pin in pins:
        assert re.match(r"[\w.-]+==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin


def test_the_lock_has_what_the_program_needs_in_a_version_that_it_takes() -> None:
    locked = _locked(ROOT / "requirements.lock")
    for asked in ASKED:
        assert asked.specifier.contains(locked[canonicalize_name(asked.name)]), asked
    assert set(locked) == set(_needed(ASKED, set()))


def test_the_lock_of_the_build_has_the_build_system() -> None:
    locked = _locked(ROOT / "requirements-build.lock")
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]:
        asked = Requirement(text)
        assert asked.specifier.contains(locked[canonicalize_name(asked.name)]), asked


def _locked(path: Path) -> dict[str, str]:
    """Name and version of every pin that applies to the image."""
    pins: dict[str, str] = {}
    for line in re.findall(r"^([a-z0-9][^\\\n]*)", path.read_text(), re.MULTILINE | re.IGNORECASE):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(IMAGE):
            (specifier,) = pin.specifier
            pins[canonicalize_name(pin.name)] = specifier.version
    return pins


def _needed(asked: list[Requirement], seen: set[str]) -> Iterator[str]:
    """The names of these and of what they need in turn, as the installed packages tell."""
    for each in asked:
        name = canonicalize_name(each.name)
        if name in seen or (each.marker is not None and not each.marker.evaluate({**IMAGE, "extra": ""})):
            continue
        seen.add(name)
        yield name
        yield from _needed([Requirement(text) for text in requires(each.name) or ()], seen)
