"""A Debian with a booted systemd in a container of systemd-nspawn, on this machine's network."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.deploy.support import clone, run, until

PACKAGES = ("ca-certificates", "dbus", "python3-venv", "systemd", "systemd-sysv")
NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe")
INSTALL = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"


class Machine:
    """`tree` is its root directory, to be written to; `run` runs a command inside."""

    def __init__(self, tree: Path, leader: int) -> None:
        self.tree = tree
        self._leader = leader

    def run(self, *command: str, timeout_s: float = 60) -> tuple[int, str]:
        """The exit code and the output, standard error included."""
        inside = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "env", "--chdir=/root/syncd"]
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            [*inside, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            env=path,
            check=False,
        )
        return done.returncode, done.stdout

    def do(self, *command: str, timeout_s: float = 60) -> str:
        """The output of a command that has to succeed."""
        code, output = self.run(*command, timeout_s=timeout_s)
        assert code == 0, f"{command}: {code}\n{output}"
        return output

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        target = self.tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd knows it."""
        return self.do("systemctl", "show", "-P", name, unit).strip()

    def drop_in(self, unit: str, text: str) -> None:
        """The unit's only drop-in."""
        self.write(f"/etc/systemd/system/{unit}.service.d/override.conf", text)
        self.do("systemctl", "daemon-reload")

    def journal(self, unit: str) -> str:
        return self.do("journalctl", "--no-pager", "-u", unit)


@contextmanager
def machine(tree: Path, base: Path) -> Iterator[Machine]:
    """Booted from the Debian in the archive `base`, with a clone of this project in /root/syncd; gone afterwards."""
    tree.mkdir()
    run("tar", "--extract", f"--file={base}", f"--directory={tree}", "--numeric-owner", timeout_s=300)
    install = f"DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; {INSTALL} {' '.join(PACKAGES)}"
    run(*NSPAWN, f"--directory={tree}", "sh", "-euc", install, timeout_s=600)
    clone(tree / "root/syncd")
    boot = [*NSPAWN, "--boot", f"--directory={tree}"]
    with (tree.parent / "console").open("wb") as console:
        process = subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        there = _booted(tree, process)
        there.do("update-ca-certificates")
        yield there
    finally:
        process.send_signal(signal.SIGTERM)  # nspawn's own: an orderly power-off
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(tree)


def _booted(tree: Path, process: subprocess.Popen[bytes]) -> Machine:
    console = tree.parent / "console"
    until(lambda: _leader_of(process.pid), said=console.read_text)
    there = Machine(tree, _leader_of(process.pid))
    until(lambda: there.run("systemctl", "is-system-running")[1].strip() in ("running", "degraded"), timeout_s=90)
    return there


def _leader_of(nspawn: int) -> int:
    """The process that is the machine's first, 0 as long as there is none."""
    for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
        with suppress(OSError):  # those that set the machine up go away again
            if Path(f"/proc/{child}/exe").readlink().name == "systemd":
                return int(child)
    return 0
