"""The example configurations for containers, clusters and Prometheus, each read by what will read it."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import syncd
from syncd.core.model import JobState
from syncd.settings import Options, load
from syncd.settings.resolve import check
from syncd.settings.schema import Settings
from syncd.settings.values import parse_duration
from syncd.telemetry.counts import Counts
from syncd.telemetry.metrics import Metrics
from tests.daemon_support import FakeDaemon
from tests.deploy.support import CONFIG, ROOT, needs
from tests.settings_support import bare_environment

Tree = dict[str, Any]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)


def settings_of(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What these variables configure, which has to be valid without any file."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    loaded = load(Options())
    check(loaded)
    return loaded.settings


def read_yaml(path: Path) -> Tree:
    tree: Tree = yaml.safe_load(path.read_text())
    return tree


def test_the_sidecars_environment_configures_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (CONFIG / "sidecar.env").read_text().splitlines()
    settings = settings_of(dict(line.split("=", 1) for line in lines if not line.startswith("#")), monkeypatch)
    assert settings.jobs["site"].on_stop == "flush"
    assert parse_duration(settings.jobs["site"].drain) < 10  # what Docker allows for a stop
    assert settings.status.listen.startswith("0.0.0.0:")


class TestKubernetes:
    @pytest.fixture
    def pod(self) -> Tree:
        tree = read_yaml(CONFIG / "kubernetes.yaml")
        assert (tree["spec"]["replicas"], tree["spec"]["strategy"]) == (1, {"type": "Recreate"})
        pod: Tree = tree["spec"]["template"]["spec"]
        return pod

    @pytest.fixture
    def sidecar(self, pod: Tree) -> Tree:
        (sidecar,) = pod["initContainers"]
        assert sidecar["restartPolicy"] == "Always"  # what makes it a native sidecar
        return dict(sidecar)

    def test_it_configures_syncd_and_leaves_it_time_to_flush(
        self, pod: Tree, sidecar: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_of({each["name"]: each["value"] for each in sidecar["env"]}, monkeypatch)
        job = settings.jobs["site"]
        assert job.on_stop == "flush"
        assert parse_duration(job.drain) < pod["terminationGracePeriodSeconds"]
        mounts = {mount["name"]: mount for mount in sidecar["volumeMounts"]}
        assert (mounts["data"]["mountPath"], mounts["data"]["readOnly"]) == (job.source, True)
        token_file = settings.remotes["prod"].token_file
        assert token_file is not None
        assert token_file.startswith(mounts["token"]["mountPath"])
        assert "subPath" not in mounts["token"]  # a rotated secret would never arrive
        assert any(mount["name"] == "data" for mount in pod["containers"][0]["volumeMounts"])

    def test_the_probes_ask_where_it_listens_on_the_pods_address(
        self, sidecar: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_of({each["name"]: each["value"] for each in sidecar["env"]}, monkeypatch)
        host, _, port = settings.status.listen.rpartition(":")
        assert host == "0.0.0.0"
        ports = {each["name"]: each["containerPort"] for each in sidecar["ports"]}
        asked = {name: sidecar[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {ports[each["port"]] for each in asked.values()} == {int(port)}
        assert [each["path"] for each in asked.values()] == ["/livez", "/livez", "/readyz"]

    def test_it_is_confined_as_the_image_allows(self, pod: Tree, sidecar: Tree) -> None:
        user = int(re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0])
        confined = sidecar["securityContext"]
        assert (confined["runAsUser"], pod["securityContext"]["fsGroup"]) == (user, user)
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        volumes = re.findall(r"^VOLUME (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        writable = [mount["mountPath"] for mount in sidecar["volumeMounts"] if not mount.get("readOnly")]
        assert writable == volumes
        assert sidecar["image"].endswith(f":{syncd.__version__}")


class TestAlerts:
    def test_every_metric_and_state_that_is_asked_for_exists(self) -> None:
        text = Metrics(FakeDaemon(), Counts()).text("")[0].decode()
        known = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        for rule in _rules(read_yaml(CONFIG / "alerts.yaml")):
            asked = set(re.findall(r"\b(?:syncd|process)_\w+", rule["expr"]))
            assert asked, rule
            assert asked <= known, rule
            for states in re.findall(r'state=~"([^"]+)"', rule["expr"]):
                assert set(states.split("|")) <= {state.value for state in JobState}

    @needs("promtool")
    def test_prometheus_takes_them_and_they_fire_when_they_should(self) -> None:
        tests = Path(__file__).parent / "alerts_test.yaml"
        for command in (["check", "rules", str(CONFIG / "alerts.yaml")], ["test", "rules", str(tests)]):
            done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def _rules(tree: Tree) -> Iterator[Tree]:
    for group in tree["groups"]:
        yield from group["rules"]


class TestDockerfile:
    TEXT = (ROOT / "Dockerfile").read_text()

    def test_it_is_of_the_programs_version(self) -> None:
        assert f"ARG VERSION={syncd.__version__}\n" in self.TEXT

    def test_what_it_copies_is_let_through_and_nothing_else_is(self) -> None:
        copied: set[str] = set()
        for line in re.findall(r"^COPY (?!--from)(.*)$", self.TEXT, re.MULTILINE):
            copied |= set(shlex.split(line)[:-1])
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        assert "*" in ignored
        assert {line[1:] for line in ignored if line.startswith("!")} == copied
        assert all((ROOT / name).exists() for name in copied)

    def test_it_needs_no_shell_to_run(self) -> None:
        last = self.TEXT.rpartition("FROM base\n")[2]
        assert "RUN" not in last
        for word in ("ENTRYPOINT", "CMD"):
            assert all(given.startswith("[") for given in re.findall(rf"\b{word} (.*)$", last, re.MULTILINE))
