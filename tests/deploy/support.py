"""What the tests of units and images share: where things are, what there is to test with, a sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.sandbox import APPLICATION_ID, TOKEN

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
CONFIG = ROOT / "config"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
PATIENCE_S = 60.0


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


def needs_a_machine(*tools: str) -> list[pytest.MarkDecorator]:
    """For tests that take minutes, a network, and root: they run where DEPLOY_TESTS=1 asks for them."""
    asked = os.environ.get("DEPLOY_TESTS") == "1"
    return [
        pytest.mark.skipif(not asked, reason="takes minutes, root and a network: asked for by DEPLOY_TESTS=1"),
        pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
        needs("git", "unshare", *tools),
        pytest.mark.skipif(asked and not _may_unshare(), reason="this machine does not permit namespaces"),
        pytest.mark.timeout(900),
    ]


def _may_unshare() -> bool:
    """What systemd-nspawn and podman begin with."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def readme_block(name: str) -> str:
    return block(ROOT / "README.md", name)


def block(page: Path, name: str) -> str:
    """The code block that stands below `<!-- name -->`."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", page.read_text(), re.DOTALL)
    assert found, f"{page} has no block {name}"
    return found[1]


def until(condition: Callable[[], object], *, said: Callable[[], str] = str, timeout_s: float = PATIENCE_S) -> None:
    """Return when `condition()` holds; fail with what `said()` tells."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {timeout_s:g} s\n{said()}")
        time.sleep(0.1)


def debian(archive: Path) -> None:
    """A minimal Debian 12 as a tar file, which trusts whom this machine trusts."""
    trusted = [f"--customize-hook=copy-in {CERTIFICATES} /usr/local/share"] if CERTIFICATES.is_dir() else []
    run("mmdebstrap", "--quiet", "--variant=minbase", *trusted, "bookworm", str(archive), timeout_s=600)


def clone(place: Path) -> None:
    """Make `place` what git would give to somebody else, if it all were committed."""
    listed = run("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z").split("\0")
    for source in (ROOT / name for name in listed if (ROOT / name).is_file()):
        target = place / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(*command: str, timeout_s: float = PATIENCE_S, cwd: Path = ROOT) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Remote:
    """A sandbox in a process of its own, on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url

    def files(self, directory: str) -> set[str]:
        """The paths of the files below a directory of the sandbox."""
        command = [sys.executable, "-m", "syncd", "ls", "-R", "--json", "--api-url", self.url]
        environment = {**os.environ, "SYNCD_TOKEN": TOKEN}
        done = subprocess.run(
            [*command, f"losant://{APPLICATION_ID}/{directory}"],
            capture_output=True,
            cwd=ROOT,
            env=environment,
            timeout=PATIENCE_S,
            check=False,
        )
        entries = json.loads(done.stdout) if done.returncode == 0 else []
        return {entry["path"] for entry in entries if entry["type"] == "file"}

    def environment(self, *, source: str, directory: str, **job: str) -> dict[str, str]:
        """What configures a container to mirror `source` here, with a token in a variable."""
        remote = {"KIND": "losant", "APPLICATION_ID": APPLICATION_ID, "API_URL": self.url, "TOKEN": TOKEN}
        jobs = {"SOURCE": source, "DESTINATION": f"prod:/{directory}", **job}
        return {f"SYNCD_REMOTES__PROD__{name}": value for name, value in remote.items()} | {
            f"SYNCD_JOBS__SITE__{name}": value for name, value in jobs.items()
        }


@contextmanager
def remote(data: Path) -> Iterator[Remote]:
    command = [sys.executable, "-m", "syncd", "sandbox", "--listen", "127.0.0.1:0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Remote(process.stdout.readline().partition(": ")[2].strip())
        finally:
            process.terminate()
