"""The commands that talk to a running daemon: status, wait, approve, rescan, pause, resume.

Registered by `syncd.cli`. Each sends one request over the control socket and shows the answer, which brings its exit
code with it. Knows nothing of what a daemon does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli import arguments
from syncd.errors import SyncdError
from syncd.telemetry import streams

if TYPE_CHECKING:
    import socket

_ANSWER_TIMEOUT_S = 10.0
"""A daemon answers at once, also under load; one that does not is stopped or stuck."""
_ANSWER_LIMIT_BYTES = 256 * 1024 * 1024


class NotInTime(SyncdError):
    """No answer within the time."""


class NotRunning(SyncdError):
    """There is no daemon to ask."""


def status(**given: Any) -> int:
    """A table, or the contract's JSON object."""
    answer = ask(_state_dir(given), {"command": "status"})
    if "status" not in answer:
        return _said(answer, given)
    if given["json"]:
        return 0 if streams.write_result(json.dumps(answer["status"]) + "\n") else 1
    from syncd.telemetry.overview import status_lines
    from syncd.telemetry.text import Paint, has_colour

    lines = status_lines(answer["status"], Paint(on=has_colour(sys.stdout)), now_s=time.time())
    return 0 if streams.write_result("".join(f"{line}\n" for line in lines)) else 1


def wait(**given: Any) -> int:
    """Until everything is done, something is in the way, or the time is over."""
    state_dir, jobs, timeout_s = _state_dir(given), list(given["jobs"]), given["timeout"]
    try:
        answer = _answer(state_dir, {"command": "wait", "jobs": jobs}, timeout_s=timeout_s)
    except NotInTime:
        if timeout_s is None:
            raise
        raise SyncdError(f"not done after {timeout_s:g} s{_unfinished(state_dir, jobs)}") from None
    return _said(answer, given)


def command(**given: Any) -> int:
    """approve, rescan, pause or resume one job, or all where none is named."""
    name = click.get_current_context().command.name
    return _said(ask(_state_dir(given), {"command": name, "job": given["job"]}), given)


def _said(answer: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    from syncd.telemetry.text import printable

    code: int = answer["exit"]
    if code:
        streams.say_error(answer["text"])
    elif not given["quiet"]:
        streams.say(printable(answer["text"]))
    return code


def _unfinished(state_dir: Path, jobs: list[str]) -> str:
    """What was still to be done when the time was over."""
    told = ask(state_dir, {"command": "status"}).get("status", {"jobs": []})
    left = [
        f"{job['job']} is {job['state']} with {job['queued']} queued and {job['in_flight']} in flight"
        for job in told["jobs"]
        if not jobs or job["job"] in jobs
    ]
    return f": {'; '.join(left)}" if left else ""


def ask(state_dir: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a daemon that needs no time for it. Raises SyncdError."""
    return _answer(state_dir, request, timeout_s=_ANSWER_TIMEOUT_S)


def _answer(state_dir: Path, request: Mapping[str, Any], *, timeout_s: float | None) -> dict[str, Any]:
    """The daemon's answer. Raises SyncdError if there is none, NotInTime if there is none yet."""
    import socket

    from syncd.telemetry import wire

    try:
        with wire.address(state_dir) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_TIMEOUT_S)
            connection.connect(address)
            connection.sendall(wire.encode(request))
            return wire.decode(_line_from(connection, timeout_s))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        message = f"no syncd is running with the state directory {str(state_dir)!r} (--state-dir names another)"
        raise NotRunning(message) from None
    except TimeoutError:
        raise NotInTime(f"the running syncd does not answer within {_ANSWER_TIMEOUT_S:g} s") from None
    except (ValueError, ConnectionError):
        raise SyncdError("the running syncd ended before it answered") from None
    except OSError as error:
        raise SyncdError(f"{state_dir / wire.SOCKET_NAME}: {error.strerror}") from None


def _line_from(connection: socket.socket, timeout_s: float | None) -> bytes:
    """What comes until the line or the connection ends. Raises TimeoutError."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _ANSWER_LIMIT_BYTES:
        connection.settimeout(None if deadline_s is None else max(deadline_s - time.monotonic(), 0.001))
        block = connection.recv(1 << 16)
        if not block:
            break
        line += block
    return bytes(line)


def _state_dir(given: Mapping[str, Any]) -> Path:
    """Where the daemon is looked for. Named on the command line, it needs no configuration that is in order."""
    if given["state_dir"]:
        return Path(given["state_dir"]).absolute()
    from syncd import settings

    return settings.state_directory(settings.load(settings.Options(config=given["config"])))


def _seconds(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 <= value <= threading.TIMEOUT_MAX:
        raise click.BadParameter("must be a number of seconds, 0 or more.")
    return value


_ONE_JOB = click.Argument(["job"], metavar="JOB")
_JOB_OR_ALL = click.Argument(["job"], required=False, metavar="[JOB]")

COMMANDS = {
    "status": click.Command(
        "status",
        callback=status,
        context_settings=arguments.CONTEXT,
        help="Show what the running daemon is doing.",
        epilog=arguments.examples("syncd status", "syncd status --json | jq '.jobs[] | select(.held > 0)'"),
        params=[arguments.JSON, *arguments.COMMON],
    ),
    "wait": click.Command(
        "wait",
        callback=wait,
        context_settings=arguments.CONTEXT,
        help="Return when everything that changed until now is on the destination: exit 0. Exit 3: part of it is "
        "held; 1: part of it keeps failing, the job is halted, or the time is over.",
        epilog=arguments.examples("make site && syncd wait --timeout 60", "syncd wait assets backup"),
        params=[
            click.Option(
                ["--timeout"], type=float, callback=_seconds, metavar="S", help="Wait S seconds at most (no limit)."
            ),
            *arguments.COMMON,
            click.Argument(["jobs"], nargs=-1, metavar="[JOB ...]"),
        ],
    ),
    "approve": click.Command(
        "approve",
        callback=command,
        context_settings=arguments.CONTEXT,
        help="Release what the running daemon holds of JOB: the deletions that `syncd status` lists, or a source that "
        "was changed for another.",
        epilog=arguments.examples("syncd status", "syncd approve assets"),
        params=[*arguments.COMMON, _ONE_JOB],
    ),
    "rescan": click.Command(
        "rescan",
        callback=command,
        context_settings=arguments.CONTEXT,
        help="Begin a full reconcile of JOB, or of every job, now.",
        epilog=arguments.examples("syncd rescan assets"),
        params=[*arguments.COMMON, _JOB_OR_ALL],
    ),
    "pause": click.Command(
        "pause",
        callback=command,
        context_settings=arguments.CONTEXT,
        help="Let JOB, or every job, begin nothing new until `syncd resume` or a restart.",
        epilog=arguments.examples("syncd pause assets", "syncd pause && tar x -f big.tar -C /srv/assets; syncd resume"),
        params=[*arguments.COMMON, _JOB_OR_ALL],
    ),
    "resume": click.Command(
        "resume",
        callback=command,
        context_settings=arguments.CONTEXT,
        help="Let what was paused go on.",
        epilog=arguments.examples("syncd resume"),
        params=[*arguments.COMMON, _JOB_OR_ALL],
    ),
}
