"""The image, built from the Dockerfile on a Debian made for it, and run by podman: alone and in a pod.

Needs no registry: what the Dockerfile starts FROM is made by mmdebstrap and tagged with its name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from syncd.sandbox import APPLICATION_ID, TOKEN
from tests.deploy.support import CONFIG, ROOT, Remote, clone, needs_a_machine, readme_block, remote, run, until

pytestmark = needs_a_machine("catatonit", "mmdebstrap", "podman", "runc")

IMAGE = "localhost/syncd"
# Limits that need no privilege to be set.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")


def podman(*words: str, timeout_s: float = 60) -> str:
    return run("podman", *words, timeout_s=timeout_s)


def container(name: str, *words: str, environment: dict[str, str] | None = None, command: tuple[str, ...] = ()) -> None:
    given = [f"--env={key}={value}" for key, value in (environment or {}).items()]
    podman("run", "--detach", f"--name={name}", *words, *given, IMAGE, *command)


def exit_code(name: str) -> int:
    return int(podman("inspect", "--format={{.State.ExitCode}}", name))


def logs(name: str) -> str:
    done = subprocess.run(["podman", "logs", name], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Images and containers of this test alone: those that the machine has are left alone."""
    place = tmp_path_factory.mktemp("containers")
    settings = place / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{place}/graph"\nrunroot = "{place}/run"\n')
    (place / "containers.conf").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
        patch.setenv("CONTAINERS_CONF", str(place / "containers.conf"))
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        patch.setenv("DISABLE_HC_SYSTEMD", "true")  # no timer where no systemd runs one: the test asks
        yield place
    subprocess.run(["umount", f"{place}/graph/overlay"], capture_output=True, check=False)  # podman's mount on itself
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("clone")
    clone(place)
    return place


@pytest.fixture(scope="module")
def image(storage: Path, base: Path, cloned: Path) -> str:
    """Built as the README says; what the Dockerfile starts from is there already."""
    assert storage
    names = re.findall(r"^FROM (\S+[.]\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    podman("import", "--quiet", str(base), *names, timeout_s=300)
    run("bash", "-euc", readme_block("build"), cwd=cloned, timeout_s=800)
    return IMAGE


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Remote]:
    with remote(tmp_path / "sandbox") as here:
        yield here


@pytest.fixture
def names(image: str) -> Iterator[tuple[str, str]]:
    """Names of a pod's two containers (or of one alone), all of which are gone afterwards."""
    assert image
    both = ("syncd-sidecar", "syncd-writer")
    yield both
    podman("rm", "--force", "--ignore", "--volumes", *both)
    podman("pod", "rm", "--force", "--ignore", "syncd-pod")
    with suppress(AssertionError):  # there was none
        podman("volume", "rm", "--force", "syncd-shared")


def test_the_image_says_what_it_is_and_runs_as_nobody_in_particular(image: str) -> None:
    told = json.loads(podman("image", "inspect", image))[0]
    assert told["Config"]["User"] == "65532:65532"
    assert told["Config"]["StopSignal"] == "SIGTERM"
    assert told["Config"]["Entrypoint"][-1] == "syncd"
    assert told["Healthcheck"]["Test"][0] == "CMD"
    labels = told["Config"]["Labels"]
    version = podman("run", "--rm", *CONFINED, "--network=none", image, "--version").split()[1]
    assert labels["org.opencontainers.image.version"] == version
    assert {"title", "source", "licenses", "description", "revision"} <= {name.rpartition(".")[2] for name in labels}


def test_run_as_the_readme_says_it_mirrors_and_is_well_as_long_as_it_does_not_stand_still(
    image: str, box: Remote, cloned: Path, tmp_path: Path
) -> None:
    """With the address of the sandbox and its account in config/container.env, and a source of this test."""
    assert image
    source = tmp_path / "assets"
    source.mkdir()
    (source / "first").write_text("1")
    (source / "half.tmp").write_text("excluded")
    tmp_path.chmod(0o755)
    (cloned / "token").write_text(f"{TOKEN}\n")
    example = (CONFIG / "container.env").read_text()
    account = re.sub(r"(?<=APPLICATION_ID=)\w+", APPLICATION_ID, example)
    (cloned / "config/container.env").write_text(f"{account}SYNCD_REMOTES__PROD__API_URL={box.url}\n")
    command = (
        readme_block("container").replace("/srv/assets", str(source)).replace("docker run", "podman run --network=host")
    )
    name = run("bash", "-euc", command, cwd=cloned).strip()
    try:
        until(lambda: box.files("assets") == {"first"}, said=lambda: logs(name))
        podman("healthcheck", "run", name)
        assert podman("inspect", "--format={{.State.Health.Status}}", name).strip() == "healthy"
        (syncd,) = _children(int(podman("inspect", "--format={{.State.Pid}}", name)))
        os.kill(syncd, signal.SIGSTOP)
        asked = subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, check=False)
        os.kill(syncd, signal.SIGCONT)
        assert asked.returncode == 1
        podman("healthcheck", "run", name)
        podman("stop", "--time=10", name)
        assert exit_code(name) == 0, logs(name)
    finally:
        podman("rm", "--force", "--volumes", name)


def test_configured_by_environment_alone_it_mirrors_and_stops_in_time(
    names: tuple[str, str], box: Remote, tmp_path: Path
) -> None:
    name = names[0]
    source = tmp_path / "source"
    source.mkdir()
    (source / "first").write_text("1")
    tmp_path.chmod(0o755)
    environment = box.environment(source="/data", directory="alone")
    container(name, *CONFINED, "--network=host", f"--volume={source}:/data:ro", environment=environment)
    until(lambda: box.files("alone") == {"first"}, said=lambda: logs(name))
    (source / "second").write_text("2")
    until(lambda: box.files("alone") == {"first", "second"}, said=lambda: logs(name))
    assert "watching" in podman("exec", name, "syncd", "status")
    podman("stop", "--time=10", name)
    assert exit_code(name) == 0, logs(name)


def test_a_bad_environment_ends_it_with_2(names: tuple[str, str]) -> None:
    container(names[0], *CONFINED, "--network=none", environment={"SYNCD_JOBS__SITE__SOURCE": "/data"})
    assert podman("wait", names[0]).strip() == "2", logs(names[0])
    assert "destination" in logs(names[0])


def test_a_stop_right_after_the_start_is_heard(names: tuple[str, str], box: Remote) -> None:
    """The first process of a container ignores a SIGTERM that it has no handler for: this one would be killed."""
    environment = box.environment(source="/opt", directory="early")
    container(names[0], *CONFINED, "--network=host", environment=environment)
    podman("stop", "--time=10", names[0])
    assert exit_code(names[0]) in (0, 128 + signal.SIGTERM), logs(names[0])


def test_as_a_sidecar_it_sends_what_the_writer_wrote_last(names: tuple[str, str], box: Remote) -> None:
    """The pod of config/kubernetes.yaml in small: two containers, one volume, `on_stop = "flush"`."""
    sidecar, writer = names
    given = dict(line.split("=", 1) for line in (CONFIG / "sidecar.env").read_text().splitlines() if line[0] != "#")
    given.pop("SYNCD_REMOTES__PROD__TOKEN_FILE")
    where = box.environment(source="/data", directory="pod")
    port = "29393"
    never = {"SYNCD_JOBS__SITE__SETTLE": "1h", "SYNCD_JOBS__SITE__SETTLE_MAX": "1h"}
    settings = {**given, **where, **never, "SYNCD_STATUS__LISTEN": f"0.0.0.0:{port}"}
    podman("pod", "create", "--name=syncd-pod", "--network=host", "--share=net")
    in_pod = "--pod=syncd-pod"
    container(sidecar, in_pod, *CONFINED, "--volume=syncd-shared:/data:ro", environment=settings)
    code = "import pathlib, time; pathlib.Path('/data/last').write_text('l'); time.sleep(600)"
    until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), said=lambda: logs(sidecar))
    container(
        writer, in_pod, "--user=0", "--volume=syncd-shared:/data", "--entrypoint=/usr/bin/python3", command=("-c", code)
    )
    until(lambda: '"queued": 0' not in podman("exec", sidecar, "syncd", "status", "--json"))
    assert box.files("pod") == set()  # unsettled for an hour to come
    podman("kill", writer)
    podman("stop", "--time=10", sidecar)
    assert exit_code(sidecar) == 0, logs(sidecar)
    assert box.files("pod") == {"last"}, logs(sidecar)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
