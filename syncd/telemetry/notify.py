"""What the service manager hears: sd_notify(3) over $NOTIFY_SOCKET, and how often its watchdog wants to hear it.

Made and called by `app` for the daemon. Never fails and never waits long: without a service manager, or with one that
went away, the daemon runs as well.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from syncd.telemetry.text import printable

_SEND_TIMEOUT_S = 0.2
"""The manager reads at once; while it is re-executing itself its queue may be full for a moment."""
_STATUS_CHARS = 500


class Notifier:
    """Messages to the service manager that started this process.

    `watchdog_interval_s` is how often `watchdog` is to be called (half of what is allowed, as sd_watchdog_enabled(3)
    advises), None where nobody watches.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address_of(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_s = _watchdog_interval_s(environ) if self._address else None
        self._status = ""

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is over."""
        self._status = status
        self._send("READY=1", f"STATUS={_line(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`; said only when it is another than before."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """`ready` has to follow. The time lets systemd 253 tell this reload from an earlier one."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        self._status = status
        self._send("STOPPING=1", f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """The loops made progress."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Start-up, reload or stop goes on for up to `seconds` from now, whatever the unit's timeout is."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        message = "\n".join(assignments).encode("utf-8", "backslashreplace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_TIMEOUT_S)
                sender.sendto(message, self._address)
        except OSError:  # gone, full, or a path longer than an address can be: nobody there to be told
            return


def _address_of(text: str) -> bytes:
    """The address in the kernel's words: a path, or an abstract name (written with `@`); empty for anything else."""
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    return os.fsencode(text) if text.startswith("/") else b""


def _watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    allowed, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    return int(allowed) / 2_000_000 if allowed.isascii() and allowed.isdecimal() and int(allowed) else None


def _line(status: str) -> str:
    return printable(status)[:_STATUS_CHARS]
