"""The service as README.md installs it, on a machine that was booted for it.

One machine serves the whole module; each test begins with the daemon running on the configuration of the installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.sandbox import APPLICATION_ID, TOKEN
from tests.deploy.machine import Machine, machine
from tests.deploy.support import UNITS, Remote, needs_a_machine, readme_block, remote, until

pytestmark = needs_a_machine("mmdebstrap", "nsenter", "systemd-nspawn")

FAST = "[Service]\nRestartSec=1s\n"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("sandbox")) as here:
        yield here


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, base: Path, box: Remote) -> Iterator[Machine]:
    """The README's commands were run on it, with a source and a token of this test."""
    with machine(tmp_path_factory.mktemp("machine") / "debian", base) as there:
        there.write("/root/syncd/config/minimal.toml", configuration(box))
        there.write("/root/syncd/token", f"{TOKEN}\n")
        there.write("/srv/assets/first", "1")
        there.do("bash", "-euo", "pipefail", "-c", readme_block("service"), timeout_s=300)
        yield there


@pytest.fixture
def there(installed: Machine, box: Remote) -> Iterator[Machine]:
    yield installed
    installed.run("systemctl", "stop", "syncd")
    installed.write("/etc/syncd/syncd.toml", configuration(box))
    installed.drop_in("syncd", FAST)
    installed.do("systemctl", "reset-failed")
    installed.do("systemctl", "start", "syncd")


def configuration(box: Remote, *, source: str = "/srv/assets", directory: str = "assets", more: str = "") -> str:
    return (
        f'[remotes.prod]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\napi_url = "{box.url}"\n'
        f'[jobs.assets]\nsource = "{source}"\ndestination = "prod:/{directory}"\n{more}'
    )


def jobs(there: Machine) -> str:
    """How many there are, of what `systemctl status` shows; the rest is of the moment."""
    return there.shown("syncd", "StatusText").partition(",")[0]


def restarted(there: Machine) -> bool:
    """By systemd: it counts only those that nobody asked for."""
    return int(there.shown("syncd", "NRestarts")) > 0 and there.shown("syncd", "ActiveState") == "active"


def failed_for_good(there: Machine, unit: str, status: int) -> None:
    """systemd decides on a restart when the process ends: a unit that is failed stays so."""
    assert there.shown(unit, "ActiveState") == "failed", there.journal(unit)
    assert there.shown(unit, "ExecMainStatus") == str(status), there.journal(unit)
    assert there.shown(unit, "NRestarts") == "0"


def test_installed_as_the_readme_says_it_runs_and_mirrors(there: Machine, box: Remote) -> None:
    assert there.shown("syncd", "ActiveState") == "active"
    assert jobs(there) == "1 job"
    there.write("/srv/assets/second", "2")
    until(lambda: box.files("assets") == {"first", "second"}, said=lambda: there.journal("syncd"))
    assert "watching" in there.do("syncd", "--state-dir", "/var/lib/syncd", "status")
    assert there.do("stat", "-c", "%a %U", "/var/lib/private/syncd").split()[0] == "700"
    assert TOKEN not in there.do("systemctl", "show", "syncd").replace(f"api_{TOKEN}", "")


def test_the_units_are_in_order_on_a_machine_without_anything_else(there: Machine) -> None:
    names = [f"/etc/systemd/system/{unit.name}" for unit in UNITS.iterdir()]
    assert there.do("systemd-analyze", "verify", "--man=no", *names) == ""


def test_a_reload_takes_a_new_configuration_and_keeps_the_old_one_instead_of_a_bad_one(
    there: Machine, box: Remote
) -> None:
    process = there.shown("syncd", "MainPID")
    more = '[jobs.other]\nsource = "/srv/assets"\ndestination = "prod:/other"\n'
    there.write("/etc/syncd/syncd.toml", configuration(box, more=more))
    there.do("systemctl", "reload", "syncd")
    until(lambda: jobs(there) == "2 jobs", said=lambda: there.journal("syncd"))
    until(lambda: "first" in box.files("other"), said=lambda: there.journal("syncd"))
    there.write("/etc/syncd/syncd.toml", "nonsense = 1\n")
    there.do("systemctl", "reload", "syncd")
    until(lambda: "nonsense" in there.journal("syncd") and there.shown("syncd", "ActiveState") == "active")
    assert jobs(there) == "2 jobs"
    assert there.shown("syncd", "MainPID") == process


def test_a_daemon_that_stands_still_is_restarted_and_misses_nothing(there: Machine, box: Remote) -> None:
    there.drop_in("syncd", f"{FAST}WatchdogSec=5s\n")
    there.do("systemctl", "restart", "syncd")
    process = there.shown("syncd", "MainPID")
    there.do("bash", "-c", f"kill -STOP {process}")
    there.write("/srv/assets/meanwhile", "3")
    until(lambda: restarted(there), said=lambda: there.journal("syncd"))
    assert there.shown("syncd", "MainPID") != process
    until(lambda: "watchdog timeout" in there.do("journalctl", "--no-pager", "UNIT=syncd.service").lower())
    until(lambda: "meanwhile" in box.files("assets"), said=lambda: there.journal("syncd"))


def test_a_stop_is_a_success(there: Machine) -> None:
    there.do("systemctl", "stop", "syncd")
    assert there.shown("syncd", "Result") == "success"
    assert there.shown("syncd", "ExecMainStatus") == "0"


def test_a_killed_daemon_is_restarted(there: Machine) -> None:
    there.do("systemctl", "restart", "syncd")
    there.do("systemctl", "kill", "--signal=KILL", "syncd")
    until(lambda: restarted(there), said=lambda: there.journal("syncd"))


def test_a_bad_configuration_is_not_started_again_and_again(there: Machine) -> None:
    there.write("/etc/syncd/syncd.toml", "nonsense = 1\n")
    assert there.run("systemctl", "restart", "syncd")[0] != 0
    failed_for_good(there, "syncd", 2)


def test_a_second_daemon_on_the_same_state_is_not_started_again_and_again(there: Machine) -> None:
    there.write("/etc/systemd/system/second.service", (UNITS / "syncd.service").read_text())
    there.do("systemctl", "daemon-reload")
    assert there.run("systemctl", "start", "second")[0] != 0
    failed_for_good(there, "second", 6)
    assert there.shown("syncd", "ActiveState") == "active"


def test_the_run_of_the_timer_shares_the_daemons_state_and_gives_way_to_it(there: Machine) -> None:
    assert there.run("systemctl", "start", "syncd-once")[0] != 0
    assert there.shown("syncd-once", "ExecMainStatus") == "6"
    there.do("systemctl", "stop", "syncd")
    there.do("systemctl", "start", "syncd-once")
    assert there.shown("syncd-once", "Result") == "success"
    there.do("systemctl", "start", "syncd-once.timer")
    assert there.shown("syncd-once.timer", "NextElapseUSecRealtime")
    there.do("systemctl", "stop", "syncd-once.timer", "syncd-once.service")  # its quarter of an hour may be now


def test_an_instance_has_a_configuration_a_user_and_a_state_of_its_own(there: Machine, box: Remote) -> None:
    there.write("/etc/syncd/two.toml", configuration(box, directory="two"))
    there.do("systemctl", "start", "syncd@two")
    until(lambda: "first" in box.files("two"), said=lambda: there.journal("syncd@two"))
    owners = there.do("stat", "-c", "%u", "/var/lib/private/syncd", "/var/lib/private/syncd-two").split()
    assert owners[0] != owners[1]
    there.do("systemctl", "stop", "syncd@two")
    assert there.shown("syncd@two", "Result") == "success"


def test_with_the_readmes_drop_in_it_reads_a_source_below_home(there: Machine, box: Remote) -> None:
    there.run("useradd", "-m", "alice")
    there.write("/home/alice/site/private", "p", mode=0o600)
    there.do("bash", "-c", "chmod 700 /home/alice && chown -R alice: /home/alice")
    there.write("/etc/syncd/syncd.toml", configuration(box, source="/home/alice/site", directory="home"))
    there.do("systemctl", "restart", "syncd")
    until(lambda: "halted" in there.shown("syncd", "StatusText"))  # without it: said, and nothing else happens
    there.drop_in("syncd", FAST + readme_block("home"))
    there.do("systemctl", "restart", "syncd")
    until(lambda: box.files("home") == {"private"}, said=lambda: there.journal("syncd"))
    exchange = (
        "cd /home/alice && cp -r site next && echo 1 > next/new && mv site old && mv next site && chown -R alice: ."
    )
    there.do("bash", "-c", exchange)
    until(lambda: box.files("home") == {"private", "new"}, said=lambda: there.journal("syncd"))


def test_with_the_readmes_drop_in_it_reads_a_source_of_a_group(there: Machine, box: Remote) -> None:
    there.write("/srv/group/shared", "s", mode=0o640)
    there.do("bash", "-c", "chmod 750 /srv/group && chown -R root:www-data /srv/group")
    there.write("/etc/syncd/syncd.toml", configuration(box, source="/srv/group", directory="group"))
    there.do("systemctl", "restart", "syncd")
    until(lambda: "halted" in there.shown("syncd", "StatusText"))
    there.drop_in("syncd", FAST + readme_block("srv"))
    there.do("systemctl", "restart", "syncd")
    until(lambda: box.files("group") == {"shared"}, said=lambda: there.journal("syncd"))
