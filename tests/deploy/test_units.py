"""The units as they lie here, read by systemd's own tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.support import UNITS, needs

ALL = sorted(UNITS.iterdir())
SERVICES = [path for path in ALL if path.suffix == ".service"]
DAEMONS = [UNITS / "syncd.service", UNITS / "syncd@.service"]


def _settings(path: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", path.read_text(), re.MULTILINE)


def _hardening(path: Path) -> list[str]:
    return path.read_text().partition("CapabilityBoundingSet=")[2].partition("[Install]")[0].split()


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", ALL, ids=lambda path: str(path.name))
def test_systemd_finds_nothing_to_say_about_a_unit(unit: Path) -> None:
    """It exits with 0 on keys that it does not know: what counts is that it prints nothing."""
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: str(path.name))
def test_a_service_is_exposed_to_1_1_at_most(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=11", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda path: str(path.name))
def test_a_daemon_is_restarted_but_for_what_a_person_has_to_mend(unit: Path) -> None:
    assert _settings(unit, "Restart") == ["on-failure"]
    assert {"2", "6"} <= set(_settings(unit, "RestartPreventExitStatus")[0].split())
    assert _settings(unit, "StartLimitIntervalSec") == ["0"]
    assert _settings(unit, "WatchdogSec")
    assert _settings(unit, "Type") == ["notify"]


def test_all_services_are_hardened_alike() -> None:
    assert len({tuple(_hardening(unit)) for unit in SERVICES}) == 1
    assert len(_hardening(SERVICES[0])) > 20


def test_the_timer_and_the_daemon_share_user_and_state_and_instances_do_not() -> None:
    once, daemon, instance = UNITS / "syncd-once.service", *DAEMONS
    for name in ("User", "StateDirectory", "Environment", "EnvironmentFile", "LoadCredential"):
        assert _settings(once, name) == _settings(daemon, name) != []
    assert _settings(instance, "User") == ["syncd-%i"]
    assert _settings(instance, "StateDirectory") == ["syncd-%i"]
