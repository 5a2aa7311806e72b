"""What the service manager hears, on real datagram sockets of both kinds."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.telemetry.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify") if request.param == "path" else f"\0syncd-test-{os.getpid()}")
        manager.settimeout(5)
        yield manager


def environment(manager: socket.socket) -> dict[str, str]:
    name = manager.getsockname()
    return {"NOTIFY_SOCKET": name if isinstance(name, str) else "@" + name[1:].decode()}


def test_each_message_is_as_sd_notify_has_it(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))
    notifier.ready("1 job: 1 watching")
    notifier.watchdog()
    notifier.extend_timeout(2.5)
    notifier.stopping("finishing 2 transfers")
    assert [manager.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=1 job: 1 watching",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=2500000",
        b"STOPPING=1\nSTATUS=finishing 2 transfers",
    ]


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    Notifier(environment(manager)).reloading()
    flag, began = manager.recv(4096).split(b"\n")
    assert flag == b"RELOADING=1"
    assert before <= int(began.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line_and_said_once(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))
    notifier.status("a\nREADY=1\udcff")
    notifier.status("a\nREADY=1\udcff")
    notifier.status("b")
    assert [manager.recv(4096), manager.recv(4096)] == [b"STATUS=a\\nREADY=1\\xff", b"STATUS=b"]


def test_a_manager_that_is_gone_or_does_not_read_stops_nothing(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))
    limit = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for _ in range(limit + 3):
        notifier.watchdog()
    heard = 0
    while select.select([manager], [], [], 0)[0]:
        heard += len(manager.recv(4096)) > 0
    assert 0 < heard < limit + 3
    manager.close()
    notifier.ready("nobody hears")


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/" + "x" * 200, "/nowhere/notify"])
def test_without_a_manager_there_is_silence(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address} if address else {}).ready("nobody hears")


@pytest.mark.parametrize(
    ("watchdog", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(watchdog: dict[str, str], interval_s: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/notify", **watchdog}).watchdog_interval_s == interval_s
    assert Notifier(watchdog).watchdog_interval_s is None
